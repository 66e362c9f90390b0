// The scheduler's books: hosts, contents and who takes part in which, as dense columns. It keeps
// them consistent; what to do with them is decided in scheduler.ts and dispatch.ts.

import { BitmapArena, DenseList, grown, IndexPool, type SharedColumn } from "./columns.ts";
import type { ContentIndex, HostIndex } from "./scheduler-events.ts";
import { SPEED_CLASSES } from "./transfer-speeds.ts";

export type HostKind = 0 | 1 | 2;
export const HOST_ABSENT = 0;
export const HOST_PEER = 1;
export const HOST_SEED = 2;

/** One row per host, by HostIndex. */
export class HostColumns {
  kind = new Uint8Array(64);
  /** Uploads the scheduler gives the host at once now. */
  slots = new Uint16Array(64);
  /** Uploads reserved over all contents. */
  uploading = new Uint16Array(64);
  isQuarantined = new Uint8Array(64);
  /** First child that accused the host of wrong bytes, plus 1; 0: nobody did. */
  accuser = new Int32Array(64);
  /** Learned bytes per second of each slot; 0: unknown. See transfer-speeds.ts. */
  upSpeed = new Float64Array(64);
  downSpeed = new Float64Array(64);
  /** The speed classes that follow from these. */
  upClass = new Uint8Array(64);
  downClass = new Uint8Array(64);
  /** Whether a transfer was seen that the host's own link limited. */
  isUpProven = new Uint8Array(64);
  isDownProven = new Uint8Array(64);
  /** First of the host's members, plus 1; 0: none. */
  firstMember = new Int32Array(64);

  grow(count: number): void {
    this.kind = grown(this.kind, count);
    this.slots = grown(this.slots, count);
    this.uploading = grown(this.uploading, count);
    this.isQuarantined = grown(this.isQuarantined, count);
    this.accuser = grown(this.accuser, count);
    this.upSpeed = grown(this.upSpeed, count);
    this.downSpeed = grown(this.downSpeed, count);
    this.upClass = grown(this.upClass, count);
    this.downClass = grown(this.downClass, count);
    this.isUpProven = grown(this.isUpProven, count);
    this.isDownProven = grown(this.isDownProven, count);
    this.firstMember = grown(this.firstMember, count);
  }

  isPresent(host: HostIndex): boolean {
    return host < this.kind.length && this.kind[host] !== HOST_ABSENT;
  }

  /** Whether the host may be given one more upload. */
  hasFreeSlot(host: HostIndex): boolean {
    return this.uploading[host]! < this.slots[host]! && this.isQuarantined[host] === 0;
  }
}

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
    this.countedClass = grown(this.countedClass, count);
    this.nextOfHost = grown(this.nextOfHost, count);
    this.previousOfHost = grown(this.previousOfHost, count);
    this.effect = grown(this.effect, count);
    this.haveCount[member] = 0;
    this.firstGap[member] = 0;
    this.slots[member] = 0;
    this.inFlight[member] = 0;
    this.effect[member] = 0;
    this.countedClass[member] = 0;
    return member;
  }

  give(member: number): void {
    this.#pool.give(member);
  }
}

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
  /** Peers with a piece and a free upload slot. */
  readonly freeParents: DenseList;

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
    this.freeParents = new DenseList(options.freePlaces);
  }

  /** The highest speed class of a member that wants pieces; 0: none, or none known. */
  fastestWanting(): number {
    return this.#fastestWanting;
  }

  /** Moves one member between classes; −1 stands for not wanting. */
  countWanting(from: number, to: number): void {
    if (from >= 0) this.#wantingByClass[from]!--;
    if (to >= 0) this.#wantingByClass[to]!++;
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

/** Everything the scheduler knows. */
export class SwarmState {
  readonly hosts = new HostColumns();
  readonly members = new MemberColumns();
  readonly arena = new BitmapArena();
  readonly swarms: (Swarm | undefined)[] = [];
  readonly #waitingPlaces: SharedColumn = { values: new Int32Array(64) };
  readonly #freePlaces: SharedColumn = { values: new Int32Array(64) };

  openSwarm(content: ContentIndex, pieceLength: number, pieceCount: number | null): Swarm {
    const places = { waitingPlaces: this.#waitingPlaces, freePlaces: this.#freePlaces };
    const swarm = new Swarm({ content, pieceLength, pieceCount, arena: this.arena, ...places });
    this.swarms[content] = swarm;
    return swarm;
  }

  has(member: number, piece: number): boolean {
    return hasBit(this.arena.words, this.members.haveRow[member]!, piece);
  }

  isTaken(member: number, piece: number): boolean {
    return hasBit(this.arena.words, this.members.takenRow[member]!, piece);
  }

  setTaken(member: number, piece: number, isTaken: boolean): void {
    setBit(this.arena.words, this.members.takenRow[member]!, piece, isTaken);
  }

  isFresh(swarm: Swarm, piece: number): boolean {
    return hasBit(this.arena.words, swarm.freshRow, piece);
  }

  setFresh(swarm: Swarm, piece: number, isFresh: boolean): void {
    if (this.isFresh(swarm, piece) === isFresh) return;
    setBit(this.arena.words, swarm.freshRow, piece, isFresh);
    swarm.freshCount += isFresh ? 1 : -1;
  }

  /** Notes that a member has a piece. Returns whether that is new. */
  addPiece(swarm: Swarm, member: number, piece: number): boolean {
    if (this.has(member, piece)) return false;
    const { members, arena } = this;
    setBit(arena.words, members.haveRow[member]!, piece, true);
    setBit(arena.words, members.takenRow[member]!, piece, true);
    members.haveCount[member]!++;
    if (this.hosts.kind[members.host[member]!] !== HOST_SEED) swarm.availability[piece]!++;
    let gap = members.firstGap[member]!;
    while (gap < swarm.pieceCount && this.has(member, gap)) gap++;
    members.firstGap[member] = gap;
    return true;
  }

  /** Notes that a member lost a piece. */
  dropPiece(swarm: Swarm, member: number, piece: number): void {
    if (!this.has(member, piece)) return;
    const { members, arena } = this;
    setBit(arena.words, members.haveRow[member]!, piece, false);
    setBit(arena.words, members.takenRow[member]!, piece, false);
    members.haveCount[member]!--;
    if (this.hosts.kind[members.host[member]!] !== HOST_SEED) swarm.availability[piece]!--;
    if (piece < members.firstGap[member]!) members.firstGap[member] = piece;
  }

  /** Counts a member under its present speed class, or (false) no more. */
  countWanting(swarm: Swarm, member: number, isWanting: boolean): void {
    const { members, hosts } = this;
    const from = members.countedClass[member]! - 1;
    const to = isWanting ? hosts.downClass[members.host[member]!]! : -1;
    if (from === to) return;
    swarm.countWanting(from, to);
    members.countedClass[member] = to + 1;
  }

  addMember(swarm: Swarm, host: HostIndex, wantsPieces: boolean): number {
    const { members, hosts, arena } = this;
    const member = members.take();
    members.content[member] = swarm.content;
    members.host[member] = host;
    members.haveRow[member] = arena.allocate(swarm.wordCount);
    members.takenRow[member] = arena.allocate(swarm.wordCount);
    members.wantsPieces[member] = wantsPieces ? 1 : 0;
    const first = hosts.firstMember[host]!;
    members.nextOfHost[member] = first;
    members.previousOfHost[member] = 0;
    if (first !== 0) members.previousOfHost[first - 1] = member + 1;
    hosts.firstMember[host] = member + 1;
    swarm.memberOf = grown(swarm.memberOf, host + 1);
    swarm.memberOf[host] = member + 1;
    if (hosts.kind[host] === HOST_SEED) swarm.seeds.push(member);
    return member;
  }

  /** Takes a member out of every list and the availability. Its reservations must be gone. */
  removeMember(swarm: Swarm, member: number): void {
    const { members, hosts, arena } = this;
    const host = members.host[member]!;
    if (hosts.kind[host] === HOST_SEED) swarm.seeds.splice(swarm.seeds.indexOf(member), 1);
    else
      for (let piece = 0; piece < swarm.pieceCount; piece++) {
        if (this.has(member, piece)) swarm.availability[piece]!--;
      }
    this.countWanting(swarm, member, false);
    swarm.waiting.delete(member);
    swarm.freeParents.delete(member);
    swarm.memberOf[host] = 0;
    const next = members.nextOfHost[member]!;
    const previous = members.previousOfHost[member]!;
    if (next !== 0) members.previousOfHost[next - 1] = previous;
    if (previous !== 0) members.nextOfHost[previous - 1] = next;
    else hosts.firstMember[host] = next;
    arena.free(members.haveRow[member]!, swarm.wordCount);
    arena.free(members.takenRow[member]!, swarm.wordCount);
    members.give(member);
  }

  /** Makes room for `pieceCount` pieces in all rows of a content whose length was not known. */
  growSwarm(swarm: Swarm, pieceCount: number): void {
    swarm.pieceCount = Math.max(swarm.pieceCount, pieceCount);
    if (wordsFor(pieceCount) <= swarm.wordCount) return;
    const { members } = this;
    const wordCount = Math.max(wordsFor(pieceCount), swarm.wordCount * 2);
    for (const memberPlus1 of swarm.memberOf) {
      if (memberPlus1 === 0) continue;
      members.haveRow[memberPlus1 - 1] = this.#widen(
        members.haveRow[memberPlus1 - 1]!,
        swarm.wordCount,
        wordCount,
      );
      members.takenRow[memberPlus1 - 1] = this.#widen(
        members.takenRow[memberPlus1 - 1]!,
        swarm.wordCount,
        wordCount,
      );
    }
    swarm.freshRow = this.#widen(swarm.freshRow, swarm.wordCount, wordCount);
    const availability = new Uint32Array(wordCount * 32);
    availability.set(swarm.availability);
    swarm.availability = availability;
    swarm.wordCount = wordCount;
  }

  #widen(row: number, oldWords: number, newWords: number): number {
    const wider = this.arena.allocate(newWords);
    this.arena.words.copyWithin(wider, row, row + oldWords);
    this.arena.free(row, oldWords);
    return wider;
  }
}

export function hasBit(words: Uint32Array, row: number, piece: number): boolean {
  return (words[row + (piece >>> 5)]! & (1 << (piece & 31))) !== 0;
}

function setBit(words: Uint32Array, row: number, piece: number, isSet: boolean): void {
  const at = row + (piece >>> 5);
  if (isSet) words[at] = words[at]! | (1 << (piece & 31));
  else words[at] = words[at]! & ~(1 << (piece & 31));
}
