// Two connections made into one: what one side sends the other receives, no faster than it reads, and
// neither end is closed before both have said all.
//
//   client ──bytes──▶ source      an end of one way is passed on as such (half-close);
//          ◀──bytes──             an error or a long silence of both ways ends both

import type { Duplex } from "node:stream";

/** As long as other proxies wait; a client that computes between two requests is not idle. */
export const TUNNEL_IDLE_MS = 15 * 60_000;

/** A socket, or TLS on one. */
export interface TunnelEnd extends Duplex {
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

export interface TunnelOptions {
  /** After so long without a byte either way, both ends are closed. @defaultValue TUNNEL_IDLE_MS */
  idleMs?: number;
}

/**
 * Joins both ends; settles when both are closed. Holds no more than the sockets' own buffers. Both must
 * have been made with `allowHalfOpen`.
 */
export async function joinSockets(
  client: TunnelEnd,
  source: TunnelEnd,
  { idleMs = TUNNEL_IDLE_MS }: TunnelOptions,
  signal: AbortSignal,
): Promise<void> {
  const close = (): void => {
    client.destroy();
    source.destroy();
  };
  const stopWatching = closeIdle([client, source], idleMs, close);
  signal.addEventListener("abort", close, { once: true });
  for (const end of [client, source]) end.on("error", close);
  client.pipe(source);
  source.pipe(client);
  if (signal.aborted) close();
  try {
    await Promise.all([closed(client, source), closed(source, client)]);
  } finally {
    stopWatching();
    signal.removeEventListener("abort", close);
  }
}

/** Waits until `end` is closed; unless both of its ways had ended by then, the other end is of no more use. */
function closed(end: TunnelEnd, other: TunnelEnd): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const over = (): void => {
    if (!end.readableEnded || !end.writableFinished) other.destroy();
    resolve();
  };
  if (end.destroyed) over();
  else end.once("close", over);
  return promise;
}

/** Looks four times in the span: cheaper than a timer that each chunk sets anew. */
function closeIdle(ends: readonly TunnelEnd[], idleMs: number, close: () => void): () => void {
  const count = (): number => ends.reduce((sum, end) => sum + end.bytesRead + end.bytesWritten, 0);
  let seen = count();
  let idleLooks = 0;
  const timer = setInterval(() => {
    const now = count();
    idleLooks = now === seen ? idleLooks + 1 : 0;
    seen = now;
    if (idleLooks >= 4) close();
  }, idleMs / 4);
  return () => clearInterval(timer);
}
