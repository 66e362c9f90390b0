// Finds the peer of this host, and starts one for this user where none runs and a supernode is
// known. The started peer has a session of its own and outlives this command by `--linger`.

import { spawn } from "node:child_process";
import { accessSync, closeSync, constants, existsSync, mkdirSync, openSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { DfError, isDfError } from "../../errors.ts";
import { digestNow, toHex } from "../../engine/bytes/digest.ts";
import { LocalClient } from "../../net/local-client.ts";
import type { PeerStatus } from "../../net/wire/local-api.ts";
import { settingsPaths } from "../command-line/settings-file.ts";

/** Where `df peer` listens when a service manager runs it for the whole host. */
const HOST_SOCKET = "/run/dragonfly/peer.sock";

/** A peer opens its database and sockets in well under a second; a loaded host gets time. */
const START_TIMEOUT_MS = 10_000;
const START_POLL_MS = 10;

/** Where peers of this user keep data and sockets; never shared with another user. */
export function userStateDir(): string {
  const base = process.env["XDG_STATE_HOME"] || join(homedir(), ".local", "state");
  return join(base, "dragonfly");
}

/**
 * The data folder of a background peer; its socket and log lie beside it. There is one per user and
 * set of supernodes: two clusters do not share a peer.
 */
function placeOf(supernodes: readonly string[]): string {
  const digest = digestNow("sha256", supernodes.toSorted().join(","));
  return join(userStateDir(), `peer-${toHex(digest).slice(0, 8)}`);
}

/**
 * The first peer of this host that answers and belongs to one of `supernodes` (empty: any).
 * Null when there is none.
 */
export async function findPeer(supernodes: readonly string[]): Promise<LocalClient | null> {
  const runtimeDir = process.env["XDG_RUNTIME_DIR"];
  const sockets = [
    HOST_SOCKET,
    ...(runtimeDir ? [join(runtimeDir, "dragonfly", "peer.sock")] : []),
    join(userStateDir(), "peer.sock"),
    ...(supernodes.length > 0 ? [`${placeOf(supernodes)}.sock`] : []),
  ];
  for (const path of sockets) {
    if (!isWritable(path)) continue;
    const client = new LocalClient(path);
    const status = await statusOf(client);
    if (status === null) continue;
    const isOurs = status.supernodes.some(({ address }) => supernodes.includes(address));
    if (supernodes.length === 0 || isOurs) return client;
  }
  return null;
}

export interface BackgroundPeerOptions {
  supernodes: readonly string[];
  lingerMs: number;
  signal: AbortSignal;
}

/**
 * Starts a peer for this user and waits until it answers. Two commands at once may both start one:
 * the peer's own lock lets a single one live, and both commands talk to that.
 * @throws {DfError} unavailable when no peer answers in time
 */
export async function startBackgroundPeer(options: BackgroundPeerOptions): Promise<LocalClient> {
  const place = placeOf(options.supernodes);
  mkdirSync(userStateDir(), { recursive: true, mode: 0o700 });
  const log = openSync(`${place}.log`, "a", 0o600);
  const child = spawn(process.execPath, [...ownScript(), ...peerArguments(place, options)], {
    cwd: "/",
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  child.unref();
  const client = new LocalClient(`${place}.sock`);
  for (let waitedMs = 0; waitedMs < START_TIMEOUT_MS; waitedMs += START_POLL_MS) {
    options.signal.throwIfAborted();
    if ((await statusOf(client)) !== null) return client;
    await Bun.sleep(START_POLL_MS);
  }
  throw new DfError("unavailable", `start a background peer at ${place}.sock: it does not answer`, {
    hint: `look into ${place}.log, or use --no-daemon`,
  });
}

function peerArguments(place: string, options: BackgroundPeerOptions): string[] {
  return [
    "peer",
    "--background",
    ...["--supernode", options.supernodes.join(",")],
    ...["--socket", `${place}.sock`],
    ...["--data-dir", place],
    ...["--linger", `${options.lingerMs}ms`],
    ...["--config", ownSettings()],
  ];
}

/** The user's settings hold for this peer, those of the host's own peer do not. */
function ownSettings(): string {
  const [, path] = settingsPaths("peer", process.env);
  return existsSync(path) ? path : "/dev/null";
}

/** Run from source the executable is the runtime and needs the script's path. */
function ownScript(): string[] {
  return Bun.isStandaloneExecutable ? [] : [Bun.main];
}

async function statusOf(client: LocalClient): Promise<PeerStatus | null> {
  try {
    return await client.status();
  } catch (error) {
    if (isDfError(error) || (error instanceof Error && error.name === "TimeoutError")) return null;
    throw error;
  }
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
