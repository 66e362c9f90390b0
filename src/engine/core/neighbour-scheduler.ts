// Stands in for a silent owner: tells this host's download which pieces to take from which of the
// neighbours that the supernode named. One machine serves one content for as long as no supernode
// answers. It knows what neighbours say they have, and believes only what matches a manifest row.
//
//   askHave ─▶ haveTold ─▶ pulled ─▶ assign ─▶ (fetch, checked) ─▶ pulled with reports …
//      ▲__________│ again, the later the longer nothing was new

import { windowEnd } from "./download-window.ts";
import type { Machine } from "./machine.ts";
import { FIRST_NEIGHBOUR, type NeighbourEffect, type NeighbourEvent } from "./neighbour-events.ts";
import { choosePiece } from "./piece-choice.ts";
import { PieceSet } from "./piece-set.ts";
import type { Prng } from "./prng.ts";
import { PieceOutcome, type PieceReport, type Pull } from "./scheduler-events.ts";

/** Requests to one neighbour at once, and while no other has anything of use: twenty hosts share its few upload slots. */
const IN_FLIGHT_MAX = 1;
const IN_FLIGHT_MAX_ALONE = 2;

/** Time to the next look at what a neighbour has: doubled as long as it has nothing new. */
const ASK_US_MIN = 500_000;
const ASK_US_MAX = 1_000_000;

/**
 * Where this host reads the source others do too: after a read all neighbours are asked within this
 * time for each of them, at most ASK_US_MIN. Forty questions a second in all.
 */
const ASK_AFTER_READ_US = 25_000;

/** A neighbour without a free slot is left alone this long, as its server asks for. */
const BUSY_US = 1_000_000;

/** A neighbour that failed is left alone this long: doubled by each failure in a row. */
const FAILED_US_MIN = 1_000_000;
const FAILED_US_MAX = 30_000_000;

/** Pieces compared for rarity. */
const PIECE_SAMPLES = 4;

interface Neighbour {
  readonly number: number;
  readonly address: string;
  /** Offset of its bitmap in `#words`. */
  readonly haveRow: number;
  inFlight: number;
  isAsked: boolean;
  /** When it is asked again what it has; Infinity while it is asked. */
  askAtUs: number;
  askAfterUs: number;
  /** When it was asked last. */
  askedAtUs: number;
  /** What it has is known as of then; Infinity: it has all, or is silent again and again. */
  seenAtUs: number;
  /** Nothing is taken from it before; Infinity: it sent wrong bytes. */
  blockedUntilUs: number;
  /** Failures since its last good piece. */
  failures: number;
}

interface InFlight {
  piece: number;
  neighbour: Neighbour;
}

export interface NeighbourSchedulerOptions {
  prng: Prng;
  /** "host:port" of the neighbours' piece servers. */
  addresses: readonly string[];
  pieceCount: number;
  pieceLength: number;
  /** Pieces that are here; copied. */
  have: PieceSet;
  /** Pieces whose rows are known; copied. */
  rows: PieceSet;
}

export class NeighbourScheduler implements Machine<NeighbourEvent, NeighbourEffect> {
  readonly #prng: Prng;
  readonly #pieceCount: number;
  readonly #pieceLength: number;
  readonly #wordCount: number;
  /** Row 0: pieces that are not to be assigned (here, in flight, being read from the source, or without a row); then one per neighbour. */
  readonly #words: Uint32Array;
  readonly #have: PieceSet;
  readonly #rows: PieceSet;
  readonly #neighbours: Neighbour[];
  /** How many neighbours have each piece. */
  readonly #availability: Uint32Array;
  #inFlight: InFlight[] = [];
  /** Pieces that are being read from the source: from the first to before the end. */
  #sourceReads = { from: 0, end: 0 };
  #slots = 0;
  #wakeAtUs = Infinity;

  constructor(options: NeighbourSchedulerOptions) {
    const { prng, addresses, pieceCount, pieceLength, have, rows } = options;
    this.#prng = prng;
    this.#pieceCount = pieceCount;
    this.#pieceLength = pieceLength;
    this.#wordCount = (pieceCount + 31) >>> 5;
    this.#words = new Uint32Array(this.#wordCount * (addresses.length + 1));
    this.#have = new PieceSet(pieceCount);
    this.#rows = new PieceSet(pieceCount);
    for (const piece of have) if (piece < pieceCount) this.#have.add(piece);
    for (const piece of rows) if (piece < pieceCount) this.#rows.add(piece);
    this.#availability = new Uint32Array(this.#wordCount * 32);
    this.#neighbours = addresses.map((address, i) => ({
      number: FIRST_NEIGHBOUR + i,
      address,
      haveRow: this.#wordCount * (i + 1),
      inFlight: 0,
      isAsked: false,
      askAtUs: 0,
      askAfterUs: ASK_US_MIN,
      askedAtUs: -Infinity,
      seenAtUs: -Infinity,
      blockedUntilUs: 0,
      failures: 0,
    }));
    for (let piece = 0; piece < pieceCount; piece++) this.#setTaken(piece);
  }

  /** Pieces that can be had from neighbours and checked. O(neighbours × pieces / 32). */
  get available(): PieceSet {
    const words = new Uint32Array(this.#wordCount);
    for (const { haveRow } of this.#neighbours) {
      for (let word = 0; word < words.length; word++) words[word]! |= this.#words[haveRow + word]!;
    }
    for (let word = 0; word < words.length; word++) words[word]! &= this.#rows.words[word]!;
    return new PieceSet(this.#pieceCount, words);
  }

  /** `available` is what neighbours have as of then; Infinity: as of now. */
  get seenAtUs(): number {
    return this.#neighbours.reduce(
      (atUs, neighbour) => Math.min(atUs, neighbour.seenAtUs),
      Infinity,
    );
  }

  step(nowUs: number, event: NeighbourEvent, effects: NeighbourEffect[]): void {
    switch (event.kind) {
      case "pulled":
        this.#pulled(nowUs, event.pull, effects);
        break;
      case "haveTold":
        this.#haveTold(nowUs, event, effects);
        break;
      case "rowKnown":
        if (event.piece < this.#pieceCount && this.#rows.add(event.piece))
          this.#setTaken(event.piece);
        break;
      case "sourceReads":
        this.#readsSource(event.piece, event.piece + event.count);
        if (event.count === 0) this.#askSoon(nowUs);
        break;
      case "woke":
        this.#wakeAtUs = Infinity;
        break;
    }
    this.#assignFree(nowUs, effects);
    this.#ask(nowUs, effects);
    this.#planWake(nowUs, effects);
  }

  #pulled(nowUs: number, { slots, reports, overdue }: Pull, effects: NeighbourEffect[]): void {
    this.#slots = slots;
    for (const report of reports) this.#reported(nowUs, report, effects);
    for (const piece of overdue) this.#hedge(nowUs, piece, effects);
  }

  #reported(nowUs: number, report: PieceReport, effects: NeighbourEffect[]): void {
    const { piece, parent, outcome } = report;
    if (outcome === PieceOutcome.finished) this.#gained(piece);
    const at = this.#inFlight.findIndex(
      (entry) => entry.piece === piece && entry.neighbour.number === parent,
    );
    // Of a parent that the owner had given, or of the source.
    if (at === -1) return;
    const { neighbour } = this.#inFlight[at]!;
    this.#inFlight.splice(at, 1);
    neighbour.inFlight--;
    this.#setTaken(piece);
    switch (outcome) {
      case PieceOutcome.finished:
        neighbour.failures = 0;
        return;
      case PieceOutcome.busy:
        neighbour.blockedUntilUs = nowUs + BUSY_US + this.#prng.below(BUSY_US);
        return;
      case PieceOutcome.broken:
      case PieceOutcome.gone:
        return this.#failed(nowUs, neighbour);
      case PieceOutcome.corrupt:
        if (neighbour.blockedUntilUs === Infinity) return;
        this.#forget(neighbour);
        neighbour.blockedUntilUs = Infinity;
        neighbour.askAtUs = Infinity;
        neighbour.seenAtUs = Infinity;
        effects.push({ kind: "dropped", neighbour: neighbour.number, address: neighbour.address });
        return;
      case PieceOutcome.cancelled:
        return;
    }
  }

  #haveTold(
    nowUs: number,
    { neighbour: number, have }: Extract<NeighbourEvent, { kind: "haveTold" }>,
    effects: NeighbourEffect[],
  ): void {
    const neighbour = this.#neighbours[number - FIRST_NEIGHBOUR];
    if (neighbour === undefined || !neighbour.isAsked) return;
    neighbour.isAsked = false;
    if (neighbour.blockedUntilUs === Infinity) return;
    if (have === null) return this.#failed(nowUs, neighbour);
    const isNew = this.#learn(neighbour, have);
    neighbour.askAfterUs = isNew ? ASK_US_MIN : Math.min(ASK_US_MAX, neighbour.askAfterUs * 2);
    // One that has all has nothing new to tell; whether it still gives it is seen by taking it.
    const hasAll = this.#hasAll(neighbour);
    neighbour.askAtUs = hasAll ? Infinity : nowUs + neighbour.askAfterUs;
    neighbour.seenAtUs = hasAll ? Infinity : neighbour.askedAtUs;
    if (this.#hasWithoutRow(neighbour)) {
      effects.push({ kind: "askRows", neighbour: neighbour.number, address: neighbour.address });
    }
  }

  /** Returns whether it has more than before that is of use here. */
  #learn({ haveRow }: Neighbour, have: Uint32Array): boolean {
    let isNew = false;
    for (let word = 0; word < this.#wordCount; word++) {
      const before = this.#words[haveRow + word]!;
      const isLast = word === this.#wordCount - 1 && (this.#pieceCount & 31) !== 0;
      const mask = isLast ? 2 ** (this.#pieceCount & 31) - 1 : -1;
      const now = ((have[word] ?? 0) & mask) >>> 0;
      if ((now & ~before & ~this.#have.words[word]!) !== 0) isNew = true;
      this.#count(word, before & ~now, -1);
      this.#count(word, now & ~before, 1);
      this.#words[haveRow + word] = now;
    }
    return isNew;
  }

  #count(word: number, bits: number, change: 1 | -1): void {
    for (let left = bits; left !== 0; left &= left - 1)
      this.#availability[(word << 5) + 31 - Math.clz32(left & -left)]! += change;
  }

  #hasAll({ haveRow }: Neighbour): boolean {
    const words = this.#words.slice(haveRow, haveRow + this.#wordCount);
    return new PieceSet(this.#pieceCount, words).isFull;
  }

  #hasWithoutRow({ haveRow }: Neighbour): boolean {
    for (let word = 0; word < this.#wordCount; word++) {
      const wanted = this.#words[haveRow + word]! & ~this.#have.words[word]!;
      if ((wanted & ~this.#rows.words[word]!) !== 0) return true;
    }
    return false;
  }

  /** It does not answer, or not as it said: what it has does not count until it answers again. */
  #failed(nowUs: number, neighbour: Neighbour): void {
    // Late once, it may be reading the source all the same; silent again, it is waited for no more.
    if (neighbour.failures > 0) neighbour.seenAtUs = Infinity;
    const delayUs = Math.min(FAILED_US_MAX, FAILED_US_MIN * 2 ** neighbour.failures++);
    neighbour.blockedUntilUs = nowUs + delayUs;
    neighbour.askAtUs = neighbour.blockedUntilUs;
    this.#forget(neighbour);
  }

  #forget(neighbour: Neighbour): void {
    this.#learn(neighbour, new Uint32Array(this.#wordCount));
  }

  #gained(piece: number): void {
    if (piece >= this.#pieceCount || !this.#have.add(piece)) return;
    this.#setTaken(piece);
  }

  #readsSource(from: number, end: number): void {
    const before = this.#sourceReads;
    this.#sourceReads = { from, end };
    for (let piece = before.from; piece < before.end; piece++) this.#setTaken(piece);
    for (let piece = from; piece < end; piece++) this.#setTaken(piece);
  }

  #askSoon(nowUs: number): void {
    const atUs = nowUs + Math.min(ASK_US_MIN, ASK_AFTER_READ_US * this.#neighbours.length);
    for (const neighbour of this.#neighbours)
      if (neighbour.seenAtUs !== Infinity) neighbour.askAtUs = Math.min(neighbour.askAtUs, atUs);
  }

  /** Brings the row of what is not to be assigned up to date for one piece. */
  #setTaken(piece: number): void {
    const isTaken =
      this.#have.has(piece) ||
      !this.#rows.has(piece) ||
      (piece >= this.#sourceReads.from && piece < this.#sourceReads.end) ||
      this.#inFlight.some((entry) => entry.piece === piece);
    const bit = 1 << (piece & 31);
    const word = this.#words[piece >>> 5]!;
    this.#words[piece >>> 5] = isTaken ? word | bit : word & ~bit;
  }

  #assignFree(nowUs: number, effects: NeighbourEffect[]): void {
    while (this.#inFlight.length < this.#slots) {
      const next =
        this.#nextPiece(nowUs, IN_FLIGHT_MAX) ?? this.#nextPiece(nowUs, IN_FLIGHT_MAX_ALONE);
      if (next === null) return;
      this.#assign(next, effects);
    }
  }

  /** A useful piece, in the window if there is one, of a neighbour from one on that chance names. */
  #nextPiece(nowUs: number, inFlightMax: number): InFlight | null {
    const count = this.#neighbours.length;
    const firstGap = this.#have.firstMissing();
    const pieces = { firstGap, pieceCount: this.#pieceCount, pieceLength: this.#pieceLength };
    const end = windowEnd({ ...pieces, rateBytesPerSec: 0 });
    const start = count === 0 ? 0 : this.#prng.below(count);
    for (let i = 0; i < count; i++) {
      const neighbour = this.#neighbours[(start + i) % count]!;
      if (neighbour.inFlight >= inFlightMax || neighbour.blockedUntilUs > nowUs) continue;
      let piece = this.#usefulPiece(neighbour, firstGap, end);
      if (piece === -1) piece = this.#usefulPiece(neighbour, end, this.#pieceCount);
      if (piece !== -1) return { piece, neighbour };
    }
    return null;
  }

  #usefulPiece({ haveRow }: Neighbour, from: number, end: number): number {
    const words = this.#words;
    const availability = this.#availability;
    const samples = PIECE_SAMPLES;
    return choosePiece(
      { words, haveRow, takenRow: 0, from, end, availability, samples },
      this.#prng,
    );
  }

  /** Takes a second neighbour for a piece that is long under way. */
  #hedge(nowUs: number, piece: number, effects: NeighbourEffect[]): void {
    const running = this.#inFlight.filter((entry) => entry.piece === piece);
    if (running.length > 1 || piece >= this.#pieceCount || this.#have.has(piece)) return;
    const neighbour = this.#neighbours.find((other) => {
      const has = (this.#words[other.haveRow + (piece >>> 5)]! & (1 << (piece & 31))) !== 0;
      const isFree = other.inFlight < IN_FLIGHT_MAX_ALONE && other.blockedUntilUs <= nowUs;
      return has && isFree && other !== running[0]?.neighbour;
    });
    if (neighbour !== undefined) this.#assign({ piece, neighbour }, effects);
  }

  #assign(entry: InFlight, effects: NeighbourEffect[]): void {
    const { piece, neighbour } = entry;
    this.#inFlight.push(entry);
    neighbour.inFlight++;
    this.#setTaken(piece);
    const { number: parent, address } = neighbour;
    const assignment = { piece, count: 1, parent, address };
    const last = effects.at(-1);
    if (last?.kind === "assign") last.assignments.push(assignment);
    else effects.push({ kind: "assign", assignments: [assignment] });
  }

  #ask(nowUs: number, effects: NeighbourEffect[]): void {
    if (this.#have.isFull) return;
    for (const neighbour of this.#neighbours) {
      if (neighbour.isAsked || neighbour.askAtUs > nowUs) continue;
      neighbour.isAsked = true;
      neighbour.askedAtUs = nowUs;
      effects.push({ kind: "askHave", neighbour: neighbour.number, address: neighbour.address });
    }
  }

  #planWake(nowUs: number, effects: NeighbourEffect[]): void {
    if (this.#have.isFull) return;
    let atUs = Infinity;
    const hasFreeSlot = this.#inFlight.length < this.#slots;
    for (const { isAsked, askAtUs, blockedUntilUs } of this.#neighbours) {
      if (!isAsked) atUs = Math.min(atUs, askAtUs);
      if (hasFreeSlot && blockedUntilUs > nowUs) atUs = Math.min(atUs, blockedUntilUs);
    }
    if (atUs === Infinity || (atUs >= this.#wakeAtUs && this.#wakeAtUs > nowUs)) return;
    this.#wakeAtUs = Math.max(atUs, nowUs + 1);
    effects.push({ kind: "wakeAt", atUs: this.#wakeAtUs });
  }
}
