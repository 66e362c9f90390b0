// What the piece worker sees of a content while it is written: which pieces may be served, and how
// long their wire forms are, both on shared memory.

import { pieceCountOf } from "../engine/core/piece-layout.ts";
import { PieceSet } from "../engine/core/piece-set.ts";
import type { ContentFacts } from "./piece-store.ts";

/** Room for 1 GiB of 1 MiB pieces in 128 bytes; doubled when an unknown length passes it. */
const UNKNOWN_PIECE_COUNT = 1024;

export class SharedPieces {
  #have: PieceSet;
  #wireLengths: Uint32Array;

  constructor(size: number) {
    this.#have = sharedSet(size);
    this.#wireLengths = sharedLengths(size);
  }

  get have(): PieceSet {
    return this.#have;
  }

  /** By index; 0: no row is known. */
  get wireLengths(): Uint32Array {
    return this.#wireLengths;
  }

  /** Makes room for more pieces: whoever shares the memory must be told. Returns whether it had to. */
  growTo(count: number): boolean {
    if (count <= this.#have.size) return false;
    const grown = sharedSet(Math.max(count, this.#have.size * 2));
    for (const index of this.#have) grown.add(index);
    const lengths = sharedLengths(grown.size);
    lengths.set(this.#wireLengths);
    this.#have = grown;
    this.#wireLengths = lengths;
    return true;
  }

  /** Fixes the number of pieces. The memory stays: whoever shares it need not be told. */
  becomeSize(count: number): void {
    this.#have = new PieceSet(count, this.#have.words);
  }
}

/** How many pieces the set of a new content has room for. */
export function initialPieceCount(facts: ContentFacts): number {
  const { length, pieceLength } = facts.layout;
  return length === null ? UNKNOWN_PIECE_COUNT : pieceCountOf(length, pieceLength);
}

function sharedSet(size: number): PieceSet {
  return new PieceSet(size, new Uint32Array(new SharedArrayBuffer(((size + 31) >>> 5) * 4)));
}

function sharedLengths(size: number): Uint32Array {
  return new Uint32Array(new SharedArrayBuffer(size * 4));
}
