// Makes the pieces of one content from its source's bytes, each in its wire form at its place in the
// data file:
//
//   bytes ─┬─ plain for sure ────────────────────────────────▶ written as they come
//          ├─ sealed, not compressed ─▶ sealed as they come ─▶ written
//          └─ collected ─▶ whole ─▶ look, zstd?, seal? ─▶ wire form written; the plain piece never
//                                └▶ a row is known: made again as it says
//
// Memory holds the pieces that arrive and those that wait for a maker; while too many do, `take` does
// not return.
//
// Invariant: of what is to be sealed no plain byte is written.

import { shrinksInParts } from "../../engine/bytes/compression.ts";
import {
  encodePiece,
  PassingSeal,
  remakePiece,
  type PiecePlace,
} from "../../engine/bytes/wire-form.ts";
import { assert } from "../../engine/core/machine.ts";
import { type PieceRow, plainRow } from "../../engine/core/manifest.ts";
import { type PieceLayout, pieceLengthAt, pieceOffset } from "../../engine/core/piece-layout.ts";
import {
  type FormAttempt,
  WireFormChoice,
  worthwhileLength,
} from "../../engine/core/wire-form-choice.ts";
import { DfError } from "../../errors.ts";
import { INLINE_BYTES_MAX } from "../../limits.ts";
import type { Forming } from "./forming.ts";
import type { HeldPiece, PieceMakers } from "./piece-makers.ts";

export interface PieceMakerOptions extends Forming {
  contentId: string;
  layout: PieceLayout;
  /** Of pieces that are not there: they are made as these say. */
  rows: ReadonlyMap<number, PieceRow>;
  makers: PieceMakers;
  write: (offset: number, bytes: Uint8Array) => Promise<void>;
  /** The piece rests in the data file. @param lookMs spent to find out whether it shrinks */
  made: (index: number, row: PieceRow, lookMs: number) => void;
  /** A piece could not be made: the read is to end. */
  failed: (error: unknown) => void;
}

export class PieceMaker {
  readonly #options: PieceMakerOptions;
  readonly #compresses: boolean;
  readonly #choice = new WireFormChoice();
  readonly #collected = new Map<number, HeldPiece>();
  readonly #sealing = new Map<number, PassingSeal>();
  readonly #making = new Set<Promise<void>>();

  constructor(options: PieceMakerOptions) {
    this.#options = options;
    const { compresses, layout } = options;
    // What travels inside the answer to a join gains nothing.
    this.#compresses = compresses && (layout.length ?? Infinity) > INLINE_BYTES_MAX;
  }

  /**
   * Takes bytes of one piece; its first bytes come first. They may be reused once this resolves.
   * @throws {DfError} as `write`; the signal's reason
   */
  async take(offset: number, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const { layout, makers, write } = this.#options;
    makers.noteArrived(bytes.length);
    const index = Math.floor(offset / layout.pieceLength);
    const at = offset - pieceOffset(layout, index);
    const length = pieceLengthAt(layout, index);
    if (at === 0 && !this.#collected.has(index)) {
      this.#sealing.delete(index);
      if (this.#collects(index, bytes))
        this.#collected.set(index, await makers.hold(length, signal));
      else this.#sealInPassing(index, length);
    }
    const piece = this.#collected.get(index);
    if (piece !== undefined) piece.bytes.set(bytes, at);
    else await write(offset, this.#passing(index, bytes));
  }

  /** All bytes of a piece were taken; `made` or `failed` follows. @param sha256 of these bytes */
  finish(index: number, length: number, sha256: Uint8Array): void {
    const piece = this.#collected.get(index);
    if (piece === undefined) {
      const row = this.#sealing.get(index)?.finish(sha256) ?? plainRow(length, sha256);
      this.#sealing.delete(index);
      this.#options.made(index, row, 0);
      return;
    }
    this.#collected.delete(index);
    const making = this.#make(index, piece, { length, sha256 })
      .catch((error: unknown) => this.#options.failed(error))
      .finally(() => this.#making.delete(making));
    this.#making.add(making);
  }

  /** Resolves when every finished piece is made. */
  async settled(): Promise<void> {
    await Promise.all(this.#making);
  }

  /** Gives up what was collected; what is being made ends first. */
  async close(): Promise<void> {
    await this.settled();
    for (const piece of this.#collected.values()) piece.release(false);
    this.#collected.clear();
  }

  #collects(index: number, start: Uint8Array): boolean {
    const { key, layout, rows, makers } = this.#options;
    const known = rows.get(index);
    if (known !== undefined) return known.form !== "plain";
    if (index === 0) this.#choice.begins(start);
    // A seal is bound to the piece's length, and that of the last one is not known before its end.
    if (key !== null && layout.length === null) return true;
    return this.#compresses && !makers.isOverloaded && this.#choice.wantsPiece();
  }

  /** Begins a piece that is not collected, under a nonce of its own each time its bytes come. */
  #sealInPassing(index: number, length: number): void {
    const { contentId, key } = this.#options;
    if (this.#isPlain(index) || key === null) return;
    this.#sealing.set(index, new PassingSeal({ contentId, index, key }, length));
  }

  /** What is written of a piece that is not collected. */
  #passing(index: number, bytes: Uint8Array): Uint8Array {
    const sealing = this.#sealing.get(index);
    if (sealing !== undefined) return sealing.take(bytes);
    assert(this.#isPlain(index), "of what is to be sealed no plain byte is written");
    return bytes;
  }

  /** Whether the piece may be written as it comes. */
  #isPlain(index: number): boolean {
    const { key, rows } = this.#options;
    return key === null || rows.get(index)?.form === "plain";
  }

  async #make(
    index: number,
    piece: HeldPiece,
    plain: { length: number; sha256: Uint8Array },
  ): Promise<void> {
    const { layout, makers, write, made } = this.#options;
    const bytes = piece.bytes.subarray(0, plain.length);
    let isWritten = false;
    try {
      // A maker is free when its piece is on disk: a slow disk must not fill the memory.
      const { row, lookMs } = await makers.run(async () => {
        const { wire, ...formed } = await this.#form(index, bytes, plain.sha256);
        await write(pieceOffset(layout, index), wire);
        return formed;
      });
      isWritten = true;
      made(index, row, lookMs);
    } finally {
      piece.release(isWritten);
    }
  }

  async #form(
    index: number,
    plain: Uint8Array,
    plainSha256: Uint8Array,
  ): Promise<{ wire: Uint8Array; row: PieceRow; lookMs: number }> {
    const { contentId, key, rows, makers } = this.#options;
    const place = { contentId, index, key };
    const known = rows.get(index);
    if (known !== undefined) return remade(plain, known, place);
    const startedAtMs = performance.now();
    const attempt = this.#attempt(plain);
    const lookMs = performance.now() - startedAtMs;
    // What looks random is tried with as little as possible.
    const level = attempt === "compress" ? makers.levelNow() : 1;
    const zstdLevel = attempt === "leave" ? 0 : level;
    const packedLengthMax = worthwhileLength(plain.length);
    const encoded = await encodePiece(plain, {
      ...place,
      ...{ zstdLevel, packedLengthMax, plainSha256 },
    });
    if (attempt === "leave") return { ...encoded, lookMs };
    const elapsedMs = performance.now() - startedAtMs;
    const shrank = encoded.row.zstdLevel > 0;
    makers.compressed(level, plain.length, elapsedMs);
    this.#choice.tried(attempt, shrank);
    // What was compressed in vain was no more than a look.
    return { ...encoded, lookMs: shrank || key !== null ? lookMs : elapsedMs };
  }

  /** What to do with a whole piece; a gamble only where parts of it shrink. */
  #attempt(plain: Uint8Array): FormAttempt {
    if (!this.#compresses) return "leave";
    const attempt = this.#choice.look(plain);
    if (attempt !== "gamble" || shrinksInParts(plain)) return attempt;
    this.#choice.tried(attempt, false);
    return "leave";
  }
}

/**
 * The wire form that a row describes. Nothing else may stand for it: others have the row.
 * @throws {DfError} source-changed
 */
async function remade(
  plain: Uint8Array,
  row: PieceRow,
  place: PiecePlace,
): Promise<{ wire: Uint8Array; row: PieceRow; lookMs: number }> {
  const wire = await remakePiece(plain, row, place);
  if (wire !== null) return { wire, row, lookMs: 0 };
  throw new DfError(
    "source-changed",
    `make piece ${place.index} as its row says: it came out otherwise`,
    {
      hint: "the source changed, or another version of df made the row; asking again makes the content anew",
    },
  );
}
