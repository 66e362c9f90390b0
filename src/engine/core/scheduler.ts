// The supernode's scheduler: tells each peer which pieces to take from whom. It sees only what the
// wire carries: who has what, who asks, what became of each assignment. Who is matched with whom is
// decided in dispatch.ts; the books are in swarm-state.ts.

import { accuse, judge, pardon } from "./accusations.ts";
import { Dispatcher } from "./dispatch.ts";
import { CHILD_SLOTS_MAX, HOST_ABSENT, HOST_PEER, HOST_SEED } from "./host-columns.ts";
import { assert, type Machine } from "./machine.ts";
import type { Prng } from "./prng.ts";
import {
  NO_PARENT,
  PieceOutcome,
  type ContentIndex,
  type HostIndex,
  type PieceReport,
  type SchedulerEffect,
  type SchedulerEvent,
} from "./scheduler-events.ts";
import { SwarmState } from "./swarm-state.ts";
import type { Swarm } from "./swarm.ts";
import { learnSpeed } from "./transfer-speeds.ts";
import { UploadSlots } from "./upload-slots.ts";

/** A parent that was busy is left alone by that child this long: some piece times. */
const BUSY_BLOCK_US = 200_000;
/** A parent that broke is left alone by that child this long: a restart's time. */
const BROKEN_BLOCK_US = 10_000_000;

/** Who still waits is looked at again this often: the sampled matching may have missed a match. */
const TICK_US = 100_000;

/** All contents of one supernode. A failed invariant means that its books are suspect: the role restarts it. */
export class Scheduler implements Machine<SchedulerEvent, SchedulerEffect> {
  readonly #state = new SwarmState();
  readonly #dispatcher: Dispatcher;
  /** Hosts whose slots were freed in this step. */
  readonly #freedHosts: HostIndex[] = [];
  /** Children that lost a parent in this step. */
  readonly #orphans: number[] = [];
  readonly #uploadSlots = new UploadSlots(this.#state.hosts);
  #wakeAtUs = Infinity;
  #nowUs = 0;

  constructor(options: { prng: Prng }) {
    this.#dispatcher = new Dispatcher(this.#state, options.prng);
  }

  step(nowUs: number, event: SchedulerEvent, effects: SchedulerEffect[]): void {
    this.#nowUs = nowUs;
    this.#dispatcher.begin(nowUs, effects);
    this.#apply(event, effects);
    this.#serveFreedHosts(-1);
    this.#serveOrphans();
    this.#dispatcher.end();
    this.#planWake(effects);
  }

  /** Emptied by pop, as the step's other lists: to set their lengths took a twentieth of each step. */
  #serveFreedHosts(preferred: number): void {
    const freed = this.#freedHosts;
    for (let host = freed.pop(); host !== undefined; host = freed.pop()) {
      if (this.#state.hosts.isPresent(host)) this.#dispatcher.serveHost(host, preferred);
    }
  }

  /** What their parent owed them is taken from others at once. */
  #serveOrphans(): void {
    const { members, swarms } = this.#state;
    const orphans = this.#orphans;
    for (let child = orphans.pop(); child !== undefined; child = orphans.pop()) {
      const swarm = swarms[members.content[child]!];
      if (swarm?.waiting.has(child)) this.#dispatcher.serveChild(swarm, child);
    }
  }

  #apply(event: SchedulerEvent, effects: SchedulerEffect[]): void {
    switch (event.kind) {
      case "hostArrived":
        return this.#hostArrived(event);
      case "hostReachable":
        return this.#hostReachable(event);
      case "probed":
        return judge(this.#state.hosts, event, effects);
      case "pardoned":
        this.#freedHosts.push(event.host);
        return pardon(this.#state.hosts, event.host);
      case "hostGone":
        return this.#hostGone(event.host);
      case "contentOpened":
        return this.#state.openSwarm(event);
      case "contentClosed":
        return this.#contentClosed(event.content, event.pieceCount);
      case "contentDropped":
        return this.#contentDropped(event.content);
      case "pieceSeeded":
        return this.#pieceSeeded(event.content, event.host, event.piece);
      case "seedWants":
        return this.#seedWants(event);
      case "joined":
        return this.#joined(event);
      case "pulled":
        return this.#pulled(event, effects);
      case "left": {
        const swarm = this.#state.swarms[event.content];
        const member = swarm?.member(event.host) ?? -1;
        if (member !== -1) this.#removeMember(swarm!, member);
        return;
      }
      case "woke":
        return this.#woke();
    }
  }

  #hostArrived(event: SchedulerEvent & { kind: "hostArrived" }): void {
    const { hosts } = this.#state;
    if (hosts.isPresent(event.host)) this.#hostGone(event.host);
    hosts.arrive(event.host, event.isSeed ? HOST_SEED : HOST_PEER);
    hosts.enterZones(event.host, event.zone ?? 0, event.alsoIn ?? []);
    this.#uploadSlots.allow(event.host, event.uploadSlots);
    hosts.isQuarantined[event.host] = event.isQuarantined === true ? 1 : 0;
  }

  #hostReachable(event: SchedulerEvent & { kind: "hostReachable" }): void {
    const { host, uploadSlots, zone = 0, alsoIn = [] } = event;
    if (!this.#state.hosts.isPresent(host)) return;
    this.#state.enterZones(host, zone, alsoIn);
    this.#uploadSlots.allow(host, uploadSlots);
    this.#freedHosts.push(host);
  }

  #hostGone(host: HostIndex): void {
    const { hosts, members, swarms } = this.#state;
    if (!hosts.isPresent(host)) return;
    for (let next = hosts.firstMember[host]!; next !== 0; next = hosts.firstMember[host]!) {
      this.#removeMember(swarms[members.content[next - 1]!]!, next - 1);
    }
    assert(hosts.uploading[host] === 0, "a host without members uploads nothing");
    hosts.kind[host] = HOST_ABSENT;
    this.#uploadSlots.forget(host);
  }

  #contentClosed(content: ContentIndex, pieceCount: number): void {
    const swarm = this.#state.swarms[content];
    if (swarm === undefined) return;
    this.#state.growSwarm(swarm, pieceCount);
    swarm.pieceCount = pieceCount;
    swarm.isClosed = true;
    for (const memberPlus1 of swarm.memberOf)
      if (memberPlus1 !== 0) this.#checkComplete(swarm, memberPlus1 - 1);
  }

  #contentDropped(content: ContentIndex): void {
    const swarm = this.#state.swarms[content];
    if (swarm === undefined) return;
    for (const memberPlus1 of swarm.memberOf)
      if (memberPlus1 !== 0) this.#removeMember(swarm, memberPlus1 - 1);
    this.#state.arena.free(swarm.freshRow, swarm.wordCount);
    this.#state.swarms[content] = undefined;
  }

  #pieceSeeded(content: ContentIndex, host: HostIndex, piece: number): void {
    const swarm = this.#state.swarms[content];
    if (swarm === undefined || !this.#state.hosts.isPresent(host)) return;
    if (swarm.isClosed && piece >= swarm.pieceCount) return;
    this.#state.growSwarm(swarm, piece + 1);
    const known = swarm.member(host);
    const seed = known === -1 ? this.#state.addMember(swarm, host, false) : known;
    if (!this.#state.addPiece(swarm, seed, piece)) return;
    if (swarm.availability[piece] === 0) this.#state.setFresh(swarm, piece, true);
    this.#dispatcher.serveParent(swarm, seed, -1);
  }

  /** The seed stays a parent of what it has, and is a child of the others meanwhile. */
  #seedWants({ content, host, wantsPieces }: SchedulerEvent & { kind: "seedWants" }): void {
    const swarm = this.#state.swarms[content];
    if (swarm === undefined || !this.#state.hosts.isPresent(host)) return;
    const { members } = this.#state;
    const known = swarm.member(host);
    const seed = known === -1 ? this.#state.addMember(swarm, host, wantsPieces) : known;
    members.wantsPieces[seed] = wantsPieces ? 1 : 0;
    this.#state.countWanting(swarm, seed, wantsPieces);
    if (!wantsPieces) this.#releaseAllOf(swarm, seed);
    this.#dispatcher.updateWaiting(swarm, seed);
  }

  /** Pieces past those that were seeded are not believed: the child says so again when it is given one. */
  #joined(event: SchedulerEvent & { kind: "joined" }): void {
    const swarm = this.#state.swarms[event.content];
    if (swarm === undefined || !this.#state.hosts.isPresent(event.host)) return;
    const known = swarm.member(event.host);
    if (known !== -1) this.#removeMember(swarm, known);
    const member = this.#state.addMember(swarm, event.host, event.wantsPieces);
    this.#state.members.seedsOnly[member] = event.seedsOnly === true ? 1 : 0;
    for (let word = 0; word < Math.min(event.have.length, swarm.wordCount); word++) {
      for (let bits = event.have[word]!, bit = 0; bits !== 0; bits >>>= 1, bit++) {
        const piece = (word << 5) + bit;
        if ((bits & 1) !== 0 && piece < swarm.pieceCount) this.#gained(swarm, member, piece);
      }
    }
    this.#checkComplete(swarm, member);
    this.#dispatcher.noteParent(swarm, member);
    this.#dispatcher.serveParent(swarm, member, -1);
  }

  #pulled(event: SchedulerEvent & { kind: "pulled" }, effects: SchedulerEffect[]): void {
    const swarm = this.#state.swarms[event.content];
    const child = swarm?.member(event.host) ?? -1;
    if (swarm === undefined || child === -1) return;
    const { hosts, members } = this.#state;
    for (const report of event.pull.reports) {
      if (report.piece < swarm.pieceCount) this.#reported(swarm, child, report, effects);
    }
    members.slots[child] = Math.min(event.pull.slots, hosts.childSlotsMax[event.host]!);
    this.#checkComplete(swarm, child);
    this.#dispatcher.serveChild(swarm, child);
    this.#serveFreedHosts(child);
    this.#dispatcher.noteParent(swarm, child);
    this.#dispatcher.serveParent(swarm, child, -1);
    for (const piece of event.pull.overdue) {
      if (piece < swarm.pieceCount && !this.#state.has(child, piece))
        this.#dispatcher.hedge(swarm, child, piece);
    }
  }

  #reported(swarm: Swarm, child: number, report: PieceReport, effects: SchedulerEffect[]): void {
    const { hosts, members } = this.#state;
    const { reservations, blocks } = this.#dispatcher;
    const { piece, parent, outcome } = report;
    const entry = parent === NO_PARENT ? 0 : reservations.find(child, piece, parent);
    if (outcome === PieceOutcome.finished) {
      if (entry !== 0) {
        if (report.elapsedMs > 0) this.#measured(swarm, child, report);
        this.#trustMore(members.host[child]!);
        this.#release(entry);
      }
      this.#gained(swarm, child, piece);
      return;
    }
    if (entry !== 0) this.#release(entry);
    this.#reopen(swarm, child, piece);
    // A child may only speak of parents that it was given.
    if (entry === 0 || !hosts.isPresent(parent)) return;
    switch (outcome) {
      case PieceOutcome.busy:
        return blocks.block(child, parent, this.#nowUs + BUSY_BLOCK_US);
      case PieceOutcome.broken:
        return blocks.block(child, parent, this.#nowUs + BROKEN_BLOCK_US);
      case PieceOutcome.corrupt:
        return this.#accused(swarm, child, report, effects);
      case PieceOutcome.gone:
        return this.#denied(swarm, child, parent, piece);
      case PieceOutcome.cancelled:
        return;
    }
  }

  #measured(swarm: Swarm, child: number, { parent, elapsedMs }: PieceReport): void {
    const { hosts, members } = this.#state;
    const bytesPerSec = (swarm.pieceLength * 1000) / elapsedMs;
    const childHost = members.host[child]!;
    const inUse = Math.min(1, hosts.fetching[childHost]! / Math.max(1, members.slots[child]!));
    learnSpeed(hosts, { parent, child: childHost, bytesPerSec, childShare: inUse });
    this.#state.countWanting(swarm, child, members.wantsPieces[child] === 1);
    this.#uploadSlots.uploadFinished(this.#nowUs, parent, swarm.pieceLength);
  }

  /** A seed says itself what it has: a child that finds nothing there is kept away for a while. */
  #denied(swarm: Swarm, child: number, parent: HostIndex, piece: number): void {
    const holder = swarm.member(parent);
    if (this.#state.hosts.kind[parent] === HOST_SEED)
      this.#dispatcher.blocks.block(child, parent, this.#nowUs + BROKEN_BLOCK_US);
    else if (holder !== -1) this.#state.dropPiece(swarm, holder, piece);
  }

  /** Each piece that a child finishes widens what it may have in flight, up to the common bound. */
  #trustMore(child: HostIndex): void {
    const { childSlotsMax } = this.#state.hosts;
    if (childSlotsMax[child]! < CHILD_SLOTS_MAX) childSlotsMax[child]!++;
  }

  /** Peers' word never silences anybody: the accuser alone leaves the parent, a seed only for a while. */
  #accused(
    swarm: Swarm,
    child: number,
    { piece, parent }: PieceReport,
    effects: SchedulerEffect[],
  ): void {
    const { hosts, members } = this.#state;
    const isSeed = hosts.kind[parent] === HOST_SEED;
    this.#dispatcher.blocks.block(child, parent, isSeed ? this.#nowUs + BROKEN_BLOCK_US : Infinity);
    if (isSeed) return;
    const accusation = { piece, host: parent, accuser: members.host[child]! };
    accuse(hosts, { content: swarm.content, ...accusation }, effects);
  }

  #gained(swarm: Swarm, member: number, piece: number): void {
    if (!this.#state.addPiece(swarm, member, piece)) return;
    const isSeed = this.#state.hosts.kind[this.#state.members.host[member]!] === HOST_SEED;
    // A seed that got it from another seed is one more to give out what no peer has yet.
    if (!isSeed || swarm.availability[piece] === 0) this.#state.setFresh(swarm, piece, isSeed);
  }

  /** A piece that was assigned may be given to the child again, and counts as fresh if no peer got it. */
  #reopen(swarm: Swarm, child: number, piece: number): void {
    if (this.#state.has(child, piece) || this.#dispatcher.reservations.find(child, piece) !== 0)
      return;
    this.#state.setTaken(child, piece, false);
    if (swarm.availability[piece] !== 0) return;
    if (swarm.seeds.some((seed) => this.#state.has(seed, piece)))
      this.#state.setFresh(swarm, piece, true);
  }

  #release(entry: number): void {
    this.#freedHosts.push(this.#dispatcher.release(entry));
  }

  /** What was assigned to a child is not expected any more. */
  #releaseAllOf(swarm: Swarm, child: number): void {
    const { reservations } = this.#dispatcher;
    for (
      let entry = reservations.firstOfChild(child);
      entry !== 0;
      entry = reservations.firstOfChild(child)
    ) {
      const piece = reservations.piece[entry]!;
      this.#release(entry);
      this.#reopen(swarm, child, piece);
    }
  }

  #removeMember(swarm: Swarm, member: number): void {
    const { members } = this.#state;
    const { reservations, blocks } = this.#dispatcher;
    const host = members.host[member]!;
    this.#releaseAllOf(swarm, member);
    for (let entry = reservations.firstOfParent(host); entry !== 0;) {
      const next = reservations.nextOfParent[entry]!;
      const child = reservations.child[entry]!;
      const piece = reservations.piece[entry]!;
      if (members.content[child] === swarm.content) {
        this.#release(entry);
        this.#reopen(swarm, child, piece);
        this.#dispatcher.updateWaiting(swarm, child);
        this.#orphans.push(child);
      }
      entry = next;
    }
    blocks.clear(member);
    this.#state.removeMember(swarm, member);
    this.#dispatcher.updateActive(swarm);
  }

  #checkComplete(swarm: Swarm, member: number): void {
    const { members } = this.#state;
    if (!swarm.isClosed || members.haveCount[member]! < swarm.pieceCount) return;
    members.wantsPieces[member] = 0;
    this.#state.countWanting(swarm, member, false);
    // An assignment that crossed its last report: the child is done and will not speak of it.
    this.#releaseAllOf(swarm, member);
    this.#dispatcher.updateWaiting(swarm, member);
  }

  #woke(): void {
    this.#wakeAtUs = Infinity;
    const { reservations } = this.#dispatcher;
    for (let entry = 1; entry < reservations.capacity; entry++) {
      const deadlineUs = reservations.deadlineUs[entry]!;
      if (deadlineUs !== 0 && deadlineUs <= this.#nowUs) this.#expire(entry);
    }
    this.#dispatcher.serveWaiting();
  }

  /** A child that let one assignment lapse has one in flight until it finishes some: the dead hold no more. */
  #expire(entry: number): void {
    const { hosts, members, swarms } = this.#state;
    const { reservations } = this.#dispatcher;
    const child = reservations.child[entry]!;
    const piece = reservations.piece[entry]!;
    const swarm = swarms[members.content[child]!]!;
    hosts.childSlotsMax[members.host[child]!] = 1;
    members.slots[child] = Math.min(1, members.slots[child]!);
    this.#release(entry);
    this.#reopen(swarm, child, piece);
    this.#dispatcher.updateWaiting(swarm, child);
  }

  #planWake(effects: SchedulerEffect[]): void {
    if (this.#wakeAtUs !== Infinity) return;
    if (!this.#dispatcher.waitsAnywhere && this.#dispatcher.reservations.count === 0) return;
    this.#wakeAtUs = this.#nowUs + TICK_US;
    effects.push({ kind: "wakeAt", atUs: this.#wakeAtUs });
  }
}
