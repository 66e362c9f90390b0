// Finds the peer of this host, and starts one for this user where none runs and a supernode is
// known. The started peer has a session of its own and outlives this command by `--linger`.

import { spawn } from "node:child_process";
import { accessSync, closeSync, constants, existsSync, mkdirSync, openSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { DfError, isDfError } from "../../errors.ts";
import { digestNow, toHex } from "../../engine/bytes/digest.ts";
import { formatJoinString } from "../../net/fleet/join-string.ts";
import type { FleetAddress } from "../../net/fleet/membership.ts";
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

/** How a command came to know of a swarm. */
export interface KnownSwarm {
  /** "host:port" of supernodes that were named. */
  supernodes: readonly string[];
  /** A fleet whose `df config` names them; null: none. */
  fleet: FleetAddress | null;
}

/** Two clusters share no peer and no data: each way to know of one has a name. */
export function nameOf({ supernodes, fleet }: KnownSwarm): string {
  const words = [...supernodes.toSorted(), ...(fleet?.urls.toSorted() ?? [])];
  return toHex(digestNow("sha256", words.join(","))).slice(0, 8);
}

/** The data folder of a background peer, one per user and swarm; its socket and log lie beside it. */
function placeOf(swarm: KnownSwarm): string {
  return join(userStateDir(), `peer-${nameOf(swarm)}`);
}

/**
 * The first peer of this host that answers and belongs to `swarm`, or to any where none was named.
 * Null when there is none.
 */
export async function findPeer(swarm: KnownSwarm): Promise<LocalClient | null> {
  const isNamed = swarm.supernodes.length > 0 || swarm.fleet !== null;
  const runtimeDir = process.env["XDG_RUNTIME_DIR"];
  const sockets = [
    HOST_SOCKET,
    ...(runtimeDir ? [join(runtimeDir, "dragonfly", "peer.sock")] : []),
    join(userStateDir(), "peer.sock"),
    ...(isNamed ? [`${placeOf(swarm)}.sock`] : []),
  ];
  for (const path of sockets) {
    if (!isWritable(path)) continue;
    const client = new LocalClient(path);
    const status = await statusOf(client);
    if (status === null) continue;
    if (!isNamed || belongsTo(swarm, status)) return client;
  }
  return null;
}

function belongsTo({ supernodes, fleet }: KnownSwarm, status: PeerStatus): boolean {
  if (status.supernodes.some(({ address }) => supernodes.includes(address))) return true;
  return status.configService?.some((url) => fleet?.urls.includes(url)) === true;
}

export interface BackgroundPeerOptions extends KnownSwarm {
  lingerMs: number;
  signal: AbortSignal;
}

/**
 * Starts a peer for this user and waits until it answers. Two commands at once may both start one:
 * the peer's own lock lets a single one live, and both commands talk to that.
 * @throws {DfError} unavailable when no peer answers in time
 */
export async function startBackgroundPeer(options: BackgroundPeerOptions): Promise<LocalClient> {
  const place = placeOf(options);
  mkdirSync(userStateDir(), { recursive: true, mode: 0o700 });
  const log = openSync(`${place}.log`, "a", 0o600);
  const child = spawn(process.execPath, [...ownScript(), ...peerArguments(place, options)], {
    cwd: "/",
    env: { ...process.env, ...fleetVariables(options) },
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
    ...["--socket", `${place}.sock`],
    ...["--data-dir", place],
    ...["--linger", `${options.lingerMs}ms`],
    ...["--config", ownSettings()],
  ];
}

/** Not as arguments: a join string is a secret, and everybody sees those. */
function fleetVariables({ supernodes, fleet }: KnownSwarm): Record<string, string> {
  const { urls, token, isProxied, fleetKey } = fleet ?? { urls: [] };
  const join =
    fleetKey === undefined
      ? ""
      : formatJoinString({ urls: [...urls], token: token?.reveal(), isProxied, fleetKey });
  return {
    DRAGONFLY_SUPERNODE: supernodes.join(","),
    DRAGONFLY_JOIN: join,
    DRAGONFLY_CONFIG_SERVICE: urls.join(","),
  };
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
