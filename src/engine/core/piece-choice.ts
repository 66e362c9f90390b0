// Which piece of a parent a child should take: a random useful one with a light pull to rare ones.
// Strict rarest-first makes thousands of children want the same piece (docs/architecture.md).

import { lowestBit } from "./piece-set.ts";
import type { Prng } from "./prng.ts";

export interface PieceQuestion {
  /** Arena words; rows are offsets into it. */
  words: Uint32Array;
  haveRow: number;
  takenRow: number;
  /** The child's window: pieces from its first gap (inclusive) to its end (exclusive). */
  from: number;
  end: number;
  /** Peers that have each piece. */
  availability: Uint32Array;
  /** How many candidates are compared for rarity; 1: purely random. */
  samples: number;
}

/** A piece that the parent has and the child neither has nor awaits; −1 when there is none. O(window / 32). */
export function choosePiece(question: PieceQuestion, prng: Prng): number {
  const { words, haveRow, takenRow, from, end, availability } = question;
  if (end <= from) return -1;
  const firstWord = from >>> 5;
  const lastWord = (end - 1) >>> 5;
  const span = lastWord - firstWord + 1;
  const lastMask = (end & 31) === 0 ? -1 : (1 << (end & 31)) - 1;
  const chance = prng.next();
  let word = firstWord + Math.floor((chance * span) / 0x1_0000_0000);
  let samplesLeft = question.samples;
  let best = -1;
  for (let i = 0; i < span; i++, word = word === lastWord ? firstWord : word + 1) {
    let useful = words[haveRow + word]! & ~words[takenRow + word]!;
    if (word === lastWord) useful &= lastMask;
    if (useful === 0) continue;
    const piece = (word << 5) + randomBit(useful, (chance + i) & 31);
    if (best === -1 || availability[piece]! < availability[best]!) best = piece;
    if (--samplesLeft === 0) break;
  }
  return best;
}

/** The lowest such piece: for a child without a swarm, whose reader follows from the start. */
export function lowestPiece(question: Omit<PieceQuestion, "availability" | "samples">): number {
  const { words, haveRow, takenRow, from, end } = question;
  for (let word = from >>> 5; word << 5 < end; word++) {
    const useful = words[haveRow + word]! & ~words[takenRow + word]!;
    if (useful === 0) continue;
    const piece = (word << 5) + lowestBit(useful);
    return piece < end ? piece : -1;
  }
  return -1;
}

/** The lowest piece that both rows have; −1 when there is none. */
export function firstCommonPiece(
  words: Uint32Array,
  rowA: number,
  rowB: number,
  wordCount: number,
): number {
  for (let word = 0; word < wordCount; word++) {
    const common = words[rowA + word]! & words[rowB + word]!;
    if (common !== 0) return (word << 5) + lowestBit(common);
  }
  return -1;
}

/** The first set bit of a non-zero word from `start` upwards, cyclically. */
function randomBit(word: number, start: number): number {
  const rotated = start === 0 ? word : (word >>> start) | (word << (32 - start));
  return (lowestBit(rotated) + start) & 31;
}
