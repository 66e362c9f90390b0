// The supernode's end of the swarm channels: WebSockets on `GET /v1/swarm`. It checks every message
// at the edge, keeps sends bounded, and hands what was said to the role. What it means is the role's.

import type { ServerWebSocket, WebSocketHandler } from "bun";
import type { Pull } from "../../engine/core/scheduler-events.ts";
import { CONTROL_MESSAGE_BYTES_MAX } from "../../limits.ts";
import { decodePull } from "../wire/swarm-frames.ts";
import {
  PROTOCOL_VERSION,
  peerMessageSchema,
  type Hello,
  type PeerMessage,
  type SupernodeMessage,
} from "../wire/swarm-messages.ts";
import type { WaitingChannel, WaitingChannels } from "./waiting-channels.ts";

/** Bytes a socket may hold before messages wait here: Bun drops what comes beyond its own limit. */
const SOCKET_BYTES_MAX = 1 << 20;

/** Bytes that may wait here. A peer that far behind is better off with a fresh channel. */
const QUEUE_BYTES_MAX = 8 << 20;

/** A channel that says nothing, not even a pong, is closed; Bun pings at half of it. Seconds. */
const IDLE_TIMEOUT_SEC = 30;

/** Time from the open socket to the peer's hello. */
const HELLO_TIMEOUT_MS = 5_000;

/** WebSocket close codes (RFC 6455 §7.4.1). */
const CLOSE_PROTOCOL_ERROR = 1002;
const CLOSE_POLICY = 1008;
const CLOSE_TRY_AGAIN = 1013;

/** What a peer may say once the hellos are exchanged. */
export type PeerRequest = Exclude<PeerMessage, { type: "hello" }>;

export type Admittance = { isAdmitted: true } | { isAdmitted: false; reason: string };

/** The role's ear. Calls for one channel come in the order of its messages. */
export interface SwarmListener {
  /** What this supernode says of itself to a peer; type and protocol are the channel's. */
  hello(origin: ChannelOrigin): Omit<Hello, "type" | "protocol">;
  /** Lets a peer in, or says why not; null: everybody is. */
  admit: ((channel: PeerChannel, hello: Hello) => Promise<Admittance>) | null;
  arrived(channel: PeerChannel): void;
  said(channel: PeerChannel, message: PeerRequest): void;
  pulled(channel: PeerChannel, handle: number, pull: Pull): void;
  /** Nothing more comes from this channel and nothing can be sent. */
  gone(channel: PeerChannel): void;
}

/** What the upgrade request told. */
export interface ChannelOrigin {
  /** The peer's address, without port. */
  remoteAddress: string;
  /** Host name or address by which the peer reached this supernode. */
  reachedAs: string;
}

type ChannelSocket = ServerWebSocket<PeerChannel>;

/** One peer's channel. */
export class PeerChannel implements WaitingChannel {
  readonly origin: ChannelOrigin;
  readonly #listener: SwarmListener;
  readonly #waitingRoom: WaitingChannels<PeerChannel>;
  #socket: ChannelSocket | null = null;
  #hello: Hello | null = null;
  /** Whether the hello came and nobody decided yet. */
  #isAsking = false;
  #helloTimer: ReturnType<typeof setTimeout> | undefined;
  #waiting: (string | Uint8Array<ArrayBuffer>)[] = [];
  #waitingBytes = 0;

  constructor(
    listener: SwarmListener,
    origin: ChannelOrigin,
    waitingRoom: WaitingChannels<PeerChannel>,
  ) {
    this.#listener = listener;
    this.origin = origin;
    this.#waitingRoom = waitingRoom;
  }

  /** What the peer said of itself; only of a channel that arrived. */
  get hello(): Hello {
    if (this.#hello === null) throw new Error("a channel that arrived has said hello");
    return this.#hello;
  }

  send(message: SupernodeMessage): void {
    this.#send(JSON.stringify(message));
  }

  /** Sends a binary frame; its buffer may be used again afterwards. */
  sendFrame(frame: Uint8Array): void {
    this.#send(frame);
  }

  close(code: number, reason: string): void {
    this.#waiting = [];
    this.#waitingBytes = 0;
    const socket = this.#socket;
    // Later: closing calls `gone` at once, and the listener may be in the middle of a send.
    queueMicrotask(() => socket?.close(code, reason));
  }

  /** Ends the channel of a peer that may not take part, or no longer. */
  refuse(reason: string): void {
    // A close frame has room for 123 bytes (RFC 6455 §5.5).
    this.close(CLOSE_POLICY, reason.slice(0, 120));
  }

  makeRoom(): void {
    this.close(CLOSE_TRY_AGAIN, "too many channels of this address wait to be admitted");
  }

  opened(socket: ChannelSocket): void {
    this.#socket = socket;
    this.#waitingRoom.entered(this.origin.remoteAddress, this);
    this.#helloTimer = setTimeout(() => this.close(CLOSE_POLICY, "no hello"), HELLO_TIMEOUT_MS);
  }

  received(data: string | Uint8Array): void {
    if (this.#socket === null) return;
    if (typeof data !== "string") return this.#receivedFrame(data);
    const message = parseMessage(data);
    if (message === null) return this.close(CLOSE_PROTOCOL_ERROR, "not a message of this protocol");
    if (message.type !== "hello") {
      if (this.#hello === null) return this.close(CLOSE_PROTOCOL_ERROR, "hello comes first");
      return this.#listener.said(this, message);
    }
    this.#greeted(message);
  }

  drained(): void {
    while (this.#waiting.length > 0 && this.#hasRoom()) {
      const message = this.#waiting.shift()!;
      this.#waitingBytes -= message.length;
      this.#socket?.send(message);
    }
  }

  closed(): void {
    this.#endWaiting();
    this.#socket = null;
    this.#waiting = [];
    if (this.#hello !== null) this.#listener.gone(this);
  }

  #greeted(hello: Hello): void {
    if (this.#hello !== null || this.#isAsking) {
      return this.close(CLOSE_PROTOCOL_ERROR, "a second hello");
    }
    const { min, max } = hello.protocol;
    if (min > PROTOCOL_VERSION || max < PROTOCOL_VERSION) {
      return this.close(CLOSE_PROTOCOL_ERROR, `protocol ${PROTOCOL_VERSION} is spoken here`);
    }
    const { admit } = this.#listener;
    if (admit === null) return this.#arrived(hello);
    this.#isAsking = true;
    void admit(this, hello).then((answer) => {
      if (!answer.isAdmitted) this.refuse(answer.reason);
      else if (this.#socket !== null) this.#arrived(hello);
    });
  }

  /** Nobody waits any longer for it to be admitted. */
  #endWaiting(): void {
    clearTimeout(this.#helloTimer);
    this.#waitingRoom.left(this.origin.remoteAddress, this);
  }

  #arrived(hello: Hello): void {
    this.#endWaiting();
    this.#hello = hello;
    const protocol = { min: PROTOCOL_VERSION, max: PROTOCOL_VERSION };
    this.send({ type: "hello", protocol, ...this.#listener.hello(this.origin) });
    this.#listener.arrived(this);
  }

  #receivedFrame(data: Uint8Array): void {
    const frame = this.#hello === null ? null : decodePull(data);
    if (frame === null) return this.close(CLOSE_PROTOCOL_ERROR, "not a frame of this protocol");
    this.#listener.pulled(this, frame.handle, frame.pull);
  }

  #send(message: string | Uint8Array): void {
    if (this.#socket === null) return;
    if (this.#waiting.length === 0 && this.#hasRoom()) {
      this.#socket.send(message);
      return;
    }
    this.#waiting.push(typeof message === "string" ? message : message.slice());
    this.#waitingBytes += message.length;
    if (this.#waitingBytes > QUEUE_BYTES_MAX) this.close(CLOSE_TRY_AGAIN, "reading too slowly");
  }

  #hasRoom(): boolean {
    return this.#socket !== null && this.#socket.getBufferedAmount() < SOCKET_BYTES_MAX;
  }
}

/** What `Bun.serve` needs for the channels; sockets are upgraded with a PeerChannel as their data. */
export const swarmSockets: WebSocketHandler<PeerChannel> = {
  data: {} as PeerChannel,
  maxPayloadLength: CONTROL_MESSAGE_BYTES_MAX,
  idleTimeout: IDLE_TIMEOUT_SEC,
  // Above our own mark, so that nothing is ever dropped.
  backpressureLimit: 2 * SOCKET_BYTES_MAX,
  sendPings: true,
  open: (socket) => socket.data.opened(socket),
  message: (socket, data) => socket.data.received(data),
  drain: (socket) => socket.data.drained(),
  close: (socket) => socket.data.closed(),
};

function parseMessage(text: string): PeerMessage | null {
  try {
    return peerMessageSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
