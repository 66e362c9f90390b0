// Where `df config` keeps its state, and what other commands on the same machine read there.

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { Secret } from "../../engine/bytes/secret.ts";

/** The data directory if nobody names one. */
export function defaultConfigDir(): string {
  if (process.getuid?.() === 0) return "/var/lib/dragonfly/config";
  const state = process.env["XDG_STATE_HOME"] || join(homedir(), ".local", "state");
  return join(state, "dragonfly", "config");
}

/** Where `df up` keeps its fleet if nobody names a directory; its `df config` is in `config` below. */
export function defaultFleetDir(): string {
  const data = process.env["XDG_DATA_HOME"] || join(homedir(), ".local", "share");
  return join(data, "dragonfly", "up");
}

/** Where the first admin token of this data directory lies. */
export function adminTokenPath(dataDir: string): string {
  return join(dataDir, "admin-token");
}

/** Where the fleet's CA lies, for tools of administrators. */
export function caPath(dataDir: string): string {
  return join(dataDir, "ca.pem");
}

/** Where it is written how tools on this machine reach the service. */
export function ownUrlPath(dataDir: string): string {
  return join(dataDir, "url");
}

/** A `df config` on this machine, as far as its administrator's tools may know it. */
export interface OwnService {
  adminToken: Secret<string>;
  /** Undefined: an earlier version did not say. */
  url: string | undefined;
  /** PEM. */
  ca: string | undefined;
}

/**
 * The service whose admin token this user may read: a `df config` where it is by default, or else that
 * of a `df up`.
 */
export function readOwnService(): OwnService | undefined {
  for (const dataDir of [defaultConfigDir(), join(defaultFleetDir(), "config")]) {
    const adminToken = textOf(adminTokenPath(dataDir));
    if (adminToken === undefined) continue;
    const url = textOf(ownUrlPath(dataDir));
    return { adminToken: new Secret(adminToken), url, ca: readCaIn(dataDir) };
  }
  return undefined;
}

/** The CA that a `df config` left in its data directory; undefined: none. PEM. */
export function readCaIn(dataDir: string): string | undefined {
  return textOf(caPath(dataDir));
}

/** Undefined: none is there, or it is not this user's. */
function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}
