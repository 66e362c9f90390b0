// A machine's proof that it holds the private key of its identity: a signature over what it is for,
// who it is and when. Over TLS nobody else sees it; a stolen one is worth nothing after five minutes.
//
//   Ed25519 over  "df key proof 1" LF purpose LF host ID LF at

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  sign,
  verify,
  type KeyObject,
} from "node:crypto";
import { z } from "zod";
import type { Secret } from "../../engine/bytes/secret.ts";

export const keyProofSchema = z.object({
  /** Unix milliseconds. */
  at: z.int().min(0).max(Number.MAX_SAFE_INTEGER),
  /** Base64. */
  signature: z.base64().length(88),
});
export type KeyProof = z.infer<typeof keyProofSchema>;

/** What a proof is for: one made for one purpose proves nothing in another. */
export type ProofPurpose = "join" | "hello";

/** Clocks of a fleet may differ by so much, and a message may be under way for a while. */
const AGE_MAX_MS = 5 * 60_000;

/** @param privateKey PKCS #8 DER, base64, as in the identity file */
export function proveKey(
  purpose: ProofPurpose,
  identity: { hostId: string; privateKey: Secret<string> },
): KeyProof {
  const at = Date.now();
  const key = privateKeyOf(identity.privateKey.reveal());
  return {
    at,
    signature: sign(null, statement(purpose, identity.hostId, at), key).toString("base64"),
  };
}

/**
 * Whether the proof is of the machine `hostId` with `publicKey` (SPKI DER, base64), and fresh. The
 * host ID is the digest of the key, so neither can be chosen to go with the other.
 */
export function isProven(
  purpose: ProofPurpose,
  { hostId, publicKey }: { hostId: string; publicKey: string },
  { at, signature }: KeyProof,
): boolean {
  if (Math.abs(Date.now() - at) > AGE_MAX_MS || hostIdOf(publicKey) !== hostId) return false;
  try {
    const key = publicKeyOf(publicKey);
    return verify(null, statement(purpose, hostId, at), key, Buffer.from(signature, "base64"));
  } catch {
    return false;
  }
}

/** SHA-256 of the public key (SPKI DER, base64), hex. */
export function hostIdOf(publicKey: string): string {
  return createHash("sha256").update(Buffer.from(publicKey, "base64")).digest("hex");
}

/** @throws for anything but PKCS #8 */
export function privateKeyOf(base64: string): KeyObject {
  return createPrivateKey({ key: Buffer.from(base64, "base64"), format: "der", type: "pkcs8" });
}

/** @throws for anything but SPKI */
export function publicKeyOf(base64: string): KeyObject {
  return createPublicKey({ key: Buffer.from(base64, "base64"), format: "der", type: "spki" });
}

function statement(purpose: ProofPurpose, hostId: string, at: number): Buffer {
  return Buffer.from(`df key proof 1\n${purpose}\n${hostId}\n${at}`);
}
