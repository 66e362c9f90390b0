// Writes to a client that reads as fast as it likes: what it has not taken yet is at most one part and what
// its socket holds. A client that takes nothing at all is the front's affair (connection-watch.ts).

import type { ServerResponse } from "node:http";

/** @throws the signal's reason when the client left */
export async function writePart(
  response: ServerResponse,
  part: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  if (response.write(part)) return;
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
