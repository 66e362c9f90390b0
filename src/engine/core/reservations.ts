// What is assigned and not reported: one entry per piece, child and parent. An entry holds one of
// the parent's upload slots until the child reports, either side leaves, or its time is up.

import { grown, IndexPool } from "./columns.ts";

/** Entries are numbers from 1 on; 0 stands for none. Each is in a list of its child and one of its parent. */
export class Reservations {
  /** Member that downloads. */
  child = new Int32Array(64);
  /** Host that uploads. */
  parent = new Int32Array(64);
  piece = new Uint32Array(64);
  /** When the slot is taken back from a child that never reported. */
  deadlineUs = new Float64Array(64);
  nextOfChild = new Int32Array(64);
  nextOfParent = new Int32Array(64);
  #previousOfChild = new Int32Array(64);
  #previousOfParent = new Int32Array(64);
  #firstOfChild = new Int32Array(64);
  #firstOfParent = new Int32Array(64);
  readonly #pool = new IndexPool(1);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** All entries are below it; those not in use have deadline 0. */
  get capacity(): number {
    return this.#pool.capacity;
  }

  firstOfChild(child: number): number {
    return child < this.#firstOfChild.length ? this.#firstOfChild[child]! : 0;
  }

  firstOfParent(parent: number): number {
    return parent < this.#firstOfParent.length ? this.#firstOfParent[parent]! : 0;
  }

  add(entry: { child: number; parent: number; piece: number; deadlineUs: number }): void {
    const index = this.#pool.take();
    this.#grow(index + 1, entry.child + 1, entry.parent + 1);
    this.child[index] = entry.child;
    this.parent[index] = entry.parent;
    this.piece[index] = entry.piece;
    this.deadlineUs[index] = entry.deadlineUs;
    this.#count++;

    const ofChild = this.#firstOfChild[entry.child]!;
    this.nextOfChild[index] = ofChild;
    this.#previousOfChild[index] = 0;
    if (ofChild !== 0) this.#previousOfChild[ofChild] = index;
    this.#firstOfChild[entry.child] = index;

    const ofParent = this.#firstOfParent[entry.parent]!;
    this.nextOfParent[index] = ofParent;
    this.#previousOfParent[index] = 0;
    if (ofParent !== 0) this.#previousOfParent[ofParent] = index;
    this.#firstOfParent[entry.parent] = index;
  }

  remove(index: number): void {
    const childNext = this.nextOfChild[index]!;
    const childPrevious = this.#previousOfChild[index]!;
    if (childNext !== 0) this.#previousOfChild[childNext] = childPrevious;
    if (childPrevious !== 0) this.nextOfChild[childPrevious] = childNext;
    else this.#firstOfChild[this.child[index]!] = childNext;

    const parentNext = this.nextOfParent[index]!;
    const parentPrevious = this.#previousOfParent[index]!;
    if (parentNext !== 0) this.#previousOfParent[parentNext] = parentPrevious;
    if (parentPrevious !== 0) this.nextOfParent[parentPrevious] = parentNext;
    else this.#firstOfParent[this.parent[index]!] = parentNext;

    this.deadlineUs[index] = 0;
    this.#count--;
    this.#pool.give(index);
  }

  /** The entry of a child's piece, from `parent` or (-1) from any; 0 when there is none. O(pieces the child has in flight). */
  find(child: number, piece: number, parent = -1): number {
    let index = this.firstOfChild(child);
    while (
      index !== 0 &&
      (this.piece[index] !== piece || (parent !== -1 && this.parent[index] !== parent))
    ) {
      index = this.nextOfChild[index]!;
    }
    return index;
  }

  #grow(entries: number, children: number, parents: number): void {
    this.#firstOfChild = grown(this.#firstOfChild, children);
    this.#firstOfParent = grown(this.#firstOfParent, parents);
    // The other columns are of one length: one look tells for all.
    if (entries <= this.child.length) return;
    this.child = grown(this.child, entries);
    this.parent = grown(this.parent, entries);
    this.piece = grown(this.piece, entries);
    this.deadlineUs = grown(this.deadlineUs, entries);
    this.nextOfChild = grown(this.nextOfChild, entries);
    this.nextOfParent = grown(this.nextOfParent, entries);
    this.#previousOfChild = grown(this.#previousOfChild, entries);
    this.#previousOfParent = grown(this.#previousOfParent, entries);
  }
}
