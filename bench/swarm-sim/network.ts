// The simulated network: every host has an up link and a down link, shared max-min fairly among its
// transfers. Shares are kept by local water-filling: when a link's transfers change, its fair level
// is found anew from what the links at the other ends allow, and neighbours follow while that
// changes anything worth speaking of.

import { grown, IndexPool } from "../../src/engine/core/columns.ts";

/**
 * Changes below this share of a level are not passed on. Raised levels are passed on sooner: a
 * neighbour that missed one would let its link carry too much, one that missed a lowered level
 * only leaves a little unused.
 */
const RAISE_TOLERANCE = 0.002;
const LOWER_TOLERANCE = 0.02;

/** Links visited for one change at most. A level is only raised where that is still checked. */
const LINKS_VISITED_MAX = 24;

/** Links are numbers: 2 × host is its up link, 2 × host + 1 its down link. */
export class Network {
  readonly #rates: Float64Array;
  /** Fair level of each link: no transfer on it gets more. Bytes per microsecond. */
  readonly #levels: Float64Array;
  readonly #flowsOf: number[][] = [];

  readonly #pool = new IndexPool();
  #fromLink = new Int32Array(1024);
  #toLink = new Int32Array(1024);
  #bytesLeft = new Float64Array(1024);
  #rate = new Float64Array(1024);
  #updatedUs = new Float64Array(1024);
  #endUs = new Float64Array(1024);
  /** Heap of flows by end, then number; #placeOf is its inverse. */
  #heap = new Int32Array(1024);
  #placeOf = new Int32Array(1024);
  #heapLength = 0;

  readonly #toVisit: number[] = [];
  readonly #isQueued: Uint8Array;

  /** @param bytesPerUs rates of the links, by link number */
  constructor(bytesPerUs: Float64Array) {
    this.#rates = bytesPerUs;
    this.#levels = bytesPerUs.slice();
    this.#isQueued = new Uint8Array(bytesPerUs.length);
    for (let link = 0; link < bytesPerUs.length; link++) this.#flowsOf.push([]);
  }

  /** When the next transfer ends; Infinity when there is none. */
  get nextEndUs(): number {
    return this.#heapLength === 0 ? Infinity : this.#endUs[this.#heap[0]!]!;
  }

  get nextFlow(): number {
    return this.#heap[0]!;
  }

  uploads(host: number): number {
    return this.#flowsOf[2 * host]!.length;
  }

  /** Starts a transfer and returns its number, valid until it is removed. */
  start(nowUs: number, from: number, to: number, bytes: number): number {
    const flow = this.#pool.take();
    this.#grow(flow + 1);
    this.#fromLink[flow] = 2 * from;
    this.#toLink[flow] = 2 * to + 1;
    this.#bytesLeft[flow] = bytes;
    this.#rate[flow] = 0;
    this.#updatedUs[flow] = nowUs;
    this.#endUs[flow] = Infinity;
    this.#flowsOf[2 * from]!.push(flow);
    this.#flowsOf[2 * to + 1]!.push(flow);
    this.#placeOf[flow] = this.#heapLength;
    this.#heap[this.#heapLength++] = flow;
    this.#settle(nowUs, 2 * from, 2 * to + 1);
    return flow;
  }

  /** Ends a transfer, finished or not. */
  remove(nowUs: number, flow: number): void {
    const from = this.#fromLink[flow]!;
    const to = this.#toLink[flow]!;
    unlist(this.#flowsOf[from]!, flow);
    unlist(this.#flowsOf[to]!, flow);
    const place = this.#placeOf[flow]!;
    const last = this.#heap[--this.#heapLength]!;
    if (last !== flow) {
      this.#heap[place] = last;
      this.#placeOf[last] = place;
      this.#reheap(last);
    }
    this.#pool.give(flow);
    this.#settle(nowUs, from, to);
  }

  #settle(nowUs: number, linkA: number, linkB: number): void {
    const queue = this.#toVisit;
    queue.length = 0;
    queue.push(linkA, linkB);
    this.#isQueued[linkA] = 1;
    this.#isQueued[linkB] = 1;
    for (let i = 0; i < queue.length; i++) {
      const link = queue[i]!;
      this.#isQueued[link] = 0;
      const old = this.#levels[link]!;
      const level = this.#fairLevel(link);
      const mayPassOn = queue.length < LINKS_VISITED_MAX;
      // Invariant: a link's transfers never exceed its rate. Raising a level unchecked could break it.
      if (level > old && !mayPassOn && i > 1) continue;
      this.#levels[link] = level;
      const changed = level > old * (1 + RAISE_TOLERANCE) || level < old * (1 - LOWER_TOLERANCE);
      for (const flow of this.#flowsOf[link]!) {
        const other = this.#fromLink[flow] === link ? this.#toLink[flow]! : this.#fromLink[flow]!;
        const otherLevel = this.#levels[other]!;
        const isFelt = changed && Math.min(level, old) < otherLevel * (1 + LOWER_TOLERANCE);
        if (isFelt && this.#isQueued[other] === 0 && (mayPassOn || level > old)) {
          this.#isQueued[other] = 1;
          queue.push(other);
        }
        this.#setRate(nowUs, flow, Math.min(level, otherLevel));
      }
    }
  }

  /** The level at which the link is full, given what the other ends allow; its whole rate when they allow less. */
  #fairLevel(link: number): number {
    const flows = this.#flowsOf[link]!;
    const rate = this.#rates[link]!;
    let level = flows.length === 0 ? rate : rate / flows.length;
    for (let round = 0; round < 8; round++) {
      let capped = 0;
      let cappedCount = 0;
      for (const flow of flows) {
        const other =
          this.#levels[
            this.#fromLink[flow] === link ? this.#toLink[flow]! : this.#fromLink[flow]!
          ]!;
        if (other < level) {
          capped += other;
          cappedCount++;
        }
      }
      if (cappedCount === flows.length) return rate;
      const next = (rate - capped) / (flows.length - cappedCount);
      if (next <= level * (1 + 1e-9)) return next;
      level = next;
    }
    return level;
  }

  #setRate(nowUs: number, flow: number, rate: number): void {
    const old = this.#rate[flow]!;
    if (Math.abs(rate - old) <= 1e-9 * old) return;
    const left = Math.max(0, this.#bytesLeft[flow]! - old * (nowUs - this.#updatedUs[flow]!));
    this.#bytesLeft[flow] = left;
    this.#rate[flow] = rate;
    this.#updatedUs[flow] = nowUs;
    this.#endUs[flow] = nowUs + Math.ceil(left / rate);
    this.#reheap(flow);
  }

  #reheap(flow: number): void {
    const heap = this.#heap;
    let at = this.#placeOf[flow]!;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (!this.#endsBefore(flow, heap[up]!)) break;
      heap[at] = heap[up]!;
      this.#placeOf[heap[at]!] = at;
      at = up;
    }
    for (;;) {
      let down = 2 * at + 1;
      if (down >= this.#heapLength) break;
      if (down + 1 < this.#heapLength && this.#endsBefore(heap[down + 1]!, heap[down]!)) down++;
      if (!this.#endsBefore(heap[down]!, flow)) break;
      heap[at] = heap[down]!;
      this.#placeOf[heap[at]!] = at;
      at = down;
    }
    heap[at] = flow;
    this.#placeOf[flow] = at;
  }

  #endsBefore(a: number, b: number): boolean {
    const difference = this.#endUs[a]! - this.#endUs[b]!;
    return difference < 0 || (!(difference > 0) && a < b);
  }

  #grow(count: number): void {
    this.#fromLink = grown(this.#fromLink, count);
    this.#toLink = grown(this.#toLink, count);
    this.#bytesLeft = grown(this.#bytesLeft, count);
    this.#rate = grown(this.#rate, count);
    this.#updatedUs = grown(this.#updatedUs, count);
    this.#endUs = grown(this.#endUs, count);
    this.#heap = grown(this.#heap, count);
    this.#placeOf = grown(this.#placeOf, count);
  }
}

function unlist(flows: number[], flow: number): void {
  flows[flows.indexOf(flow)] = flows[flows.length - 1]!;
  flows.pop();
}
