// Writes to a client that reads as fast as it likes: what it has not taken yet is at most one part and what
// its socket holds. A client that takes nothing at all is the front's affair (connection-watch.ts).

import type { ServerResponse } from "node:http";

/**
 * Returns when the client has room for another part.
 * @returns whether this one's memory is free: none of it waits for the client, who may have room without it
 * @throws the signal's reason when the client left
 */
export async function writePart(
  response: ServerResponse,
  part: Uint8Array,
  signal: AbortSignal,
): Promise<boolean> {
  signal.throwIfAborted();
  if (!response.write(part)) await drained(response, signal);
  // A response has no socket while an earlier one of its connection is not over.
  return response.socket?.writableLength === 0;
}

async function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const leave = (): void => reject(signal.reason as Error);
  response.once("drain", resolve);
  signal.addEventListener("abort", leave, { once: true });
  try {
    await promise;
  } finally {
    response.off("drain", resolve);
    signal.removeEventListener("abort", leave);
  }
}
