// Rations what peers read from the source when no supernode is left: each second B of a swarm's n
// peers begin, whichever chance names. Each reads a short run of the pieces that it has missed
// longest and gives them to its neighbours, so the swarm reads a missing piece about once.
//
//   looked ─▶ missing for PATIENCE ─▶ draw, once a second ─▶ readPieces ─▶ readEnded ─▶ draw …
//
// Where the ration is for all and all know each other, reads follow each other instead, as far as
// what the others read meanwhile has been looked at.

import type { Machine } from "./machine.ts";
import { NEIGHBOUR_COUNT } from "./neighbour-choice.ts";
import type { Prng } from "./prng.ts";

/** A piece that no neighbour has for so long is missing: what others bring shows up sooner. */
const PATIENCE_US = 2_000_000;

const DRAW_INTERVAL_US = 1_000_000;

/** After a failed read a peer draws again so much later; doubled by each failure in a row. */
const FAILED_US_MAX = 60_000_000;

/**
 * A read takes about so long: its run of pieces is made longer or shorter. With B starts a second,
 * B / 4 reads are open at a time on average, and 2 × B practically never.
 */
const READ_US = 250_000;
const RUN_PIECES_MAX = 64;

/**
 * What a peer reads shows up at the others some 3 s later. All reads that begin until then shall
 * bring a fraction of what is missing only: else they bring the same pieces again and again.
 */
const READERS_UNSEEN_SEC = 16;

/**
 * Peers that all read, and look at each other in between, bring at most a quarter of what is missing
 * between two looks, each its share of it: an eighth of that is read twice. Without a bound each of
 * them read everything before it knew of the others' first piece.
 */
const SHARES_UNSEEN = 4;

export type BackToSourceEvent =
  /** The last known swarm size and the fleet's B have changed; B = 0: nobody reads. */
  | { kind: "rationed"; swarmSize: number; readersPerSec: number }
  /**
   * What is here, and what neighbours have for it, as of `seenAtUs`, Infinity: as of now. Looked at
   * again whenever one of them changed.
   */
  | { kind: "looked"; have: Uint32Array; available: Uint32Array; seenAtUs: number }
  | { kind: "readEnded"; ok: boolean }
  | { kind: "woke" };

export type BackToSourceEffect =
  /** Read these pieces from the source; answered by `readEnded`. */
  { kind: "readPieces"; piece: number; count: number } | { kind: "wakeAt"; atUs: number };

/** Decides for one content on one peer. */
export class BackToSource implements Machine<BackToSourceEvent, BackToSourceEffect> {
  readonly #prng: Prng;
  /** Since when each piece is neither here nor at a neighbour; Infinity: it is. */
  readonly #missingSinceUs: Float64Array;
  #swarmSize: number;
  #readersPerSec: number;
  /** Whether neighbours have nothing for this host. */
  #isStarving = false;
  #missingCount = 0;
  #runPieces = 1;
  /** Pieces ordered since this host looked at all its neighbours, and when the first of them was. */
  #unseenPieces = 0;
  #unseenSinceUs = 0;
  /** Before the first look: null. */
  #drawAtUs: number | null = null;
  #readingSinceUs: number | null = null;
  #failures = 0;
  #wakeAtUs = Infinity;

  constructor(options: {
    prng: Prng;
    pieceCount: number;
    swarmSize: number;
    readersPerSec: number;
  }) {
    this.#prng = options.prng;
    this.#missingSinceUs = new Float64Array(options.pieceCount).fill(Infinity);
    this.#swarmSize = options.swarmSize;
    this.#readersPerSec = options.readersPerSec;
  }

  step(nowUs: number, event: BackToSourceEvent, effects: BackToSourceEffect[]): void {
    switch (event.kind) {
      case "rationed":
        this.#swarmSize = event.swarmSize;
        this.#readersPerSec = event.readersPerSec;
        break;
      case "looked":
        this.#looked(nowUs, event);
        break;
      case "readEnded":
        this.#readEnded(nowUs, event.ok);
        break;
      case "woke":
        this.#wakeAtUs = Infinity;
        break;
    }
    this.#draw(nowUs, effects);
    this.#planWake(nowUs, effects);
  }

  #looked(
    nowUs: number,
    { have, available, seenAtUs }: Extract<BackToSourceEvent, { kind: "looked" }>,
  ): void {
    const missing = this.#missingSinceUs;
    if (seenAtUs > this.#unseenSinceUs) this.#unseenPieces = 0;
    this.#isStarving = true;
    this.#missingCount = 0;
    for (let piece = 0; piece < missing.length; piece++) {
      const bit = 1 << (piece & 31);
      const isHere = (have[piece >>> 5]! & bit) !== 0;
      const isThere = (available[piece >>> 5]! & bit) !== 0;
      if (!isHere && isThere) this.#isStarving = false;
      if (isHere || isThere) missing[piece] = Infinity;
      else {
        this.#missingCount++;
        if (missing[piece] === Infinity) missing[piece] = nowUs;
      }
    }
    // All lost the same supernode at once, and shall not draw at once.
    this.#drawAtUs ??= nowUs + this.#prng.below(this.#isOneForEach ? 1 : DRAW_INTERVAL_US);
  }

  #readEnded(nowUs: number, ok: boolean): void {
    if (this.#readingSinceUs === null) return;
    const tookUs = nowUs - this.#readingSinceUs;
    this.#readingSinceUs = null;
    if (!ok) {
      const delayUs = DRAW_INTERVAL_US * 2 ** ++this.#failures;
      this.#drawAtUs = nowUs + Math.min(FAILED_US_MAX, delayUs);
      // Neighbours are looked at more often than a source that fails is asked.
      this.#unseenPieces = 0;
      return;
    }
    this.#failures = 0;
    if (tookUs < READ_US / 2) this.#runPieces = Math.min(RUN_PIECES_MAX, this.#runPieces * 2);
    if (tookUs > READ_US) this.#runPieces = Math.max(1, this.#runPieces >> 1);
    if (this.#isOneForEach) this.#drawAtUs = nowUs;
  }

  /**
   * Whether the ration is one reader a second and more for each peer, and each is a neighbour of all
   * others: then there is nothing to wait for but the next look.
   */
  get #isOneForEach(): boolean {
    return this.#readersPerSec >= this.#swarmSize && this.#swarmSize <= NEIGHBOUR_COUNT + 1;
  }

  /** How many pieces may be read now: a fraction of those that are missing, and at least one. */
  get #piecesMax(): number {
    if (this.#isOneForEach) {
      const share = Math.floor(this.#missingCount / (SHARES_UNSEEN * this.#swarmSize));
      return Math.max(1, share) - this.#unseenPieces;
    }
    const readers = Math.min(this.#swarmSize, this.#readersPerSec);
    return Math.max(1, Math.floor(this.#missingCount / (READERS_UNSEEN_SEC * readers)));
  }

  get #mayDraw(): boolean {
    const isReading = this.#readingSinceUs !== null;
    return !isReading && this.#readersPerSec > 0 && this.#isStarving && this.#piecesMax > 0;
  }

  #draw(nowUs: number, effects: BackToSourceEffect[]): void {
    if (!this.#mayDraw || nowUs < this.#drawAtUs!) return;
    const piece = this.#longestMissing();
    const isMissing = (i: number): boolean => this.#missingSinceUs[i]! + PATIENCE_US <= nowUs;
    if (piece === -1 || !isMissing(piece)) return;
    this.#drawAtUs = nowUs + DRAW_INTERVAL_US;
    if (this.#prng.below(Math.max(1, this.#swarmSize)) >= this.#readersPerSec) return;
    const countMax = Math.min(this.#runPieces, this.#piecesMax);
    let count = 1;
    while (count < countMax && isMissing(piece + count)) count++;
    this.#readingSinceUs = nowUs;
    if (this.#unseenPieces === 0) this.#unseenSinceUs = nowUs;
    this.#unseenPieces += count;
    effects.push({ kind: "readPieces", piece, count });
  }

  /** Among equals one that chance names: peers that lost the same supernode miss the same pieces. */
  #longestMissing(): number {
    let longest = -1;
    let sinceUs = Infinity;
    let equals = 0;
    for (let piece = 0; piece < this.#missingSinceUs.length; piece++) {
      const pieceSinceUs = this.#missingSinceUs[piece]!;
      if (pieceSinceUs > sinceUs || pieceSinceUs === Infinity) continue;
      equals = pieceSinceUs === sinceUs ? equals + 1 : 1;
      sinceUs = pieceSinceUs;
      if (this.#prng.below(equals) === 0) longest = piece;
    }
    return longest;
  }

  #planWake(nowUs: number, effects: BackToSourceEffect[]): void {
    if (!this.#mayDraw) return;
    let sinceUs = Infinity;
    for (const atUs of this.#missingSinceUs) sinceUs = Math.min(sinceUs, atUs);
    if (sinceUs === Infinity) return;
    const atUs = Math.max(sinceUs + PATIENCE_US, this.#drawAtUs!, nowUs + 1);
    if (atUs >= this.#wakeAtUs && this.#wakeAtUs > nowUs) return;
    this.#wakeAtUs = atUs;
    effects.push({ kind: "wakeAt", atUs });
  }
}
