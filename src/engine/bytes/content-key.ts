// The key of one content's sealed pieces: derived from the fleet's secret, so that a supernode which
// lost its disk has it again, and no two contents share one.

import { hkdfSync } from "node:crypto";

/** AES-256. */
export const CONTENT_KEY_BYTES = 32;

/** HKDF-SHA-256 (RFC 5869). @param contentSecret 32 bytes, the fleet's */
export function contentKeyOf(contentSecret: Uint8Array, contentId: string): Uint8Array {
  const info = `df content key 1\n${contentId}`;
  return new Uint8Array(hkdfSync("sha256", contentSecret, "", info, CONTENT_KEY_BYTES));
}
