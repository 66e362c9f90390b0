// Who may use the proxy where others than this machine reach it: basic authentication (RFC 7617) in
// Proxy-Authorization, which ends here and is never forwarded.

import { createHash, timingSafeEqual } from "node:crypto";
import type { Secret } from "../../engine/bytes/secret.ts";
import { basicPairIn } from "../basic-authorization.ts";

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
    const shown = basicPairIn(field);
    if (shown === null) return false;
    const digest = digestOf(shown);
    // Every pair is compared: which one it was takes no other time.
    let isAccepted = false;
    for (const known of this.#digests) if (timingSafeEqual(known, digest)) isAccepted = true;
    return isAccepted;
  }
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
