// Dense columns for many peers: growing typed arrays, an arena of bitmap rows, and lists without
// order whose members know their place. Everything here is O(1) and allocates only when it grows.

import { assert } from "./machine.ts";

type Column = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float64Array;

/** The column with room for `capacity` entries; the same one when it has. New entries are 0. */
export function grown<T extends Column>(column: T, capacity: number): T {
  if (column.length >= capacity) return column;
  const wider = new (column.constructor as new (length: number) => T)(
    Math.max(capacity, column.length * 2, 16),
  );
  wider.set(column);
  return wider;
}

/** Rows of bit words in one array; a freed row is given out again for the same word count. */
export class BitmapArena {
  /** Replaced when it grows: read it anew after `allocate`. */
  words = new Uint32Array(1024);
  #used = 0;
  readonly #freeRows = new Map<number, number[]>();

  /** Offset of a row of `wordCount` zero words. */
  allocate(wordCount: number): number {
    const reused = this.#freeRows.get(wordCount)?.pop();
    if (reused !== undefined) {
      this.words.fill(0, reused, reused + wordCount);
      return reused;
    }
    const offset = this.#used;
    this.#used += wordCount;
    this.words = grown(this.words, this.#used);
    return offset;
  }

  free(offset: number, wordCount: number): void {
    const rows = this.#freeRows.get(wordCount);
    if (rows === undefined) this.#freeRows.set(wordCount, [offset]);
    else rows.push(offset);
  }
}

/** A column that its users share because it may be replaced when it grows. */
export interface SharedColumn {
  values: Int32Array;
}

/**
 * A set of small integers in one array, with O(1) add, delete and draw by position. The order
 * depends only on the calls made.
 */
export class DenseList {
  #items = new Int32Array(16);
  /** Position + 1 in `#items`; 0: in no list. */
  readonly #places: SharedColumn;
  #length = 0;

  /** @param places shared by lists of which an item is in at most one */
  constructor(places: SharedColumn = { values: new Int32Array(16) }) {
    this.#places = places;
  }

  get length(): number {
    return this.#length;
  }

  at(position: number): number {
    return this.#items[position]!;
  }

  has(item: number): boolean {
    return item < this.#places.values.length && this.#places.values[item] !== 0;
  }

  add(item: number): void {
    if (this.has(item)) return;
    this.#places.values = grown(this.#places.values, item + 1);
    this.#items = grown(this.#items, this.#length + 1);
    this.#items[this.#length++] = item;
    this.#places.values[item] = this.#length;
  }

  delete(item: number): void {
    if (!this.has(item)) return;
    const places = this.#places.values;
    const position = places[item]! - 1;
    const last = this.#items[--this.#length]!;
    this.#items[position] = last;
    places[last] = position + 1;
    places[item] = 0;
  }
}

/** Gives out small integers and takes them back, the last freed one first. */
export class IndexPool {
  #next: number;
  readonly #free: number[] = [];

  /** @param first 1 where 0 stands for none */
  constructor(first = 0) {
    this.#next = first;
  }

  take(): number {
    return this.#free.pop() ?? this.#next++;
  }

  give(index: number): void {
    assert(index < this.#next, "only an index that was taken is given back");
    this.#free.push(index);
  }

  /** Upper bound of all indices taken so far: the length columns must have. */
  get capacity(): number {
    return this.#next;
  }
}
