// The body of an answer that ought to be small, from whoever answers: what is longer than it may be is
// not kept in memory to find that out.

/**
 * Reads the body as UTF-8.
 * @returns null when it is longer than `bytesMax`; the rest is not read
 * @throws what the body's stream throws, e.g. the request's deadline
 */
export async function limitedText(response: Response, bytesMax: number): Promise<string | null> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    // Leaving the loop cancels the body.
    if (length > bytesMax) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
