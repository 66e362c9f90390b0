// The scheduler's books: hosts, contents and who takes part in which, as dense columns. It keeps
// them consistent; what to do with them is decided in scheduler.ts and dispatch.ts.

import { BitmapArena, type DenseList, grown, type SharedColumn } from "./columns.ts";
import { HOST_SEED, HostColumns } from "./host-columns.ts";
import { MemberColumns } from "./member-columns.ts";
import type { HostIndex } from "./scheduler-events.ts";
import { Swarm, wordsFor } from "./swarm.ts";

/** Everything the scheduler knows. */
export class SwarmState {
  readonly hosts = new HostColumns();
  readonly members = new MemberColumns();
  readonly arena = new BitmapArena();
  readonly swarms: (Swarm | undefined)[] = [];
  readonly #waitingPlaces: SharedColumn = { values: new Int32Array(64) };
  readonly #freePlaces: SharedColumn = { values: new Int32Array(64) };

  /** Without effect for a content that is open. */
  openSwarm(facts: Pick<Swarm, "content" | "pieceLength"> & { pieceCount: number | null }): void {
    if (this.swarms[facts.content] !== undefined) return;
    const places = { waitingPlaces: this.#waitingPlaces, freePlaces: this.#freePlaces };
    this.swarms[facts.content] = new Swarm({ ...facts, arena: this.arena, ...places });
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
    this.countWanting(swarm, member, wantsPieces);
    return member;
  }

  /** Puts a host into its zones: in which list a free parent stands depends on them. */
  enterZones(host: HostIndex, zone: number, alsoIn: readonly number[] | "all"): void {
    const { hosts, members, swarms } = this;
    for (let next = hosts.firstMember[host]!; next !== 0; next = members.nextOfHost[next - 1]!) {
      this.freeListOf(swarms[members.content[next - 1]!]!, host).delete(next - 1);
    }
    hosts.enterZones(host, zone, alsoIn);
  }

  /** Where a host's members are listed while it has a free upload slot. */
  freeListOf(swarm: Swarm, host: HostIndex): DenseList {
    const { isBridge, zone } = this.hosts;
    return isBridge[host] === 1 ? swarm.freeBridges : swarm.freeParents(zone[host]!);
  }

  /** Free parents of a child's own zone. */
  freeParentsFor(swarm: Swarm, child: number): DenseList {
    return swarm.freeParents(this.hosts.zone[this.members.host[child]!]!);
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
    this.freeListOf(swarm, host).delete(member);
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
