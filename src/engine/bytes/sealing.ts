// AES-256-GCM over one piece (NIST SP 800-38D), on this thread or off it. The ciphertext is as long
// as what is sealed; the tag stands in the manifest row, beside the nonce.

import { createCipheriv, createDecipheriv } from "node:crypto";
import type { PieceSeal } from "../core/manifest.ts";

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CIPHER = "aes-256-gcm";

/**
 * Up to this length on the calling thread, where 256 KiB take 0.12 ms; WebCrypto's pool needs 0.06 ms
 * more of anything, and leaves the thread 90 % of the time of what is longer (1 MiB: 0.5 ms).
 */
const ON_THREAD_BYTES_MAX = 256 << 10;

/**
 * A nonce for one piece. Random, so that nothing must be remembered over restarts: among 2^32 pieces
 * under one key two are the same with probability 2^-33, and a content's key seals 2^18 at most.
 */
export function freshNonce(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
}

/** @param key 32 bytes  @param nonce never used before for other bytes under this key */
export async function seal(
  bytes: Uint8Array,
  { key, nonce, bound }: { key: Uint8Array; nonce: Uint8Array; bound: Uint8Array },
): Promise<{ sealed: Uint8Array; seal: PieceSeal }> {
  if (bytes.length <= ON_THREAD_BYTES_MAX) {
    const cipher = createCipheriv(CIPHER, key, nonce).setAAD(bound);
    const sealed = cipher.update(bytes);
    cipher.final();
    return { sealed, seal: { nonce, tag: new Uint8Array(cipher.getAuthTag()) } };
  }
  const webKey = await webKeyOf(key, "encrypt");
  const both = new Uint8Array(
    await crypto.subtle.encrypt(webCipher(nonce, bound), webKey, fixed(bytes)),
  );
  // Its own memory: a row outlives the piece.
  const tag = both.slice(bytes.length);
  return { sealed: both.subarray(0, bytes.length), seal: { nonce, tag } };
}

/**
 * @param bound the bytes that were bound to it when it was sealed
 * @throws {Error} when any of them is another: no byte of it is given then
 */
export async function unseal(
  sealed: Uint8Array,
  { key, seal, bound }: { key: Uint8Array; seal: PieceSeal; bound: Uint8Array },
): Promise<Uint8Array> {
  if (sealed.length <= ON_THREAD_BYTES_MAX) {
    const decipher = createDecipheriv(CIPHER, key, seal.nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(bound).setAuthTag(seal.tag);
    const bytes = decipher.update(sealed);
    decipher.final();
    return bytes;
  }
  const webKey = await webKeyOf(key, "decrypt");
  const both = new Uint8Array(sealed.length + TAG_BYTES);
  both.set(sealed);
  both.set(seal.tag, sealed.length);
  return new Uint8Array(await crypto.subtle.decrypt(webCipher(seal.nonce, bound), webKey, both));
}

function webKeyOf(key: Uint8Array, use: "encrypt" | "decrypt"): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", fixed(key), "AES-GCM", false, [use]);
}

function webCipher(nonce: Uint8Array, bound: Uint8Array) {
  return { name: "AES-GCM", iv: fixed(nonce), additionalData: fixed(bound) };
}

/** WebCrypto's types want to know that the memory is not shared. */
function fixed(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>;
}
