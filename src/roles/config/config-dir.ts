// Where `df config` keeps its state, and what other commands on the same machine read there.

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

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

/**
 * The admin token that a command on this machine may use, if the user may read it: of a `df config`
 * where it is by default, or else of a `df up`.
 */
export function readAdminToken(): string | undefined {
  for (const dataDir of [defaultConfigDir(), join(defaultFleetDir(), "config")]) {
    try {
      return readFileSync(adminTokenPath(dataDir), "utf8").trim();
    } catch {
      // None is there, or it is not this user's.
    }
  }
  return undefined;
}
