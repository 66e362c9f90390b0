// A content's layout and piece rows: append-only, made once at the seed, adopted and never remade.

import { assert } from "./machine.ts";
import type { PieceLayout } from "./piece-layout.ts";

/** How a piece travels and rests. Compressed and sealed forms come with smart compression and sealing. */
export type WireForm = "plain";

/** What is known of one verified piece. For plain pieces both digests are the same. */
export interface PieceRow {
  readonly form: WireForm;
  /** Bytes of the wire form. */
  readonly wireLength: number;
  /** SHA-256 of the wire form, 32 bytes: what relays check. */
  readonly wireSha256: Uint8Array;
  /** SHA-256 of the plain piece, 32 bytes: what resume, adoption and outputs check. */
  readonly plainSha256: Uint8Array;
}

/**
 * The rows of one content. Rows may be learned in any order (several range connections read a
 * source), but a row once set never changes.
 */
export class Manifest {
  readonly #rows: (PieceRow | undefined)[] = [];
  #layout: PieceLayout;
  readonly #learned: number[] = [];

  constructor(layout: PieceLayout) {
    this.#layout = layout;
  }

  get layout(): PieceLayout {
    return this.#layout;
  }

  /** Piece indices in the order their rows were learned: a cursor into it says what a peer was sent. */
  get learned(): readonly number[] {
    return this.#learned;
  }

  row(index: number): PieceRow | undefined {
    return this.#rows[index];
  }

  /** Sets a row. Invariant: a second row for a piece equals the first. */
  append(index: number, row: PieceRow): void {
    const known = this.#rows[index];
    if (known === undefined) {
      this.#rows[index] = row;
      this.#learned.push(index);
      return;
    }
    assert(sameBytes(known.wireSha256, row.wireSha256), "a manifest row never changes");
  }

  /** Fixes the length of a content that was read without knowing it. */
  close(length: number): void {
    assert(
      this.#layout.length === null || this.#layout.length === length,
      "a content's length never changes",
    );
    this.#layout = { length, pieceLength: this.#layout.pieceLength };
  }
}

/** Whether two digests are the same bytes. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
