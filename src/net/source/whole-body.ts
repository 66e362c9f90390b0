// The body of a source's answer that ought to be small, in one piece.

import type { SourceAnswer } from "./exchange.ts";

/**
 * Null: it is longer than `bytesMax`; the rest is not read.
 * @throws {SourceFault} as SourceAnswer.body
 */
export async function wholeBody(
  answer: Pick<SourceAnswer, "body">,
  bytesMax: number,
): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of answer.body()) {
    length += chunk.length;
    // Leaving the loop breaks the answer off.
    if (length > bytesMax) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
