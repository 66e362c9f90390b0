// How far a supernode is from this host: the time that opening a TCP connection to it takes.

import { SUPERNODE_PORT } from "../../limits.ts";
import { tryConnect } from "./try-connect.ts";

/** The least of so many: what lies above it is the machines' and the network's load. */
const TRIES = 3;

/** Milliseconds to "host:port"; null when it does not answer. */
export async function measureLatencyMs(
  address: string,
  signal: AbortSignal,
): Promise<number | null> {
  const { hostname, port } = new URL(`http://${address}`);
  let leastMs: number | null = null;
  for (let tried = 0; tried < TRIES && !signal.aborted; tried++) {
    const connected = await tryConnect({ hostname, port: Number(port || SUPERNODE_PORT) }, signal);
    if (connected === null) break;
    leastMs = Math.min(connected.ms, leastMs ?? Infinity);
  }
  return leastMs;
}
