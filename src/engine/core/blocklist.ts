// Parents that a child will not be given: for a while after a failure, for good after wrong bytes.
// Nearly all children have none, so the lists are short and searched in order.

import { grown, IndexPool } from "./columns.ts";

/** Entries are numbers from 1 on; 0 stands for none. */
export class Blocklist {
  #first = new Int32Array(64);
  #next = new Int32Array(16);
  #parent = new Int32Array(16);
  #untilUs = new Float64Array(16);
  readonly #pool = new IndexPool(1);

  /** Keeps `parent` from `child` until then; a longer block stays. */
  block(child: number, parent: number, untilUs: number): void {
    this.#first = grown(this.#first, child + 1);
    for (let entry = this.#first[child]!; entry !== 0; entry = this.#next[entry]!) {
      if (this.#parent[entry] === parent) {
        this.#untilUs[entry] = Math.max(this.#untilUs[entry]!, untilUs);
        return;
      }
    }
    const entry = this.#pool.take();
    this.#next = grown(this.#next, entry + 1);
    this.#parent = grown(this.#parent, entry + 1);
    this.#untilUs = grown(this.#untilUs, entry + 1);
    this.#next[entry] = this.#first[child]!;
    this.#parent[entry] = parent;
    this.#untilUs[entry] = untilUs;
    this.#first[child] = entry;
  }

  isBlocked(child: number, parent: number, nowUs: number): boolean {
    if (child >= this.#first.length) return false;
    for (let entry = this.#first[child]!; entry !== 0; entry = this.#next[entry]!) {
      if (this.#parent[entry] === parent) return this.#untilUs[entry]! > nowUs;
    }
    return false;
  }

  /** Forgets a child's list. */
  clear(child: number): void {
    if (child >= this.#first.length) return;
    let entry = this.#first[child]!;
    this.#first[child] = 0;
    while (entry !== 0) {
      const next = this.#next[entry]!;
      this.#pool.give(entry);
      entry = next;
    }
  }
}
