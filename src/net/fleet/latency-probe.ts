// How far a supernode is from this host: the time that opening a TCP connection to it takes.

import { CONNECT_TIMEOUT_MS } from "../../limits.ts";

/** The least of so many: what lies above it is the machines' and the network's load. */
const TRIES = 3;

/** Milliseconds to "host:port"; null when it does not answer. */
export async function measureLatencyMs(
  address: string,
  signal: AbortSignal,
): Promise<number | null> {
  let leastMs: number | null = null;
  for (let tried = 0; tried < TRIES && !signal.aborted; tried++) {
    const ms = await connectTimeMs(address, signal);
    if (ms === null) break;
    leastMs = Math.min(ms, leastMs ?? Infinity);
  }
  return leastMs;
}

async function connectTimeMs(address: string, signal: AbortSignal): Promise<number | null> {
  const { hostname, port } = new URL(`http://${address}`);
  const startedMs = performance.now();
  const connected = Bun.connect({
    hostname: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port || 80),
    socket: { data() {}, error() {} },
  });
  const inTime = Promise.withResolvers<null>();
  const giveUp = (): void => inTime.resolve(null);
  const timer = setTimeout(giveUp, CONNECT_TIMEOUT_MS);
  signal.addEventListener("abort", giveUp, { once: true });
  try {
    const socket = await Promise.race([connected, inTime.promise]);
    return socket === null ? null : performance.now() - startedMs;
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", giveUp);
    connected.then(
      (socket) => socket.end(),
      () => {},
    );
  }
}
