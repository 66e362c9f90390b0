// A swarm in virtual time: the real scheduler, the real downloads and the real frames over a
// simulated network. The scheduler sees only what the wire carries. This file is the hosts: their
// downloads, their transfers, and what goes wrong with them; the owner is owner.ts.

import type {
  DownloadEffect,
  DownloadEvent,
  ReceivedAssignment,
} from "../../src/engine/core/download-events.ts";
import { Download } from "../../src/engine/core/download.ts";
import { FIRST_NEIGHBOUR } from "../../src/engine/core/neighbour-events.ts";
import { pieceCountOf } from "../../src/engine/core/piece-layout.ts";
import { Prng } from "../../src/engine/core/prng.ts";
import { PieceOutcome } from "../../src/engine/core/scheduler-events.ts";
import { decodeAssign, FrameEncoder } from "../../src/net/wire/swarm-frames.ts";
import { PIECE_STALL_TIMEOUT_MS } from "../../src/limits.ts";
import { BrokenRule, Checkers } from "./checkers.ts";
import { EVENT, EventQueue } from "./event-queue.ts";
import { Network } from "./network.ts";
import { type ControlMessage, HANDLE, Owner } from "./owner.ts";
import type { Fault, SimulationOptions, SimulationResult } from "./simulation-options.ts";
import { type SourceRead, SourceReads } from "./source-reads.ts";
import { TraceDigest } from "./trace-digest.ts";
import { WithoutOwner } from "./without-owner.ts";

/** An owner silent for so long is done without. */
const OWNER_SILENCE_US = 3_000_000;

/** One in so many requests to a host that turned busy is refused. */
const BUSY_SHARE = 2;

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
  /** What its last join said to be there. */
  told: Uint32Array;
  wakeAtUs: number;
  transfers: Map<number, Transfer>;
  isDead: boolean;
  isConnected: boolean;
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
  readonly #transferOfFlow: (Transfer | undefined)[] = [];
  readonly #faulty = new Map<number, "turnsCorrupt" | "turnsBusy" | "stalls">();
  readonly #owner: Owner;
  readonly #withoutOwner: WithoutOwner;
  readonly #sourceReads: SourceReads;
  readonly #downloadEffects: DownloadEffect[] = [];
  #nowUs = 0;
  #alive = 0;
  #areSeedsDead = false;
  readonly #result: SimulationResult;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#seedCount = options.seedRates.length;
    this.#pieceCount = pieceCountOf(options.contentLength, options.pieceLength);
    this.#prng = new Prng(options.seed);
    const rates = [...options.seedRates, ...options.peerRates, options.sourceRate ?? 0];
    const links = new Float64Array(rates.length * 2);
    rates.forEach((rate, host) => links.fill(rate / 1e6, 2 * host, 2 * host + 2));
    this.#network = new Network(links);
    this.#checkers = new Checkers({
      hosts: rates.length,
      pieceCount: this.#pieceCount,
      slotsOf: (host) => (host < this.#seedCount ? options.seedSlots : options.peerSlots),
    });
    this.#result = {
      finishSeconds: options.peerRates.map(() => NaN),
      assignments: 0,
      messages: 0,
      busyAnswers: 0,
      duplicateBytes: 0,
      sourceCopies: 0,
      ownerBusySeconds: 0,
      events: 0,
      traceDigest: "",
      quarantined: [],
      bytesFromSeeds: 0,
      bytesFromPeers: 0,
      bytesFromSource: 0,
      sourceReadsAtOnce: 0,
    };
    this.#owner = new Owner({
      options,
      pieceCount: this.#pieceCount,
      queue: this.#queue,
      digest: this.#digest,
      result: this.#result,
      isLiar: (host) => this.#faulty.get(host) === "turnsCorrupt",
    });
    this.#withoutOwner = this.#newWithoutOwner();
    this.#sourceReads = new SourceReads(this.#network, rates.length - 1, this.#result);
  }

  /** Runs until every living peer has everything. @throws {BrokenRule} a checker failed, or someone never ended */
  run(): SimulationResult {
    for (let piece = 0; piece < this.#pieceCount; piece++) this.#checkers.seedRead(piece);
    this.#result.sourceCopies = 1;
    this.#owner.open(0);
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

  /** Microseconds per assignment that the owner's control thread took, measured once the run is over. */
  measureControl(): number {
    return this.#owner.measureControl();
  }

  #dispatch(): void {
    const { kind, a, b, payload } = this.#queue.pop();
    switch (kind) {
      case EVENT.join:
        return this.#join(a);
      case EVENT.toOwner:
        return this.#owner.receive(this.#nowUs, a, payload as ControlMessage, b);
      case EVENT.ownerFree:
        return this.#owner.serveInbox(this.#nowUs);
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
        return this.#owner.wake(this.#nowUs);
      case EVENT.probed:
        return this.#owner.probed(this.#nowUs, { host: a, accuser: payload as number }, b);
      case EVENT.fault:
        return this.#strike(payload as Fault);
      case EVENT.stalled:
        return this.#giveUp(payload as Transfer);
      case EVENT.cancel:
        return this.#cancelArrives(payload as Transfer);
      case EVENT.restart:
        return this.#ownerIsBack();
      case EVENT.silent:
        return this.#goOnWithoutOwner(a);
      case EVENT.haveAsked:
        return this.#haveAsked(a, b);
      case EVENT.haveTold:
        return this.#withoutOwner.haveTold(a, b, payload as Uint32Array | null);
      case EVENT.assigned:
        return this.#stepPeer(a, {
          kind: "assigned",
          assignments: payload as ReceivedAssignment[],
        });
      case EVENT.wakeAlone:
        return this.#withoutOwner.woke(a, payload as "neighbours" | "source");
    }
  }

  // --- the peers ---

  #createPeers(): void {
    const { peerRates, downloadSlots, joinSpreadUs } = this.#options;
    for (let host = 0; host < this.#seedCount + peerRates.length; host++) {
      const download = new Download({ slots: downloadSlots, have: null });
      this.#peers.push({
        download,
        told: new Uint32Array(0),
        wakeAtUs: Infinity,
        transfers: new Map(),
        isDead: host < this.#seedCount,
        isConnected: false,
      });
      if (host < this.#seedCount) continue;
      this.#alive++;
      this.#queue.push(joinSpreadUs === 0 ? 0 : this.#prng.below(joinSpreadUs), EVENT.join, host);
    }
  }

  #join(host: number): void {
    const peer = this.#peers[host]!;
    if (peer.isDead) return;
    peer.told = peer.download.have.words.slice();
    this.#toOwner(host, peer.told);
  }

  #toOwner(host: number, message: ControlMessage): void {
    const atUs = this.#nowUs + this.#options.rttUs / 2;
    this.#queue.push(atUs, EVENT.toOwner, host, this.#owner.life, message);
  }

  #peerReceives(host: number, frame: Uint8Array | null, life: number): void {
    const peer = this.#peers[host]!;
    if (peer.isDead || life !== this.#owner.life) return;
    if (frame === null) {
      peer.isConnected = true;
      this.#joinAnew(host, peer.told);
      return;
    }
    const decoded = decodeAssign(frame);
    if (decoded === null) throw new BrokenRule("an assign frame did not decode");
    this.#stepPeer(host, { kind: "assigned", assignments: decoded.assignments });
  }

  /** @param known what whoever gives work knows to be there */
  #joinAnew(host: number, known: Uint32Array): void {
    this.#stepPeer(host, { kind: "joined", pieceCount: this.#pieceCount, known });
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
          parent: this.#hostOf(host, effect.parent),
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
        if (this.#withoutOwner.has(host)) return this.#withoutOwner.pulled(host, effect.pull);
        return this.#toOwner(host, this.#encoder.pull(HANDLE, effect.pull).slice());
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
    if (isSeed ? this.#areSeedsDead : parentPeer.isDead)
      return this.#answer(transfer, PieceOutcome.broken);
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
    if (fault === "stalls") {
      const givenUpUs = this.#nowUs + PIECE_STALL_TIMEOUT_MS * 1000;
      this.#queue.push(givenUpUs, EVENT.stalled, child, 0, transfer);
      return;
    }
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
    const read = this.#sourceReads.ended(this.#nowUs, flow);
    if (read !== null) return this.#sourceRead(read);
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

  /** The child waited long enough for a parent that delivers nothing. */
  #giveUp(transfer: Transfer): void {
    if (transfer.state !== "flowing") return;
    this.#endFlow(transfer);
    this.#answer(transfer, PieceOutcome.broken);
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
      case "supernodesDie":
        return this.#endSupernodes();
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
    this.#breakUploads(host);
    this.#owner.hostGone(this.#nowUs, host);
  }

  #breakUploads(host: number): void {
    for (const other of this.#peers) {
      for (const transfer of other.transfers.values()) {
        if (transfer.parent !== host || transfer.state !== "flowing") continue;
        this.#endFlow(transfer);
        this.#answer(transfer, PieceOutcome.broken);
      }
    }
  }

  #restartOwner(downUs: number): void {
    this.#loseOwner();
    this.#queue.push(this.#nowUs + downUs, EVENT.restart, 0);
  }

  #loseOwner(): void {
    this.#owner.crash();
    this.#peers.forEach((peer, host) => {
      if (peer.isDead || !peer.isConnected) return;
      peer.isConnected = false;
      this.#stepPeer(host, { kind: "channelLost" });
    });
  }

  #endSupernodes(): void {
    this.#areSeedsDead = true;
    for (let seed = 0; seed < this.#seedCount; seed++) this.#breakUploads(seed);
    this.#loseOwner();
    this.#peers.forEach((_, host) => {
      this.#queue.push(this.#nowUs + OWNER_SILENCE_US, EVENT.silent, host);
    });
  }

  #ownerIsBack(): void {
    this.#owner.open(this.#nowUs);
    this.#peers.forEach((peer, host) => {
      if (!peer.isDead) this.#queue.push(this.#nowUs + this.#prng.below(50_000), EVENT.join, host);
    });
  }

  // --- without an owner ---

  #newWithoutOwner(): WithoutOwner {
    const { rttUs } = this.#options;
    return new WithoutOwner(this.#options, {
      nowUs: () => this.#nowUs,
      have: (host) => this.#peers[host]!.download.have,
      askHave: (host, neighbour) =>
        this.#queue.push(this.#nowUs + rttUs / 2, EVENT.haveAsked, host, neighbour),
      assign: (host, assignments) =>
        this.#queue.push(this.#nowUs, EVENT.assigned, host, 0, assignments),
      readSource: (host, piece, count) => {
        let bytes = 0;
        for (let i = 0; i < count; i++) bytes += this.#bytesOf(piece + i);
        this.#sourceReads.begin(this.#nowUs, { host, piece, count, bytes });
      },
      wakeAt: (host, machine, atUs) => this.#queue.push(atUs, EVENT.wakeAlone, host, 0, machine),
    });
  }

  #hostOf(host: number, parent: number): number {
    return parent < FIRST_NEIGHBOUR ? parent : this.#withoutOwner.hostOf(host, parent);
  }

  #goOnWithoutOwner(host: number): void {
    const { isDead, isConnected, download } = this.#peers[host]!;
    if (isDead || isConnected || download.isComplete) return;
    this.#withoutOwner.begin(host);
    this.#joinAnew(host, download.have.words);
  }

  #haveAsked(host: number, neighbour: number): void {
    const { isDead, download } = this.#peers[neighbour]!;
    const have = isDead ? null : download.have.words.slice();
    this.#queue.push(this.#nowUs + this.#options.rttUs / 2, EVENT.haveTold, host, neighbour, have);
  }

  #sourceRead({ host, piece, count }: SourceRead): void {
    const { isDead, download } = this.#peers[host]!;
    if (isDead) return;
    for (let read = piece; read < piece + count; read++) {
      // A neighbour was quicker.
      if (download.have.has(read)) continue;
      this.#checkers.verified(host, read);
      this.#stepPeer(host, { kind: "sourcePieceRead", piece: read });
    }
    this.#withoutOwner.sourceReadEnded(host, true);
  }
}
