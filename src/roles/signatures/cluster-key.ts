// The key by which this machine checks what its fleet signed. A host may learn it long after its
// start, because `df config` did not answer before.

import type { KeyObject } from "node:crypto";
import { publicKeyOf } from "../../net/wire/key-proof.ts";

export class ClusterKey {
  readonly #told: () => string | null;
  #text: string | null = null;
  #key: KeyObject | null = null;

  /** @param told Ed25519 SPKI, base64; null: not known, or there is no fleet */
  constructor(told: () => string | null) {
    this.#told = told;
  }

  /** Null: nothing can be checked. */
  get current(): KeyObject | null {
    const text = this.#told();
    if (text === this.#text) return this.#key;
    this.#text = text;
    this.#key = text === null ? null : publicKeyOf(text);
    return this.#key;
  }
}
