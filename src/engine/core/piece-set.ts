// A set of piece indices as a bitmap: what a peer has, wants or has in flight.
// Piece i is bit `i & 31` of word `i >>> 5`; bits at and above `size` are always 0.

import { assert } from "./machine.ts";

/** A set of the pieces 0 … size − 1 of one content. */
export class PieceSet {
  readonly size: number;
  /** Shared with whoever was given it, e.g. a worker through a SharedArrayBuffer. */
  readonly words: Uint32Array;
  #count: number;

  /** @param words at least ⌈size / 32⌉ words, taken over; omitted: an empty set */
  constructor(size: number, words: Uint32Array = new Uint32Array((size + 31) >>> 5)) {
    assert(words.length >= (size + 31) >>> 5, "a piece set has a bit for every piece");
    this.size = size;
    this.words = words;
    this.#count = 0;
    for (let word = 0; word < words.length; word++) this.#count += popcount(words[word]!);
  }

  /** How many pieces are in the set; O(1). */
  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count === this.size;
  }

  has(index: number): boolean {
    return (this.words[index >>> 5]! & (1 << (index & 31))) !== 0;
  }

  /** Returns whether the piece was new to the set. */
  add(index: number): boolean {
    assert(index >= 0 && index < this.size, "a piece index lies within the content");
    if (this.has(index)) return false;
    this.words[index >>> 5]! |= 1 << (index & 31);
    this.#count++;
    return true;
  }

  /** Returns whether the piece was in the set. */
  delete(index: number): boolean {
    if (index >= this.size || !this.has(index)) return false;
    this.words[index >>> 5]! &= ~(1 << (index & 31));
    this.#count--;
    return true;
  }

  /** The first piece at or after `from` that is not in the set; `size` when there is none. */
  firstMissing(from = 0): number {
    for (let word = from >>> 5; word < this.words.length; word++) {
      let missing = ~this.words[word]!;
      if (word === from >>> 5) missing &= -1 << (from & 31);
      if (missing !== 0) return Math.min(this.size, (word << 5) + lowestBit(missing));
    }
    return this.size;
  }

  /** The pieces in ascending order. */
  *[Symbol.iterator](): Generator<number> {
    for (let word = 0; word < this.words.length; word++) {
      for (let bits = this.words[word]!; bits !== 0; bits &= bits - 1)
        yield (word << 5) + lowestBit(bits);
    }
  }

  /** A set with room for `size` pieces that holds the same ones; for contents that grow. */
  grownTo(size: number): PieceSet {
    const words = new Uint32Array((size + 31) >>> 5);
    words.set(this.words.subarray(0, words.length));
    return new PieceSet(size, words);
  }

  /** Little-endian bytes of the bitmap, ⌈size / 8⌉ of them: its form on the wire and at rest. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array((this.size + 7) >>> 3);
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.words[i >>> 2]! >>> ((i & 3) << 3);
    return bytes;
  }

  /** Reads what toBytes wrote; null when the length is wrong or a bit past the last piece is set. */
  static fromBytes(size: number, bytes: Uint8Array): PieceSet | null {
    // A division, not a shift: a size beyond 2^32, e.g. from a hostile message, must not wrap around.
    if (bytes.length !== Math.ceil(size / 8)) return null;
    const spareBits = bytes.length * 8 - size;
    if (spareBits > 0 && bytes[bytes.length - 1]! >>> (8 - spareBits) !== 0) return null;
    const words = new Uint32Array((size + 31) >>> 5);
    for (let i = 0; i < bytes.length; i++) words[i >>> 2]! |= bytes[i]! << ((i & 3) << 3);
    return new PieceSet(size, words);
  }

  static full(size: number): PieceSet {
    const words = new Uint32Array((size + 31) >>> 5).fill(0xffffffff);
    if ((size & 31) !== 0) words[words.length - 1] = 2 ** (size & 31) - 1;
    return new PieceSet(size, words);
  }
}

/** Set bits of a 32-bit word (Hacker's Delight, figure 5-2). */
export function popcount(word: number): number {
  let v = word - ((word >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** Index of the lowest set bit of a non-zero word. */
export function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}
