// Opens a TCP connection only to learn from it, and closes it.

import { CONNECT_TIMEOUT_MS } from "../../limits.ts";
import { bareHost } from "../bare-host.ts";

export interface Connected {
  /** How long it took to open. */
  ms: number;
  /** This end's address, IPv4 as such. */
  localAddress: string;
}

/**
 * Null when nothing answers in time, or the signal aborts.
 * @param hostname IPv6 with or without brackets
 */
export async function tryConnect(
  { hostname, port }: { hostname: string; port: number },
  signal: AbortSignal,
): Promise<Connected | null> {
  const startedMs = performance.now();
  const connected = Bun.connect({
    hostname: bareHost(hostname),
    port,
    socket: { data() {}, error() {} },
  });
  const inTime = Promise.withResolvers<null>();
  const giveUp = (): void => inTime.resolve(null);
  const timer = setTimeout(giveUp, CONNECT_TIMEOUT_MS);
  signal.addEventListener("abort", giveUp, { once: true });
  try {
    const socket = await Promise.race([connected, inTime.promise]);
    if (socket === null) return null;
    const localAddress = socket.localAddress.replace(/^::ffff:(?=\d+\.)/, "");
    return { ms: performance.now() - startedMs, localAddress };
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
