// Cuts a run of a source's bytes into pieces: digests each on the way and hands it to the sink.

import { pieceLengthAt, pieceOffset, type PieceLayout } from "../../engine/core/piece-layout.ts";
import type { SourceSink } from "./source-read.ts";

/** What a read knows of its content, shared by all its connections. */
export interface CutPlan {
  readonly layout: PieceLayout;
  readonly sink: SourceSink;
  /** Pieces that need no bytes: already there when the read began, or read since. */
  isDone(index: number): boolean;
  /** Called once a piece was written as a whole and told to the sink. */
  done(index: number): void;
}

/** Takes the bytes from a piece boundary on, in order. Bytes of pieces that are done are passed over. */
export class PieceCutter {
  readonly #plan: CutPlan;
  readonly #digest = new Bun.CryptoHasher("sha256");
  #position: number;

  /** @param offset where the run begins: a piece boundary */
  constructor(plan: CutPlan, offset: number) {
    this.#plan = plan;
    this.#position = offset;
  }

  /** Offset in the content of the next byte to come. */
  get position(): number {
    return this.#position;
  }

  async push(bytes: Uint8Array): Promise<void> {
    const { layout, sink } = this.#plan;
    for (let at = 0; at < bytes.length;) {
      const index = Math.floor(this.#position / layout.pieceLength);
      const pieceEnd = pieceOffset(layout, index) + pieceLengthAt(layout, index);
      const part = bytes.subarray(at, at + pieceEnd - this.#position);
      if (!this.#plan.isDone(index)) {
        this.#digest.update(part);
        await sink.write(this.#position, part);
      }
      at += part.length;
      this.#position += part.length;
      if (this.#position === pieceEnd) this.#finish(index, pieceEnd - pieceOffset(layout, index));
    }
  }

  /** The content ends here: finishes the last piece of a length that was not known. */
  end(): void {
    const { layout } = this.#plan;
    const rest = this.#position % layout.pieceLength;
    if (layout.length === null && rest > 0)
      this.#finish(Math.floor(this.#position / layout.pieceLength), rest);
  }

  #finish(index: number, length: number): void {
    if (this.#plan.isDone(index)) return;
    this.#plan.sink.pieceRead(index, length, this.#digest.digest());
    this.#plan.done(index);
  }
}
