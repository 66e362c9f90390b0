// One content that is scheduled: its pieces, their availability, and who waits or could give.

import { type BitmapArena, DenseList, type SharedColumn } from "./columns.ts";
import type { ContentIndex, HostIndex } from "./scheduler-events.ts";
import { SPEED_CLASSES } from "./speed-class.ts";

/** One content that is scheduled here. */
export class Swarm {
  readonly content: ContentIndex;
  readonly pieceLength: number;
  /** Pieces known to exist; final once `isClosed`. */
  pieceCount: number;
  isClosed: boolean;
  /** Words per bitmap row; at least ⌈pieceCount / 32⌉. */
  wordCount: number;
  /** Member + 1 by host; 0: not a member. */
  memberOf = new Int32Array(16);
  readonly seeds: number[] = [];
  /** Arena row of pieces that rest on a seed and were never given out. */
  freshRow: number;
  freshCount = 0;
  /** Peers (not seeds) that have each piece. */
  availability: Uint32Array;
  /** Members that have free slots and want pieces. */
  readonly waiting: DenseList;
  /** How many members want pieces, by speed class. */
  readonly #wantingByClass = new Uint32Array(SPEED_CLASSES);
  #fastestWanting = 0;
  #wantingCount = 0;
  /** Peers with a piece and a free upload slot, by the one zone that reaches them. */
  readonly #freeByZone: DenseList[] = [];
  /** Those that several zones reach. */
  readonly freeBridges: DenseList;
  readonly #freePlaces: SharedColumn;

  constructor(options: {
    content: ContentIndex;
    pieceLength: number;
    pieceCount: number | null;
    arena: BitmapArena;
    waitingPlaces: SharedColumn;
    freePlaces: SharedColumn;
  }) {
    this.content = options.content;
    this.pieceLength = options.pieceLength;
    this.pieceCount = options.pieceCount ?? 0;
    this.isClosed = options.pieceCount !== null;
    this.wordCount = wordsFor(options.pieceCount ?? WORDS_UNKNOWN * 32);
    this.freshRow = options.arena.allocate(this.wordCount);
    this.availability = new Uint32Array(this.wordCount * 32);
    this.waiting = new DenseList(options.waitingPlaces);
    this.#freePlaces = options.freePlaces;
    this.freeBridges = new DenseList(options.freePlaces);
  }

  /** Peers with a piece and a free upload slot that only hosts of this zone reach. */
  freeParents(zone: number): DenseList {
    return (this.#freeByZone[zone] ??= new DenseList(this.#freePlaces));
  }

  /** The highest speed class of a member that wants pieces; 0: none, or none known. */
  fastestWanting(): number {
    return this.#fastestWanting;
  }

  /** How many members want pieces. */
  get wantingCount(): number {
    return this.#wantingCount;
  }

  /** Moves one member between classes; −1 stands for not wanting. */
  countWanting(from: number, to: number): void {
    if (from >= 0) this.#wantingByClass[from]!--;
    if (to >= 0) this.#wantingByClass[to]!++;
    this.#wantingCount += (to >= 0 ? 1 : 0) - (from >= 0 ? 1 : 0);
    if (to > this.#fastestWanting) this.#fastestWanting = to;
    while (this.#fastestWanting > 0 && this.#wantingByClass[this.#fastestWanting] === 0)
      this.#fastestWanting--;
  }

  member(host: HostIndex): number {
    return host < this.memberOf.length ? this.memberOf[host]! - 1 : -1;
  }
}

/** Rows of a content of unknown length start with room for 256 pieces and double. */
const WORDS_UNKNOWN = 8;

export function wordsFor(pieceCount: number): number {
  return Math.max(1, (pieceCount + 31) >>> 5);
}
