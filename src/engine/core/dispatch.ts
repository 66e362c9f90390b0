// Matches children with parents: who gives which piece to whom, now. Every match takes one of the
// parent's upload slots until it is reported, so no parent is ever above its slots.

import { Blocklist } from "./blocklist.ts";
import { DenseList } from "./columns.ts";
import { HOST_SEED } from "./host-columns.ts";
import { assert } from "./machine.ts";
import { PiecePicker } from "./piece-picker.ts";
import type { Prng } from "./prng.ts";
import { reservationUs } from "./reservation-time.ts";
import { Reservations } from "./reservations.ts";
import type { ContentIndex, HostIndex, SchedulerEffect } from "./scheduler-events.ts";
import type { SwarmState } from "./swarm-state.ts";
import type { Swarm } from "./swarm.ts";
import { isMisfit, keepsSlotForProof } from "./transfer-speeds.ts";

/** Free parents looked at for one child, and useful ones compared. */
const PARENTS_LOOKED_AT = 32;
const PARENTS_COMPARED = 3;

/** Children served again in one tick, and parents looked at for them: about a millisecond. */
const TICK_CHILDREN_MAX = 256;
const TICK_LOOKS_MAX = 20_000;

/** Waiting children compared for one free upload slot. */
const CHILDREN_COMPARED = 6;

export class Dispatcher {
  readonly reservations = new Reservations();
  readonly blocks = new Blocklist();
  /** Contents in which someone waits. */
  readonly #activeContents = new DenseList();
  readonly #state: SwarmState;
  readonly #prng: Prng;
  readonly #pieces: PiecePicker;
  #effects: SchedulerEffect[] = [];
  #nowUs = 0;
  #takesAnyParent = false;
  /** Free parents looked at for a child. */
  #looks = PARENTS_LOOKED_AT;
  /** Members that were given something in this step. */
  readonly #given: number[] = [];
  /** Seeds that may still have something for the child that is served. */
  readonly #seedsLeft: number[] = [];

  constructor(state: SwarmState, prng: Prng) {
    this.#state = state;
    this.#prng = prng;
    this.#pieces = new PiecePicker(state, prng);
  }

  get waitsAnywhere(): boolean {
    return this.#activeContents.length > 0;
  }

  begin(nowUs: number, effects: SchedulerEffect[]): void {
    this.#nowUs = nowUs;
    this.#effects = effects;
  }

  end(): void {
    const given = this.#given;
    for (let member = given.pop(); member !== undefined; member = given.pop()) {
      this.#state.members.effect[member] = 0;
    }
  }

  /** Gives a child what its free slots can take, else lets it wait. */
  serveChild(swarm: Swarm, child: number): void {
    while (this.#hasAppetite(child) && this.#giveFromPeers(swarm, child)) {
      // Each round fills one slot.
    }
    this.updateWaiting(swarm, child);
    if (!swarm.waiting.has(child)) return;
    this.#serveFromSeeds(swarm, child);
  }

  /**
   * Uses the seeds' free slots, each time where the fewest uploads run. In the order of their list, the
   * first one was given all that its slots hold, and a swarm with less to ask for never used another.
   */
  #serveFromSeeds(swarm: Swarm, child: number): void {
    const seeds = this.#seedsLeft;
    seeds.push(...swarm.seeds);
    while (seeds.length > 0) {
      let at = 0;
      for (let i = 1; i < seeds.length; i++)
        if (this.#isBetterParent(seeds[i]!, seeds[at]!)) at = i;
      if (!this.#giveOneUpload(swarm, seeds[at]!, child)) seeds.splice(at, 1);
    }
  }

  /**
   * Looks again at some who wait, from a place that moves with chance: the sampled matching may have
   * missed the one parent that can help. For a child with nothing in flight every free parent is
   * looked at and a misfit is better than nothing, so it ends while one holder of each piece lives.
   */
  serveWaiting(): void {
    let childrenLeft = TICK_CHILDREN_MAX;
    let looksLeft = TICK_LOOKS_MAX;
    this.#takesAnyParent = true;
    for (const content of this.activeContents()) {
      const swarm = this.#state.swarms[content]!;
      const { waiting } = swarm;
      let position = this.#prng.below(waiting.length);
      for (let i = waiting.length; i > 0 && waiting.length > 0 && childrenLeft > 0; i--) {
        if (position >= waiting.length) position = 0;
        const child = waiting.at(position++);
        const isIdle = this.#state.members.inFlight[child] === 0 && looksLeft > 0;
        this.#looks = PARENTS_LOOKED_AT;
        if (isIdle)
          this.#looks = Math.max(this.#looks, this.#state.freeParentsFor(swarm, child).length);
        looksLeft -= this.#looks;
        childrenLeft--;
        this.serveChild(swarm, child);
      }
    }
    this.#looks = PARENTS_LOOKED_AT;
    this.#takesAnyParent = false;
  }

  /** Uses a host's free upload slots for whoever waits. `preferred` is looked at first (−1: nobody). */
  serveHost(host: HostIndex, preferred: number): void {
    const { hosts, members, swarms } = this.#state;
    if (hosts.kind[host] === HOST_SEED) {
      this.#serveSeed(host, preferred);
      return;
    }
    for (
      let next = hosts.firstMember[host]!;
      next !== 0 && hosts.hasFreeSlot(host);
      next = members.nextOfHost[next - 1]!
    ) {
      const swarm = swarms[members.content[next - 1]!]!;
      this.noteParent(swarm, next - 1);
      this.serveParent(swarm, next - 1, preferred);
    }
  }

  /** Uses a parent's free slots for children of one content. */
  serveParent(swarm: Swarm, parent: number, preferred: number): void {
    while (this.#giveOneUpload(swarm, parent, preferred)) {
      // Each round fills one upload slot.
    }
  }

  /** Takes a second parent for a piece that is overdue at a child; only for one that it was assigned. */
  hedge(swarm: Swarm, child: number, piece: number): void {
    const { members, hosts } = this.#state;
    const first = this.reservations.find(child, piece);
    if (first === 0 || this.#reservationCount(child, piece) > 1) return;
    const slowHost = this.reservations.parent[first]!;
    const list = this.#state.freeParentsFor(swarm, child);
    const start = list.length === 0 ? 0 : this.#prng.below(list.length);
    for (let i = 0; i < Math.min(list.length, PARENTS_LOOKED_AT); i++) {
      const parent = list.at((start + i) % list.length);
      const host = members.host[parent]!;
      if (host === slowHost || !hosts.hasFreeSlot(host) || !this.#state.has(parent, piece))
        continue;
      if (!this.#mayUse(swarm, child, parent)) continue;
      this.#assign(swarm, child, parent, piece);
      return;
    }
    for (const seed of swarm.seeds) {
      const host = members.host[seed]!;
      if (host === slowHost || !hosts.hasFreeSlot(host) || !this.#state.has(seed, piece)) continue;
      if (!hosts.canFetch(members.host[child]!, host)) continue;
      this.#assign(swarm, child, seed, piece);
      return;
    }
  }

  /** Ends a reservation. @returns the parent, which has a slot free now */
  release(entry: number): HostIndex {
    const { hosts, members } = this.#state;
    const parent = this.reservations.parent[entry]!;
    const child = this.reservations.child[entry]!;
    assert(hosts.uploading[parent]! > 0, "a reservation holds a slot of its parent");
    hosts.uploading[parent]!--;
    members.inFlight[child]!--;
    hosts.fetching[members.host[child]!]!--;
    this.reservations.remove(entry);
    return parent;
  }

  /** Enters or leaves the list of those who wait, and the list of contents where someone does. */
  updateWaiting(swarm: Swarm, child: number): void {
    if (this.#hasAppetite(child)) swarm.waiting.add(child);
    else swarm.waiting.delete(child);
    this.updateActive(swarm);
  }

  updateActive(swarm: Swarm): void {
    if (swarm.waiting.length > 0) this.#activeContents.add(swarm.content);
    else this.#activeContents.delete(swarm.content);
  }

  /** Lists a peer as a free parent. It leaves the list when it is found full. */
  noteParent(swarm: Swarm, member: number): void {
    const { members, hosts } = this.#state;
    const host = members.host[member]!;
    if (hosts.kind[host] === HOST_SEED || members.haveCount[member] === 0) return;
    if (hosts.hasFreeSlot(host)) this.#state.freeListOf(swarm, host).add(member);
  }

  /** Contents in which someone waits, from a position that moves with chance. */
  *activeContents(): Generator<ContentIndex> {
    const count = this.#activeContents.length;
    const start = count === 0 ? 0 : this.#prng.below(count);
    for (let i = 0; i < count && i < this.#activeContents.length; i++) {
      yield this.#activeContents.at((start + i) % this.#activeContents.length);
    }
  }

  #serveSeed(host: HostIndex, preferred: number): void {
    const { hosts, swarms } = this.#state;
    for (const content of this.activeContents()) {
      if (!hosts.hasFreeSlot(host)) return;
      const swarm = swarms[content]!;
      const seed = swarm.member(host);
      if (seed !== -1) this.serveParent(swarm, seed, preferred);
    }
  }

  #hasAppetite(child: number): boolean {
    const { members } = this.#state;
    return members.wantsPieces[child] === 1 && this.#slotsInUse(child) < members.slots[child]!;
  }

  /**
   * A peer has its slots once for all contents, as parents have theirs, and one in each content whatever
   * the others use: none waits for another's end.
   */
  #slotsInUse(child: number): number {
    const { hosts, members } = this.#state;
    const inFlight = members.inFlight[child]!;
    const host = members.host[child]!;
    return inFlight === 0 || hosts.kind[host] === HOST_SEED ? inFlight : hosts.fetching[host]!;
  }

  #giveFromPeers(swarm: Swarm, child: number): boolean {
    if (this.#giveFrom(this.#state.freeParentsFor(swarm, child), swarm, child)) return true;
    return swarm.freeBridges.length > 0 && this.#giveFrom(swarm.freeBridges, swarm, child);
  }

  #giveFrom(list: DenseList, swarm: Swarm, child: number): boolean {
    const { members, hosts } = this.#state;
    let position = list.length === 0 ? 0 : this.#prng.below(list.length);
    let bestParent = -1;
    let bestPiece = -1;
    let compared = 0;
    for (let tries = this.#looks; tries > 0 && list.length > 0; tries--) {
      if (position >= list.length) position = 0;
      const parent = list.at(position);
      if (!hosts.hasFreeSlot(members.host[parent]!)) {
        list.delete(parent);
        continue;
      }
      position++;
      // Load is looked at first: it costs less than to look for a piece.
      if (bestParent === -1 || this.#isBetterParent(parent, bestParent)) {
        if (!this.#mayUse(swarm, child, parent)) continue;
        const piece = this.#pieces.fromPeer(swarm, child, parent);
        if (piece === -1) continue;
        bestParent = parent;
        bestPiece = piece;
      }
      if (++compared === PARENTS_COMPARED) break;
    }
    if (bestParent === -1) return false;
    this.#assign(swarm, child, bestParent, bestPiece);
    return true;
  }

  #isBetterParent(a: number, b: number): boolean {
    const { members, hosts } = this.#state;
    return hosts.uploading[members.host[a]!]! < hosts.uploading[members.host[b]!]!;
  }

  #giveOneUpload(swarm: Swarm, parent: number, preferred: number): boolean {
    const { hosts, members } = this.#state;
    return (
      members.haveCount[parent] !== 0 &&
      hosts.hasFreeSlot(members.host[parent]!) &&
      swarm.waiting.length > 0 &&
      this.#giveToWaiting(swarm, parent, preferred)
    );
  }

  #giveToWaiting(swarm: Swarm, parent: number, preferred: number): boolean {
    const { members } = this.#state;
    if (this.#giveToSeed(swarm, parent)) return true;
    const list = swarm.waiting;
    let position = this.#prng.below(list.length);
    let bestChild = -1;
    let bestPiece = -1;
    let bestScore = Infinity;
    for (let i = preferred === -1 ? 0 : -1; i < CHILDREN_COMPARED && i < list.length; i++) {
      if (position >= list.length) position = 0;
      const child = i === -1 ? preferred : list.at(position++);
      if (i === -1 && !list.has(child)) continue;
      if (members.content[child] !== swarm.content) continue;
      const score = members.inFlight[child]! * 0x100_0000 + members.haveCount[child]!;
      if (score >= bestScore || !this.#mayUse(swarm, child, parent)) continue;
      const piece = this.#pieces.from(swarm, child, parent);
      if (piece === -1) continue;
      bestChild = child;
      bestPiece = piece;
      bestScore = score;
    }
    if (bestChild === -1) return false;
    this.#assign(swarm, bestChild, parent, bestPiece);
    this.updateWaiting(swarm, bestChild);
    return true;
  }

  /**
   * A seed that fills itself comes first at other seeds, with half of their slots at most: what it has
   * it gives on at once, and it is who goes on when the owner dies.
   */
  #giveToSeed(swarm: Swarm, parent: number): boolean {
    const { members, hosts } = this.#state;
    const host = members.host[parent]!;
    if (swarm.seeds.length < 2 || hosts.kind[host] !== HOST_SEED) return false;
    for (const seed of swarm.seeds) {
      if (!swarm.waiting.has(seed) || members.inFlight[seed]! * 2 >= hosts.slots[host]!) continue;
      const piece = this.#mayUse(swarm, seed, parent) ? this.#pieces.from(swarm, seed, parent) : -1;
      if (piece === -1) continue;
      this.#assign(swarm, seed, parent, piece);
      this.updateWaiting(swarm, seed);
      return true;
    }
    return false;
  }

  #mayUse(swarm: Swarm, child: number, parent: number): boolean {
    const { members, hosts } = this.#state;
    if (child === parent) return false;
    const parentHost = members.host[parent]!;
    if (!hosts.canFetch(members.host[child]!, parentHost)) return false;
    if (members.seedsOnly[child] === 1 && hosts.kind[parentHost] !== HOST_SEED) return false;
    if (this.blocks.isBlocked(child, parentHost, this.#nowUs)) return false;
    if (this.#takesAnyParent && members.inFlight[child] === 0) return true;
    const childHost = members.host[child]!;
    if (isMisfit(hosts, swarm, parentHost, childHost)) return false;
    const inUse = this.#slotsInUse(child);
    const isLastSlot = inUse > 0 && inUse + 1 >= members.slots[child]!;
    return !(isLastSlot && keepsSlotForProof(hosts, swarm, parentHost, childHost));
  }

  #reservationCount(child: number, piece: number): number {
    let count = 0;
    for (
      let entry = this.reservations.firstOfChild(child);
      entry !== 0;
      entry = this.reservations.nextOfChild[entry]!
    ) {
      if (this.reservations.piece[entry] === piece) count++;
    }
    return count;
  }

  #assign(swarm: Swarm, child: number, parent: number, piece: number): void {
    const { members, hosts } = this.#state;
    const host = members.host[parent]!;
    const deadlineUs =
      this.#nowUs + reservationUs(swarm.pieceLength, hosts.downSpeed[members.host[child]!]!);
    this.reservations.add({ child, parent: host, piece, deadlineUs });
    hosts.uploading[host]!++;
    members.inFlight[child]!++;
    hosts.fetching[members.host[child]!]!++;
    this.#state.setTaken(child, piece, true);
    this.#state.setFresh(swarm, piece, false);
    const order = { piece, count: 1, parent: host };
    const at = members.effect[child]!;
    if (at !== 0) {
      (this.#effects[at - 1] as SchedulerEffect & { kind: "assign" }).assignments.push(order);
      return;
    }
    this.#effects.push({
      kind: "assign",
      content: swarm.content,
      child: members.host[child]!,
      assignments: [order],
    });
    members.effect[child] = this.#effects.length;
    this.#given.push(child);
  }
}
