// The manifest rows that this host vouches for to its neighbours: those that a supernode told it, and
// those of pieces that it read from the source itself. What only neighbours told is not among them:
// passed on, one liar's word would come back from many mouths. Forgotten with the process.

import { FrameEncoder, ROWS_MAX } from "../../net/wire/swarm-frames.ts";
import type { StoredContent } from "../../store/piece-store.ts";

export class FirstHandRows {
  /** Pieces in the order in which their rows were learned. */
  readonly #pieces = new WeakMap<StoredContent, Set<number>>();
  readonly #encoder = new FrameEncoder();

  /** The row of a piece is known at first hand; it must be in the content's manifest. */
  note(content: StoredContent, piece: number): void {
    const pieces = this.#pieces.get(content);
    if (pieces === undefined) this.#pieces.set(content, new Set([piece]));
    else pieces.add(piece);
  }

  /** A rows frame from the `from`-th row on; null when none is known so. Valid until the next call. */
  frame(content: StoredContent, from: number): Uint8Array | null {
    const pieces = this.#pieces.get(content);
    if (pieces === undefined) return null;
    const told = [...pieces].slice(from, from + ROWS_MAX);
    const rows = told.map((piece) => ({ piece, row: content.manifest.row(piece)! }));
    return this.#encoder.rows(0, rows);
  }
}
