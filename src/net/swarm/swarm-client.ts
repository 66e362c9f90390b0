// The peer's end of the swarm channel: one WebSocket to one supernode for all downloads. It says
// hello, keeps the channel alive, comes back with jittered back-off, and hands each message to the
// member (one download) that it is for. What to say is the members' affair.
//
//   waiting ──▶ connecting ──▶ greeting (both hellos) ──▶ open ──▶ waiting …
//      ▲____________│__________________│ failed or lost

import type { Pull } from "../../engine/core/scheduler-events.ts";
import { DfError } from "../../errors.ts";
import { CONNECT_TIMEOUT_MS, CONTROL_MESSAGE_BYTES_MAX } from "../../limits.ts";
import type { CommandResult } from "../wire/command.ts";
import { decodeFrame, FrameEncoder, PULL_ENTRIES_MAX } from "../wire/swarm-frames.ts";
import {
  PROTOCOL_VERSION,
  type Hello,
  type Joined,
  type PeerMessage,
  type SupernodeMessage,
} from "../wire/swarm-messages.ts";
import type { TaskRequest } from "../wire/task.ts";
import { openChannel, type SupernodeEndpoint } from "../tls/supernode-endpoint.ts";
import { holdBatches } from "./hold-batches.ts";
import { isOwnMachine } from "./is-confidential.ts";
import {
  joinMessage,
  notConfidential,
  type JoinOptions,
  type KnownContent,
} from "./join-message.ts";
import { ChannelWatch } from "./channel-watch.ts";
import { reconnectDelayMs, spreadMsOf } from "./reconnect-delay.ts";
import { SendQueue } from "./send-queue.ts";
import { parseSupernodeMessage } from "./supernode-message.ts";
import type { SwarmMember } from "./swarm-member.ts";

/** What a peer says of itself; type and protocol are the channel's. */
export type HelloFields = Omit<Hello, "type" | "protocol">;

/** What a supernode tells a host as a whole, not one of its downloads. */
export type FleetMessage = Extract<
  SupernodeMessage,
  { type: "settings" | "command" | "routes" | "notice" }
>;

export interface SwarmClientOptions extends Partial<SupernodeEndpoint> {
  /** "host:port" of the supernode's control port. */
  address: string;
  hello: () => HelloFields;
  /** The channel opened, again perhaps: says what can be shared from here. */
  onOpened: () => void;
  /** An open channel was lost. @defaultValue ignored */
  onLost?: () => void;
  /** The last member left. @defaultValue ignored */
  onUnused?: () => void;
  /** The supernode does not admit this peer, and says why; it is tried again later. @defaultValue ignored */
  onRefused?: (reason: string) => void;
  /** The fleet's word to this host, in the order of the messages. @defaultValue ignored */
  told?: (message: FleetMessage) => void;
  /** To a supernode: the owner wants it as one more seed. @defaultValue ignored */
  askedToTakePart?: (task: TaskRequest) => void;
}

/** WebSocket close code of a supernode that does not admit us (RFC 6455 §7.4.1). */
const CLOSE_POLICY = 1008;

export class SwarmClient {
  readonly endpoint: SupernodeEndpoint;
  readonly #options: SwarmClientOptions;
  readonly #encoder = new FrameEncoder();
  readonly #members = new Set<SwarmMember>();
  readonly #byRequest = new Map<number, SwarmMember>();
  readonly #byHandle = new Map<number, SwarmMember>();
  readonly #handles = new Map<SwarmMember, number>();
  #queue: SendQueue | undefined;
  #isOpen = false;
  #hostId: string | null = null;
  #pieceAddress: string | null = null;
  #isStopped = false;
  #nextRequest = 1;
  /** Since when there is no channel; null: there is one, or none was wanted yet. */
  #lostAtMs: number | null = null;
  #swarmSize = 0;
  /** Peers that the supernode had at the hello. */
  #peerCount = 0;
  #watch: ChannelWatch | undefined;
  /** All peers lost the supernode together: each waits for its turn until then. */
  #spreadUntilMs = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  /** Settles when the attempt under way ends; undefined while open or waiting. */
  #attempt: Promise<void> | undefined;

  constructor(options: SwarmClientOptions) {
    this.endpoint = { address: options.address, proof: options.proof ?? null };
    this.#options = options;
  }

  /** "host:port" of the supernode's control port. */
  get address(): string {
    return this.endpoint.address;
  }

  /** Whether the supernode is there to be asked. */
  get isOpen(): boolean {
    return this.#isOpen && this.#watch?.isSilent !== true;
  }

  /** Whether nobody else can listen: then credentials may be sent. */
  get isConfidential(): boolean {
    const { address, proof } = this.endpoint;
    return proof !== null || isOwnMachine(address.slice(0, address.lastIndexOf(":")));
  }

  /** Whether a download takes part here. */
  get isUsed(): boolean {
    return this.#members.size > 0;
  }

  /** The supernode's host ID, known since the first hello. */
  get hostId(): string | null {
    return this.#hostId;
  }

  /** "host:port" of the supernode's own pieces, known since the first hello. */
  get pieceAddress(): string | null {
    return this.#pieceAddress;
  }

  /** Most peers that this supernode told of, in its hello or of one swarm: so many lose it together. */
  get swarmSize(): number {
    return Math.max(this.#swarmSize, this.#peerCount);
  }

  /** Whether the supernode answers; tries at once when the channel waits for its next attempt. */
  async reach(): Promise<boolean> {
    if (this.#isOpen || this.#isStopped) return this.isOpen;
    if (this.#attempt === undefined && performance.now() < this.#spreadUntilMs) return false;
    clearTimeout(this.#retryTimer);
    this.#attempt ??= this.#connect().finally(() => {
      this.#attempt = undefined;
    });
    await this.#attempt;
    return this.#isOpen;
  }

  /** Asks to take part in a task; the answer comes to `member`. A member joins one task at a time. */
  join(member: SwarmMember, task: TaskRequest, options: JoinOptions = {}): void {
    if (!this.isUsed) this.#watch?.becameUsed();
    this.#members.add(member);
    if (!this.#isOpen) return;
    if (task.credentials !== undefined && !this.isConfidential) {
      // Later, as an answer would come.
      queueMicrotask(() => member.refused(notConfidential(this.address)));
      return;
    }
    const request = this.#nextRequest++;
    this.#byRequest.set(request, member);
    this.#say(joinMessage(request, task, options));
  }

  /** Ends a member's part; nothing reaches it afterwards, and nobody is sent here for its pieces. */
  leave(member: SwarmMember): void {
    const handle = this.#handles.get(member);
    this.detach(member);
    if (handle !== undefined) this.#say({ type: "leave", handle });
  }

  /** Stops listening for a member that is done; the supernode goes on sending others here. */
  detach(member: SwarmMember): void {
    this.#members.delete(member);
    for (const [request, waiting] of this.#byRequest) {
      if (waiting === member) this.#byRequest.delete(request);
    }
    const handle = this.#handles.get(member);
    this.#handles.delete(member);
    if (handle !== undefined) this.#byHandle.delete(handle);
    // Later: the member may be about to join here again.
    if (this.#members.size === 0) queueMicrotask(() => this.#options.onUnused?.());
  }

  /** Sends a member's pull; without effect before it joined. */
  pull(member: SwarmMember, pull: Pull): void {
    const handle = this.#handles.get(member);
    if (handle === undefined) return;
    let { reports, overdue } = pull;
    do {
      const part = {
        slots: pull.slots,
        reports: reports.slice(0, PULL_ENTRIES_MAX),
        overdue: overdue.slice(0, PULL_ENTRIES_MAX),
      };
      this.#queue?.send(this.#encoder.pull(handle, part));
      reports = reports.slice(PULL_ENTRIES_MAX);
      overdue = overdue.slice(PULL_ENTRIES_MAX);
    } while (reports.length > 0 || overdue.length > 0);
  }

  /** Offers contents that this host can share. */
  hold(contents: readonly KnownContent[]): void {
    for (const batch of holdBatches(contents)) this.#say({ type: "hold", contents: batch });
  }

  /** Withdraws a content that was evicted. */
  drop(contentId: string): void {
    this.#say({ type: "drop", contentId });
  }

  /** Tells what became of a command; lost with the channel, so what must be heard is said again. */
  answer(result: CommandResult): void {
    this.#say({ type: "commandResult", result });
  }

  /** Opens the channel anew, so that the other end hears the present hello; transfers go on. */
  greetAnew(): void {
    if (this.#isOpen) this.#queue?.close();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#retryTimer);
    this.#queue?.close();
  }

  /** Resolves when the channel is open or the attempt failed. */
  #connect(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const socket = openChannel(this.endpoint);
    socket.binaryType = "arraybuffer";
    const queue = new SendQueue(socket);
    this.#queue = queue;
    this.#watch = new ChannelWatch(socket, {
      isUsed: () => this.isUsed,
      onSilent: () => this.#tellAll((member) => member.channelSilent()),
      onHeardAgain: () => this.#tellAll((member) => member.channelOpened()),
    });
    const greetingDeadline = setTimeout(() => socket.terminate(), CONNECT_TIMEOUT_MS);
    socket.addEventListener("open", () => {
      const protocol = { min: PROTOCOL_VERSION, max: PROTOCOL_VERSION };
      this.#say({ type: "hello", protocol, ...this.#options.hello() });
    });
    socket.addEventListener("message", (event: MessageEvent<string | ArrayBuffer>) => {
      // What this end cannot read is a broken channel: a fresh one starts from known state.
      if (!this.#receive(event.data)) socket.close(1002);
      if (!this.#isOpen) return;
      clearTimeout(greetingDeadline);
      resolve();
    });
    socket.addEventListener("error", () => {});
    socket.addEventListener("close", ({ code, reason }) => {
      if (code === CLOSE_POLICY) this.#options.onRefused?.(reason);
      clearTimeout(greetingDeadline);
      queue.close();
      this.#lost();
      resolve();
    });
    return promise;
  }

  #lost(): void {
    const wasOpen = this.#isOpen;
    this.#isOpen = false;
    this.#watch = undefined;
    this.#queue = undefined;
    this.#byRequest.clear();
    this.#byHandle.clear();
    this.#handles.clear();
    if (wasOpen) {
      this.#tellAll((member) => member.channelLost());
      this.#options.onLost?.();
    }
    if (this.#isStopped) return;
    this.#lostAtMs ??= performance.now();
    const delayMs = reconnectDelayMs(performance.now() - this.#lostAtMs, this.#swarmSize);
    const turnMs = wasOpen ? Math.min(delayMs, spreadMsOf(this.#swarmSize)) : 0;
    this.#spreadUntilMs = performance.now() + turnMs;
    this.#retryTimer = setTimeout(() => {
      this.#spreadUntilMs = 0;
      void this.reach();
    }, delayMs);
  }

  /** Returns false for what the protocol does not allow. */
  #receive(data: string | ArrayBuffer): boolean {
    if (typeof data !== "string") return this.#receiveFrame(new Uint8Array(data));
    if (data.length > CONTROL_MESSAGE_BYTES_MAX) return false;
    const message = parseSupernodeMessage(data);
    // A type of a later version is ignored; a known one must be well formed.
    if (message === "of-a-later-version") return true;
    return message !== null && this.#receiveMessage(message);
  }

  #receiveFrame(bytes: Uint8Array): boolean {
    const frame = decodeFrame(bytes);
    if (frame === null || frame.kind === "pull") return false;
    const member = this.#byHandle.get(frame.handle);
    // A frame may cross our leave.
    switch (frame.kind) {
      case "rows":
        member?.rows(frame.rows);
        break;
      case "assign":
        member?.assigned(frame.assignments);
        break;
      case "signed":
        member?.signed(frame.groups);
        break;
    }
    return true;
  }

  #receiveMessage(message: SupernodeMessage): boolean {
    if (!this.#isOpen && message.type !== "hello") return false;
    switch (message.type) {
      case "hello":
        return this.#greeted(message);
      case "joined":
        this.#joined(message);
        break;
      case "moved":
        this.#takeRequest(message.request)?.moved(message, message.isDelegated ?? false);
        break;
      case "refused":
        this.#takeRequest(message.request)?.refused(DfError.fromWire(message.error));
        break;
      case "closed":
        this.#byHandle.get(message.handle)?.closed(message);
        break;
      case "ticket":
        this.#byHandle.get(message.handle)?.ticket(message.ticket);
        break;
      case "failed":
        this.#byHandle.get(message.handle)?.failed(DfError.fromWire(message.error));
        break;
      case "neighbours": {
        const { handle, addresses, swarmSize = 0 } = message;
        this.#swarmSize = Math.max(this.#swarmSize, swarmSize);
        this.#byHandle.get(handle)?.neighbours(addresses, swarmSize || this.#swarmSize);
        break;
      }
      case "settings":
      case "command":
      case "routes":
      case "notice":
        this.#options.told?.(message);
        break;
      case "takePart":
        this.#options.askedToTakePart?.(message.task);
        break;
    }
    return true;
  }

  #greeted(hello: Hello): boolean {
    const { min, max } = hello.protocol;
    if (this.#isOpen || PROTOCOL_VERSION < min || PROTOCOL_VERSION > max) return false;
    this.#isOpen = true;
    this.#lostAtMs = null;
    this.#hostId = hello.hostId;
    this.#pieceAddress = hello.pieceAddress;
    this.#peerCount = hello.peerCount ?? 0;
    this.#options.onOpened();
    this.#tellAll((member) => member.channelOpened());
    return true;
  }

  #joined(joined: Joined): void {
    this.#swarmSize = Math.max(this.#swarmSize, joined.swarmSize);
    const member = this.#takeRequest(joined.request);
    if (member === undefined) {
      // It left before the answer came.
      this.#say({ type: "leave", handle: joined.handle });
      return;
    }
    const formerHandle = this.#handles.get(member);
    if (formerHandle !== undefined) this.#byHandle.delete(formerHandle);
    this.#handles.set(member, joined.handle);
    this.#byHandle.set(joined.handle, member);
    member.joined(joined);
  }

  /** A member may leave while it is told. */
  #tellAll(tell: (member: SwarmMember) => void): void {
    for (const member of [...this.#members]) tell(member);
  }

  #takeRequest(request: number): SwarmMember | undefined {
    const member = this.#byRequest.get(request);
    this.#byRequest.delete(request);
    return member;
  }

  #say(message: PeerMessage): void {
    this.#queue?.send(JSON.stringify(message));
  }
}
