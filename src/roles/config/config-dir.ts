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

/** Where the first admin token of this data directory lies. */
export function adminTokenPath(dataDir: string): string {
  return join(dataDir, "admin-token");
}

/** The admin token that a command on this machine may use, if the user may read it. */
export function readAdminToken(dataDir: string): string | undefined {
  try {
    return readFileSync(adminTokenPath(dataDir), "utf8").trim();
  } catch {
    return undefined;
  }
}
