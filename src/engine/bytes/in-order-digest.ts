// Digests a content from its first byte to its last while its pieces arrive in any order: bytes at
// the cursor are taken as they pass, pieces that came early are read back once the cursor gets there.

import { assert } from "../core/machine.ts";
import { RunningDigest, type DigestAlgorithm } from "./digest.ts";

/** One read-back; small enough to spare memory, large enough for the disk. */
const READ_BACK_BYTES = 1 << 20;

export interface InOrderDigestOptions {
  pieceLength: number;
  algorithms: readonly DigestAlgorithm[];
  /** Reads bytes of a piece that was announced with `pieceDone`. */
  read: (offset: number, length: number) => Promise<Uint8Array>;
}

/**
 * The digests of a whole content, in order.
 * Invariant: every byte below the cursor went into the digests exactly once.
 */
export class InOrderDigest {
  readonly #pieceLength: number;
  readonly #read: InOrderDigestOptions["read"];
  readonly #digests: RunningDigest[];
  /** Lengths of the pieces that may be read back and lie at or above the cursor. */
  readonly #readable = new Map<number, number>();
  #cursor = 0;
  #isCatchingUp = false;
  #catchingUp: Promise<void> = Promise.resolve();
  #failure: { error: unknown } | null = null;

  constructor(options: InOrderDigestOptions) {
    this.#pieceLength = options.pieceLength;
    this.#read = options.read;
    this.#digests = options.algorithms.map((algorithm) => new RunningDigest(algorithm));
  }

  /** Bytes digested so far: everything below this offset. */
  get cursor(): number {
    return this.#cursor;
  }

  /**
   * Shows bytes as they pass; those at the cursor are digested, others ignored until their piece
   * is done. Only for bytes that stay as they are: a piece that may still be refused comes by
   * `pieceDone` alone.
   */
  offer(offset: number, bytes: Uint8Array): void {
    const skipped = this.#cursor - offset;
    if (skipped < 0 || skipped >= bytes.length) return;
    this.#digest(bytes.subarray(skipped));
    this.#resume();
  }

  /** Says that a piece is final and can be read back. */
  pieceDone(index: number, length: number): void {
    if (index * this.#pieceLength + length <= this.#cursor) return;
    this.#readable.set(index, length);
    this.#resume();
  }

  /**
   * Ends the digests of a content of `length` bytes, all of whose pieces are done; hex by algorithm.
   * @throws what `read` threw
   */
  async finish(length: number): Promise<Map<DigestAlgorithm, string>> {
    this.#resume();
    await this.#catchingUp;
    if (this.#failure !== null) throw this.#failure.error;
    assert(this.#cursor === length, "a digest ends at the content's last byte");
    return new Map(this.#digests.map((digest) => [digest.algorithm, digest.finishHex()]));
  }

  /** Reads nothing more; resolves once nothing is being read. There will be no digests. */
  async stop(): Promise<void> {
    this.#failure ??= { error: new Error("the digest was stopped") };
    await this.#catchingUp;
  }

  /** Reads back what lies at the cursor, unless that is under way. */
  #resume(): void {
    const index = Math.floor(this.#cursor / this.#pieceLength);
    if (this.#isCatchingUp || this.#failure !== null || !this.#readable.has(index)) return;
    this.#isCatchingUp = true;
    this.#catchingUp = this.#catchUp();
  }

  /** The flag falls in the turn in which the last look was taken: no piece is told in between. */
  async #catchUp(): Promise<void> {
    try {
      while (this.#failure === null) {
        const index = Math.floor(this.#cursor / this.#pieceLength);
        const length = this.#readable.get(index);
        if (length === undefined) return;
        await this.#readPiece(index, length);
        if (length < this.#pieceLength) return;
      }
    } catch (error) {
      this.#failure = { error };
    } finally {
      this.#isCatchingUp = false;
    }
  }

  async #readPiece(index: number, length: number): Promise<void> {
    const end = index * this.#pieceLength + length;
    while (this.#cursor < end && this.#failure === null) {
      const from = this.#cursor;
      const bytes = await this.#read(from, Math.min(READ_BACK_BYTES, end - from));
      // Bytes that were offered meanwhile moved the cursor: those are not digested twice.
      this.offer(from, bytes);
      assert(this.#cursor > from, "a piece that is done can be read back");
    }
    if (this.#cursor >= end) this.#readable.delete(index);
  }

  #digest(bytes: Uint8Array): void {
    for (const digest of this.#digests) digest.update(bytes);
    this.#cursor += bytes.length;
  }
}
