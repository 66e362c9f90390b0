// What the piece worker sees of a content while it is written: which pieces may be served, how long
// their wire forms are and which they are, all on shared memory.

import { type PieceRow, wireMarkOf } from "../engine/core/manifest.ts";
import { pieceCountOf } from "../engine/core/piece-layout.ts";
import { PieceSet } from "../engine/core/piece-set.ts";
import type { ContentFacts } from "./piece-store.ts";

/** Room for 1 GiB of 1 MiB pieces in 128 bytes; doubled when an unknown length passes it. */
const UNKNOWN_PIECE_COUNT = 1024;

export class SharedPieces {
  #have: PieceSet;
  #wireForms: Uint32Array;

  constructor(size: number) {
    this.#have = sharedSet(size);
    this.#wireForms = sharedForms(size);
  }

  get have(): PieceSet {
    return this.#have;
  }

  /** See StoredContent. */
  get wireForms(): Uint32Array {
    return this.#wireForms;
  }

  /** The piece's bit must not be set while its row is another. */
  setRow(index: number, row: PieceRow): void {
    this.#wireForms[2 * index] = row.wireLength;
    this.#wireForms[2 * index + 1] = wireMarkOf(row);
  }

  /** Makes room for more pieces: whoever shares the memory must be told. Returns whether it had to. */
  growTo(count: number): boolean {
    if (count <= this.#have.size) return false;
    const grown = sharedSet(Math.max(count, this.#have.size * 2));
    for (const index of this.#have) grown.add(index);
    const forms = sharedForms(grown.size);
    forms.set(this.#wireForms);
    this.#have = grown;
    this.#wireForms = forms;
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

function sharedForms(size: number): Uint32Array {
  return new Uint32Array(new SharedArrayBuffer(size * 8));
}
