// Decides which pieces of one content are worth compressing. Looks, each dearer than the one before
// and taken less often once it was in vain:
//
//   start of the content ── compressed format ──▶ never again, or now and then
//   8 KiB of a piece ────── looks random ───────▶ a gamble, taken ever more rarely while it is lost:
//                           128 KiB of it do not shrink ──▶ lost
//   the piece itself ────── shrinks by 10 % ────▶ kept
//
// A tar of mixed files changes its character within a few pieces, so nothing is forever but a
// stream's magic bytes.

import { looksRandom } from "./byte-sample.ts";
import { compressedFormatOf } from "./compressed-formats.ts";

/** After so many pieces in a row that did not shrink … */
const MISSES_MAX = 4;

/**
 * … only every other one is looked at: the rest are written as they come, without a stay in memory. Every
 * fourth saves little more and misses more where a content changes: half programs, half what is
 * compressed came to 0.651 of its bytes instead of 0.639 (0.635 were every piece tried).
 */
const LOOK_EVERY = 2;

/** A lost gamble halves their number, down to one piece in so many. */
const GAMBLE_EVERY_MAX = 16;

/** A compressed piece costs every host that reads it its decompression: less than this is not worth it. */
const WIRE_SHARE_MAX = 0.9;

/** What to do with a piece that was looked at; `gamble`: it looks random, and some such pieces shrink all the same. */
export type FormAttempt = "leave" | "compress" | "gamble";

/** One content's decisions; pieces may come in any order and overlap. */
export class WireFormChoice {
  #misses = 0;
  #isHopeless = false;
  #untilLook = 0;
  #gambleEvery = 1;
  #untilGamble = 0;

  /** The content's first bytes; before anything is asked, where they are known. */
  begins(start: Uint8Array): void {
    const format = compressedFormatOf(start);
    if (format === "stream") this.#isHopeless = true;
    if (format === "container") this.#misses = MISSES_MAX;
  }

  /** Whether the piece that begins now is to be looked at once it is whole. */
  wantsPiece(): boolean {
    if (this.#isHopeless) return false;
    if (this.#misses < MISSES_MAX) return true;
    if (this.#untilLook > 0) {
      this.#untilLook--;
      return false;
    }
    this.#untilLook = LOOK_EVERY - 1;
    return true;
  }

  /** Looks at a whole piece. Each attempt but `leave` is to be answered with `tried`. */
  look(piece: Uint8Array): FormAttempt {
    if (!looksRandom(piece)) return "compress";
    if (this.#untilGamble > 0) {
      this.#untilGamble--;
      this.#misses++;
      return "leave";
    }
    this.#untilGamble = this.#gambleEvery - 1;
    return "gamble";
  }

  /** What an attempt came to. */
  tried(attempt: FormAttempt, shrank: boolean): void {
    this.#misses = shrank ? 0 : this.#misses + 1;
    if (attempt !== "gamble") return;
    this.#gambleEvery = shrank ? 1 : Math.min(GAMBLE_EVERY_MAX, this.#gambleEvery * 2);
    this.#untilGamble = this.#gambleEvery - 1;
  }
}

/** The longest compressed form that is worth its decompression. */
export function worthwhileLength(plainLength: number): number {
  return Math.floor(plainLength * WIRE_SHARE_MAX);
}
