// A swarm in virtual time: the real scheduler, the real downloads and the real frames over a
// simulated network. The scheduler sees only what the wire carries; its thread is a single server
// that is busy for a charged time per message and assignment.

import { Download } from "../../src/engine/core/download.ts";
import type {
  DownloadEffect,
  DownloadEvent,
  ReceivedAssignment,
} from "../../src/engine/core/download-events.ts";
import type { Machine } from "../../src/engine/core/machine.ts";
import { pieceCountOf } from "../../src/engine/core/piece-layout.ts";
import { Prng } from "../../src/engine/core/prng.ts";
import {
  PieceOutcome,
  type SchedulerEffect,
  type SchedulerEvent,
} from "../../src/engine/core/scheduler-events.ts";
import { Scheduler } from "../../src/engine/core/scheduler.ts";
import { record } from "../../src/engine/core/trace.ts";
import { decodeAssign, decodePull, FrameEncoder } from "../../src/net/wire/swarm-frames.ts";
import { BrokenRule, Checkers } from "./checkers.ts";
import { EventQueue } from "./event-queue.ts";
import { Network } from "./network.ts";
import { TraceDigest } from "./trace-digest.ts";

export interface SimulationOptions {
  contentLength: number;
  pieceLength: number;
  /** Bytes per second of each peer, both ways. */
  peerRates: number[];
  /** Bytes per second of each seed, both ways. */
  seedRates: number[];
  peerSlots: number;
  seedSlots: number;
  /** Fetches one download has under way at once. */
  downloadSlots: number;
  /** Owner's time per assignment and per message (in or out), microseconds. */
  controlUs: number;
  messageUs: number;
  rttUs: number;
  /** A parent's time from request to first byte. */
  requestUs: number;
  /** Bytes on the wire per payload byte, and bytes of headers per request. */
  wireFactor: number;
  requestBytes: number;
  /** Peers join spread over this time. */
  joinSpreadUs: number;
  seed: number;
  faults?: Fault[];
  /** Receives the trace of the owner's scheduler, one line a step. */
  traceSink?: (line: string) => void;
  /** Gives up after this much virtual time. */
  limitUs: number;
}

export type Fault =
  /** The peer vanishes for good. */
  | { atUs: number; kind: "peerDies"; host: number }
  /** From now on the host's uploads fail verification. */
  | { atUs: number; kind: "turnsCorrupt"; host: number }
  /** From now on the host answers some requests with 503. */
  | { atUs: number; kind: "turnsBusy"; host: number }
  /** From now on the host's uploads never end. */
  | { atUs: number; kind: "stalls"; host: number }
  /** The owner forgets everything; peers come back with their bitmaps after `downUs`. */
  | { atUs: number; kind: "ownerRestarts"; downUs: number };

export interface SimulationResult {
  /** Seconds from the first join to the end, by peer; NaN for one that died. */
  finishSeconds: number[];
  assignments: number;
  messages: number;
  busyAnswers: number;
  duplicateBytes: number;
  sourceCopies: number;
  ownerBusySeconds: number;
  /** Measured, not simulated: time in decode, decision and encode. */
  measuredControlUs: number;
  /** Left out of it: steps during which the thread was put aside. */
  preemptedUs: number;
  events: number;
  traceDigest: string;
  quarantined: number[];
  /** Payload bytes by kind of parent. */
  bytesFromSeeds: number;
  bytesFromPeers: number;
}

const CONTENT = 0;
const HANDLE = 1;
const BUSY_SHARE = 2;

/** A step takes some microseconds; a time slice given to another process takes milliseconds. */
const PREEMPTED_US = 250;

/** Kinds of planned events. */
const EVENT = {
  join: 0,
  toOwner: 1,
  ownerFree: 2,
  toPeer: 3,
  request: 4,
  fetched: 5,
  wakePeer: 6,
  wakeOwner: 7,
  fault: 8,
  cancel: 9,
  drop: 10,
  rejoin: 11,
} as const;

interface Transfer {
  child: number;
  fetch: number;
  piece: number;
  parent: number;
  startedUs: number;
  flow: number;
  state: "requested" | "flowing" | "ended";
}

interface Peer {
  download: Download;
  wakeAtUs: number;
  transfers: Map<number, Transfer>;
  isDead: boolean;
  isConnected: boolean;
  epoch: number;
}

/** Seed of the generator that the owner's scheduler is given in its n-th life. */
export function schedulerSeed(seed: number, life: number): number {
  return seed + 1 + life;
}

export class Simulation {
  readonly #options: SimulationOptions;
  readonly #pieceCount: number;
  readonly #seedCount: number;
  readonly #queue = new EventQueue();
  readonly #network: Network;
  readonly #checkers: Checkers;
  readonly #digest = new TraceDigest();
  readonly #prng: Prng;
  readonly #peers: Peer[] = [];
  readonly #encoder = new FrameEncoder();
  readonly #addresses: string[] = [];
  readonly #transferOfFlow: (Transfer | undefined)[] = [];
  readonly #faulty = new Map<number, "turnsCorrupt" | "turnsBusy" | "stalls">();
  #scheduler: Machine<SchedulerEvent, SchedulerEffect>;
  readonly #schedulerEffects: SchedulerEffect[] = [];
  readonly #downloadEffects: DownloadEffect[] = [];
  #inbox: { host: number; frame: Uint8Array | null; epoch: number }[] = [];
  #inboxHead = 0;
  #ownerFreeUs = 0;
  #ownerWakeUs = Infinity;
  #ownerEpoch = 0;
  #isOwnerUp = true;
  #nowUs = 0;
  #alive = 0;
  readonly #result: SimulationResult;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#seedCount = options.seedRates.length;
    this.#pieceCount = pieceCountOf(options.contentLength, options.pieceLength);
    this.#prng = new Prng(options.seed);
    const rates = [...options.seedRates, ...options.peerRates];
    const links = new Float64Array(rates.length * 2);
    rates.forEach((rate, host) => links.fill(rate / 1e6, 2 * host, 2 * host + 2));
    this.#network = new Network(links);
    this.#checkers = new Checkers({
      hosts: rates.length,
      pieceCount: this.#pieceCount,
      slotsOf: (host) => (host < this.#seedCount ? options.seedSlots : options.peerSlots),
    });
    for (let host = 0; host < rates.length; host++)
      this.#addresses.push(`10.${host >> 16}.${(host >> 8) & 255}.${host & 255}:65002`);
    this.#scheduler = this.#newScheduler();
    this.#result = {
      finishSeconds: options.peerRates.map(() => NaN),
      assignments: 0,
      messages: 0,
      busyAnswers: 0,
      duplicateBytes: 0,
      sourceCopies: 0,
      ownerBusySeconds: 0,
      measuredControlUs: 0,
      preemptedUs: 0,
      events: 0,
      traceDigest: "",
      quarantined: [],
      bytesFromSeeds: 0,
      bytesFromPeers: 0,
    };
  }

  /** Runs until every living peer has everything. @throws {BrokenRule} a checker failed, or someone never ended */
  run(): SimulationResult {
    this.#openOwner(true);
    this.#createPeers();
    for (const fault of this.#options.faults ?? [])
      this.#queue.push(fault.atUs, EVENT.fault, 0, 0, fault);
    while (this.#alive > 0) {
      const flowUs = this.#network.nextEndUs;
      const eventUs = this.#queue.nextUs;
      const nextUs = Math.min(flowUs, eventUs);
      if (nextUs > this.#options.limitUs) throw new BrokenRule(`${this.#alive} peers never ended`);
      this.#nowUs = nextUs;
      this.#result.events++;
      if (flowUs <= eventUs) this.#flowEnded(this.#network.nextFlow);
      else this.#dispatch();
    }
    this.#result.traceDigest = this.#digest.toString();
    return this.#result;
  }

  #dispatch(): void {
    const { kind, a, b, payload } = this.#queue.pop();
    switch (kind) {
      case EVENT.join:
        return this.#toOwner(a, null);
      case EVENT.toOwner:
        return this.#ownerReceives(a, payload as Uint8Array | null, b);
      case EVENT.ownerFree:
        return this.#serveInbox();
      case EVENT.toPeer:
        return this.#peerReceives(a, payload as Uint8Array | null, b);
      case EVENT.request:
        return this.#requestArrives(payload as Transfer);
      case EVENT.fetched:
        return this.#transferDone(payload as Transfer, b as PieceOutcome);
      case EVENT.wakePeer:
        if (this.#peers[a]!.wakeAtUs === this.#nowUs) this.#stepPeer(a, { kind: "woke" });
        return;
      case EVENT.wakeOwner:
        if (this.#ownerWakeUs === this.#nowUs && this.#isOwnerUp)
          this.#stepOwner({ kind: "woke" }, 0);
        return;
      case EVENT.fault:
        return this.#strike(payload as Fault);
      case EVENT.cancel:
        return this.#cancelArrives(payload as Transfer);
      case EVENT.rejoin:
        this.#isOwnerUp = true;
        return this.#openOwner(false);
    }
  }

  // --- the owner ---

  #openOwner(isFirst: boolean): void {
    const { seedSlots, pieceLength } = this.#options;
    for (let seed = 0; seed < this.#seedCount; seed++) {
      this.#stepOwner({ kind: "hostArrived", host: seed, isSeed: true, uploadSlots: seedSlots }, 0);
    }
    this.#stepOwner(
      { kind: "contentOpened", content: CONTENT, pieceCount: this.#pieceCount, pieceLength },
      0,
    );
    for (let piece = 0; piece < this.#pieceCount; piece++) {
      if (isFirst) this.#checkers.seedRead(piece);
      for (let seed = 0; seed < this.#seedCount; seed++) {
        this.#stepOwner({ kind: "pieceSeeded", content: CONTENT, host: seed, piece }, 0);
      }
    }
    if (isFirst) this.#result.sourceCopies = 1;
    else
      for (let host = this.#seedCount; host < this.#peers.length; host++) {
        if (!this.#peers[host]!.isDead)
          this.#queue.push(this.#nowUs + this.#prng.below(50_000), EVENT.join, host);
      }
  }

  #newScheduler(): Machine<SchedulerEvent, SchedulerEffect> {
    const { seed, traceSink } = this.#options;
    const scheduler = new Scheduler({ prng: new Prng(schedulerSeed(seed, this.#ownerEpoch)) });
    return traceSink === undefined ? scheduler : record(scheduler, traceSink);
  }

  #toOwner(host: number, frame: Uint8Array | null): void {
    this.#queue.push(
      this.#nowUs + this.#options.rttUs / 2,
      EVENT.toOwner,
      host,
      this.#ownerEpoch,
      frame,
    );
  }

  #ownerReceives(host: number, frame: Uint8Array | null, epoch: number): void {
    if (epoch !== this.#ownerEpoch || !this.#isOwnerUp) return;
    this.#inbox.push({ host, frame, epoch });
    if (this.#inbox.length - this.#inboxHead === 1 && this.#ownerFreeUs <= this.#nowUs)
      this.#serveInbox();
    else if (this.#inbox.length - this.#inboxHead === 1)
      this.#queue.push(this.#ownerFreeUs, EVENT.ownerFree, 0);
  }

  #serveInbox(): void {
    if (this.#inboxHead === this.#inbox.length) return;
    const { host, frame, epoch } = this.#inbox[this.#inboxHead++]!;
    if (this.#inboxHead > 4096) {
      this.#inbox = this.#inbox.slice(this.#inboxHead);
      this.#inboxHead = 0;
    }
    if (epoch === this.#ownerEpoch) this.#ownerHandles(host, frame);
    if (this.#inboxHead < this.#inbox.length)
      this.#queue.push(Math.max(this.#nowUs, this.#ownerFreeUs), EVENT.ownerFree, 0);
  }

  #ownerHandles(host: number, frame: Uint8Array | null): void {
    const peer = this.#peers[host]!;
    if (peer.isDead) return;
    if (frame === null) {
      const { peerSlots } = this.#options;
      this.#stepOwner({ kind: "hostArrived", host, isSeed: false, uploadSlots: peerSlots }, 1);
      const have = peer.download.have;
      const words = have.size === 0 ? new Uint32Array(0) : have.words.slice();
      this.#stepOwner(
        { kind: "joined", content: CONTENT, host, have: words, wantsPieces: true },
        0,
      );
      this.#result.messages++;
      this.#queue.push(
        this.#ownerFreeUs + this.#options.rttUs / 2,
        EVENT.toPeer,
        host,
        this.#ownerEpoch,
        null,
      );
      return;
    }
    const started = Bun.nanoseconds();
    const decoded = decodePull(frame);
    this.#charge(started);
    if (decoded === null || decoded.handle !== HANDLE)
      throw new BrokenRule("a pull did not decode");
    this.#digest.add(host);
    for (const report of decoded.pull.reports) this.#digest.add(report.piece * 8 + report.outcome);
    this.#stepOwner({ kind: "pulled", content: CONTENT, host, pull: decoded.pull }, 1);
  }

  /** @param received messages that brought the event */
  #stepOwner(event: SchedulerEvent, received: number): void {
    const effects = this.#schedulerEffects;
    effects.length = 0;
    const started = Bun.nanoseconds();
    this.#scheduler.step(this.#nowUs, event, effects);
    let assigned = 0;
    const frames: { host: number; frame: Uint8Array }[] = [];
    for (const effect of effects) {
      if (effect.kind !== "assign") continue;
      assigned += effect.assignments.length;
      const withAddresses: ReceivedAssignment[] = effect.assignments.map(
        ({ piece, count, parent }) => ({ piece, count, parent, address: this.#addresses[parent]! }),
      );
      frames.push({
        host: effect.child,
        frame: this.#encoder.assign(HANDLE, withAddresses).slice(),
      });
    }
    this.#charge(started);

    const messages = received + frames.length;
    const costUs = this.#options.controlUs * assigned + this.#options.messageUs * messages;
    this.#ownerFreeUs = Math.max(this.#ownerFreeUs, this.#nowUs) + costUs;
    this.#result.ownerBusySeconds += costUs / 1e6;
    this.#result.assignments += assigned;
    this.#result.messages += messages;
    const sentUs = Math.ceil(this.#ownerFreeUs);
    for (const { host, frame } of frames)
      this.#queue.push(
        sentUs + this.#options.rttUs / 2,
        EVENT.toPeer,
        host,
        this.#ownerEpoch,
        frame,
      );
    for (const effect of effects) this.#perform(effect);
  }

  /** Adds measured time, unless the machine was clearly busy with something else meanwhile. */
  #charge(startedNs: number): void {
    const elapsedUs = (Bun.nanoseconds() - startedNs) / 1000;
    if (elapsedUs > PREEMPTED_US) this.#result.preemptedUs += elapsedUs;
    else this.#result.measuredControlUs += elapsedUs;
  }

  #perform(effect: SchedulerEffect): void {
    switch (effect.kind) {
      case "assign":
        for (const { piece, parent } of effect.assignments) {
          this.#digest.add(effect.child);
          this.#digest.add(piece);
          this.#digest.add(parent);
        }
        this.#digest.addWide(this.#nowUs);
        return;
      case "quarantined":
        this.#result.quarantined.push(effect.host);
        return;
      case "wakeAt":
        this.#ownerWakeUs = effect.atUs;
        this.#queue.push(effect.atUs, EVENT.wakeOwner, 0);
        return;
    }
  }

  // --- the peers ---

  #createPeers(): void {
    const { peerRates, downloadSlots, joinSpreadUs, seed } = this.#options;
    for (let host = 0; host < this.#seedCount + peerRates.length; host++) {
      const download = new Download({
        prng: new Prng(seed ^ (host * 7919)),
        slots: downloadSlots,
        have: null,
        mayReadSource: false,
      });
      this.#peers.push({
        download,
        wakeAtUs: Infinity,
        transfers: new Map(),
        isDead: host < this.#seedCount,
        isConnected: false,
        epoch: 0,
      });
      if (host < this.#seedCount) continue;
      this.#alive++;
      this.#queue.push(joinSpreadUs === 0 ? 0 : this.#prng.below(joinSpreadUs), EVENT.join, host);
    }
  }

  #peerReceives(host: number, frame: Uint8Array | null, epoch: number): void {
    const peer = this.#peers[host]!;
    if (peer.isDead || epoch !== this.#ownerEpoch) return;
    if (frame === null) {
      peer.isConnected = true;
      this.#stepPeer(host, {
        kind: "joined",
        pieceCount: this.#pieceCount,
        pieceLength: this.#options.pieceLength,
        swarmSize: this.#options.peerRates.length,
      });
      return;
    }
    const decoded = decodeAssign(frame);
    if (decoded === null) throw new BrokenRule("an assign frame did not decode");
    this.#stepPeer(host, { kind: "assigned", assignments: decoded.assignments });
  }

  #stepPeer(host: number, event: DownloadEvent): void {
    const effects = this.#downloadEffects;
    effects.length = 0;
    this.#peers[host]!.download.step(this.#nowUs, event, effects);
    for (const effect of effects) this.#performAt(host, effect);
  }

  #performAt(host: number, effect: DownloadEffect): void {
    const peer = this.#peers[host]!;
    switch (effect.kind) {
      case "fetch": {
        const transfer: Transfer = {
          child: host,
          fetch: effect.fetch,
          piece: effect.piece,
          parent: effect.parent,
          startedUs: this.#nowUs,
          flow: -1,
          state: "requested",
        };
        peer.transfers.set(effect.fetch, transfer);
        this.#queue.push(
          this.#nowUs + this.#options.rttUs / 2 + this.#options.requestUs,
          EVENT.request,
          host,
          0,
          transfer,
        );
        return;
      }
      case "cancel": {
        const transfer = peer.transfers.get(effect.fetch);
        if (transfer === undefined) return;
        peer.transfers.delete(effect.fetch);
        this.#queue.push(this.#nowUs + this.#options.rttUs / 2, EVENT.cancel, host, 0, transfer);
        return;
      }
      case "pull":
        return this.#toOwner(host, this.#encoder.pull(HANDLE, effect.pull).slice());
      case "readSource":
        throw new BrokenRule("a peer read the source");
      case "complete":
        this.#checkers.completed(host);
        this.#result.finishSeconds[host - this.#seedCount] = this.#nowUs / 1e6;
        this.#alive--;
        return;
      case "wakeAt":
        peer.wakeAtUs = effect.atUs;
        this.#queue.push(effect.atUs, EVENT.wakePeer, host);
        return;
    }
  }

  // --- transfers ---

  #requestArrives(transfer: Transfer): void {
    const { parent, child, piece } = transfer;
    if (this.#peers[child]!.transfers.get(transfer.fetch) !== transfer) return;
    const parentPeer = this.#peers[parent]!;
    const isSeed = parent < this.#seedCount;
    const fault = this.#faulty.get(parent);
    if (!isSeed && parentPeer.isDead) return this.#answer(transfer, PieceOutcome.broken);
    if (!isSeed && !parentPeer.download.have.has(piece))
      return this.#answer(transfer, PieceOutcome.gone);
    const slots = isSeed ? this.#options.seedSlots : this.#options.peerSlots;
    const isFull = this.#checkers.uploads(parent) >= slots;
    if (isFull || (fault === "turnsBusy" && this.#prng.below(BUSY_SHARE) === 0)) {
      this.#result.busyAnswers++;
      return this.#answer(transfer, PieceOutcome.busy);
    }
    this.#checkers.uploadStarted(parent);
    transfer.state = "flowing";
    if (fault === "stalls") return;
    const bytes = this.#bytesOf(piece) * this.#options.wireFactor + this.#options.requestBytes;
    transfer.flow = this.#network.start(this.#nowUs, parent, child, bytes);
    this.#transferOfFlow[transfer.flow] = transfer;
  }

  #answer(transfer: Transfer, outcome: PieceOutcome): void {
    transfer.state = "ended";
    this.#queue.push(
      this.#nowUs + this.#options.rttUs / 2,
      EVENT.fetched,
      transfer.child,
      outcome,
      transfer,
    );
  }

  #flowEnded(flow: number): void {
    const transfer = this.#transferOfFlow[flow]!;
    this.#endFlow(transfer);
    const isCorrupt = this.#faulty.get(transfer.parent) === "turnsCorrupt";
    this.#answer(transfer, isCorrupt ? PieceOutcome.corrupt : PieceOutcome.finished);
  }

  #endFlow(transfer: Transfer): void {
    if (transfer.flow !== -1) {
      this.#network.remove(this.#nowUs, transfer.flow);
      this.#transferOfFlow[transfer.flow] = undefined;
      transfer.flow = -1;
    }
    this.#checkers.uploadEnded(transfer.parent);
    transfer.state = "ended";
  }

  #transferDone(transfer: Transfer, outcome: PieceOutcome): void {
    const { child, piece, parent } = transfer;
    const peer = this.#peers[child]!;
    if (peer.isDead || !peer.transfers.delete(transfer.fetch)) return;
    if (outcome === PieceOutcome.finished) {
      this.#checkers.verified(child, piece);
      if (parent < this.#seedCount) this.#result.bytesFromSeeds += this.#bytesOf(piece);
      else this.#result.bytesFromPeers += this.#bytesOf(piece);
    }
    const elapsedMs = Math.round((this.#nowUs - transfer.startedUs) / 1000);
    this.#stepPeer(child, {
      kind: "fetched",
      fetch: transfer.fetch,
      outcome,
      bytes: this.#bytesOf(piece),
      elapsedMs,
      retryAfterMs: 1000,
    });
  }

  #cancelArrives(transfer: Transfer): void {
    if (transfer.state !== "flowing") {
      transfer.state = "ended";
      return;
    }
    this.#result.duplicateBytes += this.#bytesOf(transfer.piece);
    this.#endFlow(transfer);
  }

  #bytesOf(piece: number): number {
    return Math.min(
      this.#options.pieceLength,
      this.#options.contentLength - piece * this.#options.pieceLength,
    );
  }

  // --- faults ---

  #strike(fault: Fault): void {
    switch (fault.kind) {
      case "turnsCorrupt":
      case "turnsBusy":
      case "stalls":
        this.#faulty.set(fault.host, fault.kind);
        return;
      case "peerDies":
        return this.#kill(fault.host);
      case "ownerRestarts":
        return this.#restartOwner(fault.downUs);
    }
  }

  #kill(host: number): void {
    const peer = this.#peers[host]!;
    if (peer.isDead) return;
    peer.isDead = true;
    if (!peer.download.isComplete) this.#alive--;
    for (const transfer of peer.transfers.values())
      if (transfer.state === "flowing") this.#endFlow(transfer);
    peer.transfers.clear();
    for (const other of this.#peers) {
      for (const transfer of other.transfers.values()) {
        if (transfer.parent !== host || transfer.state !== "flowing") continue;
        this.#endFlow(transfer);
        this.#answer(transfer, PieceOutcome.broken);
      }
    }
    this.#stepOwner({ kind: "hostGone", host }, 0);
  }

  #restartOwner(downUs: number): void {
    this.#ownerEpoch++;
    this.#isOwnerUp = false;
    this.#inbox = [];
    this.#inboxHead = 0;
    this.#ownerWakeUs = Infinity;
    this.#scheduler = this.#newScheduler();
    for (let host = this.#seedCount; host < this.#peers.length; host++) {
      const peer = this.#peers[host]!;
      if (peer.isDead || !peer.isConnected) continue;
      peer.isConnected = false;
      this.#stepPeer(host, { kind: "channelLost" });
    }
    this.#queue.push(this.#nowUs + downUs, EVENT.rejoin, 0);
  }
}
