// A host's proof that a piece server at some address is its own: the answer to `GET /v1/address`,
// which whoever wants to know sends there with a nonce of its own.
//
//   Ed25519 over  "df address 1" LF nonce LF host ID, base64 (88 characters), as the body

import { sign, verify } from "node:crypto";
import type { Secret } from "../../engine/bytes/secret.ts";
import { hostIdOf, privateKeyOf, publicKeyOf } from "./key-proof.ts";

export const ADDRESS_PATH = "/v1/address";

/** 16 bytes, hex. */
export const NONCE_PATTERN = /^[0-9a-f]{32}$/;

export const ADDRESS_PROOF_PATTERN = /^[A-Za-z0-9+/]{86}==$/;

export function addressPath(nonce: string): string {
  return `${ADDRESS_PATH}?nonce=${nonce}`;
}

/** @param privateKey PKCS #8 DER, base64 */
export function proveAddress(
  nonce: string,
  { hostId, privateKey }: { hostId: string; privateKey: Secret<string> },
): string {
  return sign(null, statement(nonce, hostId), privateKeyOf(privateKey.reveal())).toString("base64");
}

/** Whether the answer is that of the host with this key (SPKI DER, base64), for whom it says it is. */
export function isAddressProof(
  answer: string,
  nonce: string,
  { hostId, publicKey }: { hostId: string; publicKey: string },
): boolean {
  if (!ADDRESS_PROOF_PATTERN.test(answer) || hostIdOf(publicKey) !== hostId) return false;
  try {
    const signature = Buffer.from(answer, "base64");
    return verify(null, statement(nonce, hostId), publicKeyOf(publicKey), signature);
  } catch {
    return false;
  }
}

function statement(nonce: string, hostId: string): Buffer {
  return Buffer.from(`df address 1\n${nonce}\n${hostId}`);
}
