// Proves that a content is what its digest says while its readers see it go by: each byte is digested once,
// however many readers there are, by whoever is first to see it.

import { RunningDigest } from "../../engine/bytes/digest.ts";
import { assert } from "../../engine/core/machine.ts";
import { DfError } from "../../errors.ts";
import type { BroughtContent } from "./brought-content.ts";
import { freeMemoryOf } from "./free-memory.ts";

interface SharedProof {
  readonly proof: ContentProof;
  readerCount: number;
}

/** The proofs under way: one for all readers of a content at the same time. */
export class ContentProofs {
  /** By content: one that was dropped and brought again is another. */
  readonly #proofs = new WeakMap<object, Map<string, SharedProof>>();
  /** SHA-256 that a content proved to have. */
  readonly #right = new WeakMap<object, string>();

  /**
   * Runs `work` with the content's proof.
   * @param sha256 hex
   */
  async during<T>(
    { identity }: Pick<BroughtContent, "identity">,
    sha256: string,
    work: (proof: ContentProof) => Promise<T>,
  ): Promise<T> {
    const proofs = this.#proofs.get(identity) ?? new Map<string, SharedProof>();
    this.#proofs.set(identity, proofs);
    const isKnown = this.#right.get(identity) === sha256;
    const shared = proofs.get(sha256) ?? {
      proof: new ContentProof(sha256, isKnown),
      readerCount: 0,
    };
    proofs.set(sha256, shared);
    shared.readerCount++;
    try {
      return await work(shared.proof);
    } finally {
      if (shared.proof.isRight) this.#right.set(identity, sha256);
      // Not kept for later: who reads the whole once more proves once more what the disk gives.
      if (--shared.readerCount === 0) proofs.delete(sha256);
    }
  }
}

export class ContentProof {
  readonly #sha256: string;
  readonly #digest = new RunningDigest("sha256");
  /** How far the digest is. */
  #at = 0;
  #isRight: boolean | null = null;
  readonly #isKnown: boolean;

  /** @param isKnown whether it proved right before */
  constructor(sha256: string, isKnown: boolean) {
    this.#sha256 = sha256;
    this.#isKnown = isKnown;
  }

  /** Whether the whole was seen, and is the digest's. */
  get isRight(): boolean {
    return this.#isRight === true;
  }

  /** A reader saw these bytes of the content. */
  see(from: number, bytes: Uint8Array): void {
    const seen = this.#at - from;
    if (seen < 0 || seen >= bytes.length || this.#isRight !== null) return;
    this.#digest.update(bytes.subarray(seen));
    this.#at = from + bytes.length;
  }

  /**
   * Reads what nobody has seen yet, and compares; not once more for the last bytes alone, each time somebody
   * asks for those.
   * @throws {DfError} checksum; as BroughtContent.read
   */
  async hold(content: BroughtContent, length: number): Promise<void> {
    if (this.#isKnown && this.#at < length) return;
    let from = this.#at;
    for await (const part of content.read(from, length)) {
      this.see(from, part);
      from += part.length;
      freeMemoryOf(part);
    }
    assert(this.#at >= length, "whoever read a content to its end has seen all of it");
    this.#isRight ??= this.#digest.finishHex() === this.#sha256;
    if (this.#isRight) return;
    // Or it would be given to all who ask by that digest, here and elsewhere.
    await content.discard();
    throw new DfError(
      "checksum",
      `read content ${content.contentId}: it is not sha256:${this.#sha256}`,
      {
        hint: "the registry, or who brought it here, gave other bytes than they said",
      },
    );
  }
}
