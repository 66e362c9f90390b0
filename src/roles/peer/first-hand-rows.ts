// The manifest rows that this host vouches for to its neighbours: those that a supernode told it, and
// those of pieces that it read from the source itself. What only neighbours told is not among them:
// passed on, one liar's word would come back from many mouths. Forgotten with the process.

import { PieceSet } from "../../engine/core/piece-set.ts";
import { FrameEncoder, ROWS_MAX } from "../../net/wire/swarm-frames.ts";
import type { StoredContent } from "../../store/piece-store.ts";

interface Known {
  /** In the order in which their rows were learned. */
  pieces: number[];
  set: PieceSet;
}

export class FirstHandRows {
  readonly #known = new WeakMap<StoredContent, Known>();
  readonly #encoder = new FrameEncoder();

  /** The row of a piece is known at first hand; it must be in the content's manifest. */
  note(content: StoredContent, piece: number): void {
    let known = this.#known.get(content);
    if (known === undefined) {
      known = { pieces: [], set: new PieceSet(content.have.size) };
      this.#known.set(content, known);
    }
    if (piece >= known.set.size)
      known.set = known.set.grownTo(Math.max(piece + 1, 2 * known.set.size));
    if (known.set.add(piece)) known.pieces.push(piece);
  }

  /** A rows frame from the `from`-th row on; null when none is known so. Valid until the next call. */
  frame(content: StoredContent, from: number): Uint8Array | null {
    const known = this.#known.get(content);
    if (known === undefined) return null;
    const told = known.pieces.slice(from, from + ROWS_MAX);
    const rows = told.map((piece) => ({ piece, row: content.manifest.row(piece)! }));
    return this.#encoder.rows(0, rows);
  }
}
