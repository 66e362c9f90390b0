// What the scheduler knows of each member: one host's part in one content.

import { grown, IndexPool } from "./columns.ts";

/** One row per member: one host's part in one content. */
export class MemberColumns {
  readonly #pool = new IndexPool();
  content = new Int32Array(64);
  host = new Int32Array(64);
  /** Offsets of two rows in the arena: pieces it has, and pieces it has or was assigned. */
  haveRow = new Uint32Array(64);
  takenRow = new Uint32Array(64);
  haveCount = new Uint32Array(64);
  /** First piece it lacks. */
  firstGap = new Uint32Array(64);
  /** Pieces it would have assigned at once, and those assigned. */
  slots = new Uint16Array(64);
  inFlight = new Uint16Array(64);
  wantsPieces = new Uint8Array(64);
  /** Whether peers are no parents for it. */
  seedsOnly = new Uint8Array(64);
  /** Speed class under which it is counted among those who want pieces, plus 1; 0: not counted. */
  countedClass = new Uint8Array(64);
  /** Neighbours in the list of the same host's members, plus 1; 0: none. */
  nextOfHost = new Int32Array(64);
  previousOfHost = new Int32Array(64);
  /** Effect of this step that carries the member's assignments, plus 1; 0: none yet. */
  effect = new Int32Array(64);

  take(): number {
    const member = this.#pool.take();
    const count = member + 1;
    this.content = grown(this.content, count);
    this.host = grown(this.host, count);
    this.haveRow = grown(this.haveRow, count);
    this.takenRow = grown(this.takenRow, count);
    this.haveCount = grown(this.haveCount, count);
    this.firstGap = grown(this.firstGap, count);
    this.slots = grown(this.slots, count);
    this.inFlight = grown(this.inFlight, count);
    this.wantsPieces = grown(this.wantsPieces, count);
    this.seedsOnly = grown(this.seedsOnly, count);
    this.countedClass = grown(this.countedClass, count);
    this.nextOfHost = grown(this.nextOfHost, count);
    this.previousOfHost = grown(this.previousOfHost, count);
    this.effect = grown(this.effect, count);
    this.haveCount[member] = 0;
    this.firstGap[member] = 0;
    this.slots[member] = 0;
    this.inFlight[member] = 0;
    this.seedsOnly[member] = 0;
    this.effect[member] = 0;
    this.countedClass[member] = 0;
    return member;
  }

  give(member: number): void {
    this.#pool.give(member);
  }
}
