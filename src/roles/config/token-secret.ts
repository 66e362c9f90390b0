// Tokens as people hold them: `dfa_…` administers, `dfj_…` joins. The prefix lets scanners of leaked
// secrets find them; the ID finds the row; the rest is 256 bits of chance, of which only the digest
// is kept.
//
//   dfa_<16 hex digits: ID>_<43 characters base64url: secret>

import { randomBytes, timingSafeEqual } from "node:crypto";
import { digestNow, toHex } from "../../engine/bytes/digest.ts";

export type TokenKind = "admin" | "join";

export interface TokenSecret {
  kind: TokenKind;
  id: string;
  /** SHA-256 of the whole token, hex. */
  secretSha256: string;
}

const PREFIXES: Record<TokenKind, string> = { admin: "dfa", join: "dfj" };

const TOKEN = /^df([aj])_([0-9a-f]{16})_[A-Za-z0-9_-]{43}$/;

/** Makes a token; what is returned as `text` is told once and kept nowhere. */
export function createTokenSecret(kind: TokenKind): TokenSecret & { text: string } {
  const id = randomBytes(8).toString("hex");
  const text = `${PREFIXES[kind]}_${id}_${randomBytes(32).toString("base64url")}`;
  return { kind, id, secretSha256: digestOf(text), text };
}

/** Undefined for what has not the form of a token. */
export function readTokenSecret(text: string): TokenSecret | undefined {
  const match = TOKEN.exec(text);
  if (match === null) return undefined;
  return {
    kind: match[1] === "a" ? "admin" : "join",
    id: match[2]!,
    secretSha256: digestOf(text),
  };
}

export function isSameDigest(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

function digestOf(text: string): string {
  return toHex(digestNow("sha256", Buffer.from(text)));
}
