// A body that ought to be small, in one piece.

/**
 * Null: it is longer than `bytesMax`; the rest is not read.
 * @throws what reading it throws
 */
export async function wholeBody(
  body: AsyncIterable<Uint8Array>,
  bytesMax: number,
): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    // Leaving the loop breaks the answer off.
    if (length > bytesMax) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
