// Proves that a content is what its digest says while its readers see it go by: each byte is digested once,
// however many readers there are, by whoever is first to see it.

import { RunningDigest } from "../../engine/bytes/digest.ts";
import { assert } from "../../engine/core/machine.ts";
import { DfError } from "../../errors.ts";
import type { BroughtContent } from "./brought-content.ts";
import { freeMemoryOf } from "./free-memory.ts";

/** The proofs under way: one for all readers of a content at the same time. */
export class ContentProofs {
  readonly #proofs = new Map<string, { proof: ContentProof; readerCount: number }>();

  /**
   * Runs `work` with the content's proof.
   * @param sha256 hex
   */
  async during<T>(
    contentId: string,
    sha256: string,
    work: (proof: ContentProof) => Promise<T>,
  ): Promise<T> {
    const key = `${contentId} ${sha256}`;
    const known = this.#proofs.get(key);
    // Who still reads what proved wrong, however long, keeps nobody from what is brought instead.
    const isUsable = known !== undefined && !known.proof.isWrong;
    const shared = isUsable ? known : { proof: new ContentProof(sha256), readerCount: 0 };
    this.#proofs.set(key, shared);
    shared.readerCount++;
    try {
      return await work(shared.proof);
    } finally {
      // Not kept for later: the content may be dropped and brought again.
      const isLast = --shared.readerCount === 0;
      if (isLast && this.#proofs.get(key) === shared) this.#proofs.delete(key);
    }
  }
}

export class ContentProof {
  readonly #sha256: string;
  readonly #digest = new RunningDigest("sha256");
  /** How far the digest is. */
  #at = 0;
  #isRight: boolean | null = null;

  constructor(sha256: string) {
    this.#sha256 = sha256;
  }

  /** Whether the whole was seen, and is another digest's. */
  get isWrong(): boolean {
    return this.#isRight === false;
  }

  /** A reader saw these bytes of the content. */
  see(from: number, bytes: Uint8Array): void {
    const seen = this.#at - from;
    if (seen < 0 || seen >= bytes.length || this.#isRight !== null) return;
    this.#digest.update(bytes.subarray(seen));
    this.#at = from + bytes.length;
  }

  /**
   * Reads what nobody has seen yet, and compares.
   * @throws {DfError} checksum; as BroughtContent.read
   */
  async hold(content: BroughtContent, length: number): Promise<void> {
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
