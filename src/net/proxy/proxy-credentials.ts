// Who may use the proxy where others than this machine reach it: basic authentication (RFC 7617) in
// Proxy-Authorization, which ends here and is never forwarded.

import { createHash, timingSafeEqual } from "node:crypto";
import type { Secret } from "../../engine/bytes/secret.ts";

/** The challenge of a 407. */
export const PROXY_CHALLENGE = 'Basic realm="df", charset="UTF-8"';

export class ProxyCredentials {
  /** Digests: all of one length, so that a comparison takes the same time whatever is compared. */
  readonly #digests: readonly Buffer[];

  /** @param pairs "user:password" each */
  constructor(pairs: Secret<readonly string[]>) {
    this.#digests = pairs.reveal().map((pair) => digestOf(Buffer.from(pair, "utf8")));
  }

  /** @param field value of Proxy-Authorization */
  accepts(field: string | undefined): boolean {
    const shown = /^basic +([A-Za-z0-9+/]*={0,2})$/i.exec(field ?? "")?.[1];
    if (shown === undefined) return false;
    const digest = digestOf(Buffer.from(shown, "base64"));
    // Every pair is compared: which one it was takes no other time.
    let isAccepted = false;
    for (const known of this.#digests) if (timingSafeEqual(known, digest)) isAccepted = true;
    return isAccepted;
  }
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
