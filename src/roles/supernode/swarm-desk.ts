// Where peers are heard and answered: turns what they say on their channels into scheduler events,
// and the scheduler's assignments into frames. Contents come from the task registry.

import type {
  Assignment,
  HostIndex,
  Pull,
  SchedulerEffect,
  SchedulerEvent,
} from "../../engine/core/scheduler-events.ts";
import { Secret } from "../../engine/bytes/secret.ts";
import { DfError, messageOf } from "../../errors.ts";
import { ASSIGNMENTS_MAX, FrameEncoder } from "../../net/wire/swarm-frames.ts";
import type { CommandResult } from "../../net/wire/command.ts";
import type { Hello } from "../../net/wire/swarm-messages.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import { isOwnMachine } from "../../net/swarm/is-confidential.ts";
import type {
  ChannelOrigin,
  PeerChannel,
  PeerRequest,
  SwarmListener,
} from "../../net/swarm/swarm-server.ts";
import { AccusedHosts } from "./accused-hosts.ts";
import type { Cluster } from "./cluster/cluster.ts";
import { OwnParts } from "./cluster/own-parts.ts";
import { ConnectedPeer, type HeldContent } from "./connected-peer.ts";
import { joinAnswer } from "./join-answer.ts";
import { IndexPool } from "./index-pool.ts";
import { Neighbours } from "./neighbours.ts";
import { newMember, type Member, type Seeding } from "./seeding.ts";
import {
  checkPending,
  needsTls,
  placeTaken,
  resolveJoin,
  type JoinRequest,
} from "./resolve-join.ts";
import type { AskedTask } from "./task-admission.ts";
import { Reachability } from "./reachability.ts";
import { isProvenSingly } from "./requesters.ts";
import type { TicketOffice } from "./ticket-office.ts";
import { ZoneNumbers } from "./zone-numbers.ts";

export interface SwarmDeskOptions {
  hello: (origin: ChannelOrigin) => Omit<Hello, "type" | "protocol">;
  /** "host:port" of this supernode's piece server as the peer can reach it. */
  seedAddress: (origin: ChannelOrigin) => string;
  /** Pieces this supernode uploads at once at most. */
  seedSlots: number;
  /**
   * Which task a request names. Who asks for a private one is proven first: nothing is looked up before.
   * @throws {DfError} as TaskAdmission.admit
   */
  identify: (task: TaskRequest, isConfidential: boolean) => Promise<AskedTask>;
  /** Whether the control port speaks TLS. */
  isTls: boolean;
  resolve: (asked: AskedTask, hops: readonly string[]) => Promise<Seeding>;
  /** What is here of a task already; null: nothing. */
  held: (asked: AskedTask) => Promise<Seeding | null>;
  cluster: () => Pick<Cluster, "placeOf" | "isMember" | "childJoined">;
  seeding: (contentId: string) => Seeding | undefined;
  /** Null: no private content is shared here. */
  tickets: Pick<TicketOffice, "admit" | "authorise"> | null;
  childLeft: (seeding: Seeding) => void;
  step: (event: SchedulerEvent) => void;
  /** A peer said hello; it may be sent messages. */
  arrived: (peer: ConnectedPeer) => void;
  /** Its channel closed. */
  departed: (peer: ConnectedPeer) => void;
  /** It tells what became of a command of the fleet. */
  answered: (peer: ConnectedPeer, result: CommandResult) => void;
  admit: SwarmListener["admit"];
  warned: (message: string) => void;
}

export class SwarmDesk implements SwarmListener {
  readonly #options: SwarmDeskOptions;
  readonly #peers = new Map<PeerChannel, ConnectedPeer>();
  readonly #byHost: (ConnectedPeer | undefined)[] = [];
  readonly #hosts = new IndexPool();
  readonly #seedings: (Seeding | undefined)[] = [];
  readonly #seedHost: HostIndex;
  readonly #encoder = new FrameEncoder();
  readonly #zones = new ZoneNumbers();
  /** What this supernode takes from its own peers. */
  readonly ownParts: OwnParts;
  readonly #neighbours = new Neighbours(() => this.#peers.values());
  readonly #reachability = new Reachability((peer) => {
    const { host } = peer;
    this.#options.step({ kind: "hostReachable", host, ...this.#offerOf(peer) });
  });
  readonly #accused: AccusedHosts;

  constructor(options: SwarmDeskOptions) {
    this.#options = options;
    this.#seedHost = this.#hosts.take();
    const { seeding, step, tickets } = options;
    this.#accused = new AccusedHosts({
      ...{ tickets, step, peers: () => this.#peers.values() },
      peerAt: (host) => this.#byHost[host],
      seedingAt: (content) => this.#seedings[content],
    });
    this.ownParts = new OwnParts({
      ...{ seedHost: this.#seedHost, seeding, step },
      pieceAddressOf: (host) => this.#byHost[host]!.pieceAddress,
    });
  }

  get admit(): SwarmListener["admit"] {
    return this.#options.admit;
  }

  get peers(): Iterable<ConnectedPeer> {
    return this.#peers.values();
  }

  get peerCount(): number {
    return this.#peers.size;
  }

  /** Takes part as the seed; to be called once the scheduler can be stepped. */
  start(): void {
    this.#options.step({
      kind: "hostArrived",
      host: this.#seedHost,
      isSeed: true,
      alsoIn: "all",
      uploadSlots: this.#options.seedSlots,
    });
  }

  /** Ends all channels: the peers look for another supernode. */
  closeAll(): void {
    this.#neighbours.stop();
    this.#accused.stop();
    for (const channel of this.#peers.keys()) channel.close(1001, "the supernode is stopping");
  }

  /** The scheduler lost its books: the peers come back with bitmaps, the seedings are told again. */
  restart(seedings: Iterable<Seeding>): void {
    for (const channel of [...this.#peers.keys()]) {
      this.gone(channel);
      channel.close(1012, "the scheduler restarts");
    }
    this.start();
    for (const seeding of seedings) {
      this.seedingOpened(seeding);
      for (const piece of seeding.stored.have) this.pieceSeeded(seeding, piece);
    }
  }

  hello(origin: ChannelOrigin): Omit<Hello, "type" | "protocol"> {
    return { ...this.#options.hello(origin), peerCount: this.#peers.size + 1 };
  }

  arrived(channel: PeerChannel): void {
    const { role, hostId } = channel.hello;
    const isSeed = role === "supernode" && this.#options.cluster().isMember(hostId);
    const peer = new ConnectedPeer(channel, this.#hosts.take(), isSeed);
    this.#peers.set(channel, peer);
    this.#byHost[peer.host] = peer;
    this.#reachability.arrived(peer);
    this.#options.step({
      ...{ kind: "hostArrived", host: peer.host, isSeed },
      ...this.#offerOf(peer),
      isQuarantined: this.#accused.isQuarantined(hostId),
    });
    this.#options.arrived(peer);
  }

  /** What a host may upload and for whom, as far as it was found where it said. */
  #offerOf(peer: ConnectedPeer) {
    return { uploadSlots: peer.uploadSlots, ...this.#zones.take(peer) };
  }

  said(channel: PeerChannel, message: PeerRequest): void {
    const peer = this.#peers.get(channel);
    if (peer === undefined) return;
    switch (message.type) {
      case "hold":
        for (const content of message.contents) this.#held(peer, content);
        break;
      case "join":
        void this.#join(peer, message);
        break;
      case "leave": {
        const member = peer.member(message.handle);
        if (member !== undefined) this.#leave(member);
        break;
      }
      case "drop":
        this.#dropHeld(peer, message.contentId);
        break;
      case "commandResult":
        this.#options.answered(peer, message.result);
        break;
    }
  }

  pulled(channel: PeerChannel, handle: number, pull: Pull): void {
    const peer = this.#peers.get(channel);
    const member = peer?.member(handle);
    // A frame that crossed the content's end.
    if (peer === undefined || member === undefined) return;
    member.seeding.pulled();
    member.pulledAtMs = performance.now();
    this.#options.step({
      kind: "pulled",
      content: member.seeding.index,
      host: peer.host,
      pull,
    });
  }

  gone(channel: PeerChannel): void {
    const peer = this.#peers.get(channel);
    if (peer === undefined) return;
    peer.isGone = true;
    this.#peers.delete(channel);
    this.#byHost[peer.host] = undefined;
    this.#reachability.departed(peer);
    this.#options.step({ kind: "hostGone", host: peer.host });
    this.#hosts.giveBack(peer.host);
    this.#zones.giveBack(peer);
    for (const member of [...peer.members]) this.#forget(member);
    this.#options.departed(peer);
  }

  /** A content opened: those who offered it before take part as parents. */
  seedingOpened(seeding: Seeding): void {
    const { contentId, layout } = seeding.stored.facts;
    this.#seedings[seeding.index] = seeding;
    this.#options.step({
      kind: "contentOpened",
      content: seeding.index,
      pieceCount: seeding.pieceCount,
      pieceLength: layout.pieceLength,
    });
    for (const peer of this.#peers.values()) {
      const held = peer.held.get(contentId);
      if (held !== undefined) this.#takePartAsHolder(peer, seeding, held.have);
    }
  }

  pieceSeeded(seeding: Seeding, piece: number): void {
    const content = seeding.index;
    this.#options.step({ kind: "pieceSeeded", content, host: this.#seedHost, piece });
  }

  lengthKnown(seeding: Seeding): void {
    const pieceCount = seeding.pieceCount!;
    this.#options.step({ kind: "contentClosed", content: seeding.index, pieceCount });
  }

  seedingDropped(seeding: Seeding): void {
    for (const member of [...seeding.children]) {
      member.peer.remove(member);
      seeding.removeChild(member);
      this.#neighbours.left(member);
    }
    this.#seedings[seeding.index] = undefined;
    this.ownParts.dropped(seeding);
    this.#options.step({ kind: "contentDropped", content: seeding.index });
  }

  perform(effect: Exclude<SchedulerEffect, { kind: "wakeAt" }>): void {
    if (effect.kind === "quarantined") {
      const address = this.#byHost[effect.host]?.pieceAddress ?? "gone";
      return this.#options.warned(`${address} gave wrong bytes: no parent for a while`);
    }
    if (effect.kind === "probe") return void this.#accused.probe(effect);
    const seeding = this.#seedings[effect.content];
    if (effect.child === this.#seedHost) return this.ownParts.assigned(seeding, effect.assignments);
    const peer = this.#byHost[effect.child];
    const member = peer === undefined ? undefined : seeding?.child(peer);
    if (seeding === undefined || member === undefined) return;
    seeding.sendRows(member);
    for (let from = 0; from < effect.assignments.length; from += ASSIGNMENTS_MAX) {
      this.#assign(member, effect.assignments.slice(from, from + ASSIGNMENTS_MAX));
    }
  }

  #assign(member: Member, assignments: Assignment[]): void {
    const { channel, zone } = member.peer;
    const received = assignments.map(({ piece, count, parent }) => {
      const address =
        parent === this.#seedHost
          ? this.#options.seedAddress(channel.origin)
          : this.#byHost[parent]!.addressIn(zone);
      return { piece, count, parent, address };
    });
    channel.sendFrame(this.#encoder.assign(member.handle, received));
  }

  async #join(peer: ConnectedPeer, message: JoinRequest): Promise<void> {
    const { request, task } = message;
    peer.pendingJoins++;
    try {
      checkPending(peer);
      const isConfidential = this.isConfidential(peer);
      const asked = await this.#options.identify(task, isConfidential);
      const seeding = await resolveJoin(this.#options, { peer, asked, message });
      if (seeding === null) return;
      // Tiny contents travel in the answer, which then waits for their last byte.
      if (seeding.isTiny) await seeding.settled;
      if (peer.isGone) return;
      if (seeding.state.kind === "failed") throw seeding.state.error;
      if (seeding.stored.key !== null && !isConfidential) throw needsTls();
      if (message.isQuestion === true) {
        peer.channel.send(joinAnswer(request, newMember(peer, seeding, 0), null));
        return;
      }
      const member = this.#takePart(peer, seeding, message);
      if (isProvenSingly(asked.request) && seeding.state.kind === "reading")
        seeding.requesters.add(member, new Secret(asked.request));
      this.#options.cluster().childJoined(seeding, task);
    } catch (error) {
      const failure =
        error instanceof DfError ? error : new DfError("internal", `join: ${messageOf(error)}`);
      peer.channel.send({ type: "refused", request, error: failure.toWire() });
    } finally {
      peer.pendingJoins--;
    }
  }

  /** Whether nobody else can listen to the channel. */
  isConfidential({ channel }: ConnectedPeer): boolean {
    return this.#options.isTls || isOwnMachine(channel.origin.remoteAddress);
  }

  #takePart(peer: ConnectedPeer, seeding: Seeding, { request, known, from }: JoinRequest): Member {
    const { facts, have } = seeding.stored;
    const handle = peer.nextHandle();
    const before = seeding.child(peer);
    if (before !== undefined) {
      peer.remove(before);
      seeding.requesters.remove(before);
      this.#neighbours.left(before);
    }
    const member = newMember(peer, seeding, handle);
    peer.channel.send(joinAnswer(request, member, this.#options.tickets));
    // After the answer: one that joined again knows this handle no more. Another one of that host does.
    if (before !== undefined) {
      const error = placeTaken(facts.taskId).toWire();
      peer.channel.send({ type: "failed", handle: before.handle, error });
    }
    peer.add(member);
    seeding.addChild(member);
    if (from !== "supernode") this.#neighbours.joined(member);
    const bitmap = known?.contentId === facts.contentId ? seeding.readBitmap(known.have) : null;
    this.#options.step({
      kind: "joined",
      content: seeding.index,
      host: peer.host,
      have: bitmap ?? new Uint32Array((have.size + 31) >>> 5),
      wantsPieces: true,
      seedsOnly: from === "supernode",
    });
    return member;
  }

  /** The download ended here; the peer still gives what it has, until it drops the content or goes. */
  #leave(member: Member): void {
    const { seeding, peer } = member;
    const pull = { slots: 0, reports: [], overdue: [] };
    this.#options.step({ kind: "pulled", content: seeding.index, host: peer.host, pull });
    this.#forget(member);
  }

  #forget(member: Member): void {
    member.peer.remove(member);
    member.seeding.removeChild(member);
    this.#neighbours.left(member);
    this.#options.childLeft(member.seeding);
  }

  #held(peer: ConnectedPeer, content: HeldContent): void {
    peer.hold(content);
    const seeding = this.#options.seeding(content.contentId);
    // A child says what it has with its join and its reports.
    if (seeding !== undefined && seeding.child(peer) === undefined) {
      this.#takePartAsHolder(peer, seeding, content.have);
    }
  }

  #takePartAsHolder(peer: ConnectedPeer, seeding: Seeding, bitmap: string): void {
    const have = seeding.readBitmap(bitmap);
    if (have === null) return;
    const content = seeding.index;
    this.#options.step({ kind: "joined", content, host: peer.host, have, wantsPieces: false });
  }

  #dropHeld(peer: ConnectedPeer, contentId: string): void {
    peer.drop(contentId);
    const seeding = this.#options.seeding(contentId);
    if (seeding === undefined || seeding.child(peer) !== undefined) return;
    this.#options.step({ kind: "left", content: seeding.index, host: peer.host });
  }
}
