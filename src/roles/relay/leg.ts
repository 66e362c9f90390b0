// One side of a relayed connection. What arrives on its socket flows to the other side's, no faster
// than that takes it; each direction ends on its own, and a broken side breaks the other.

import type { Socket, SocketHandler } from "bun";

/** What may wait here for a decision about its way; more stays in the sender's buffers. */
const WAITING_BYTES_MAX = 64 << 10;

export class Leg {
  readonly #socket: Socket<Leg>;
  #partner: Leg | null = null;
  /** Whether what arrives goes to the partner already. */
  #isFlowing = false;
  /** What arrived and does not flow yet. */
  #waiting: Buffer = Buffer.alloc(0);
  /** What the socket did not take yet. */
  #unsent: Buffer[] = [];
  /** Its sender will send no more. */
  #hasEnded = false;
  #isClosed = false;
  /** When bytes last came; monotonic. */
  #arrivedAtMs = performance.now();
  #onceMore: () => void = () => {};
  /** What to do when all is sent. */
  #afterwards: "go-on" | "finish" | "close" = "go-on";

  constructor(socket: Socket<Leg>) {
    this.#socket = socket;
    socket.data = this;
    // Vanished machines would keep their tunnels for ever.
    socket.setKeepAlive(true, 60_000);
  }

  /** What arrived and does not flow yet. */
  get waiting(): Buffer {
    return this.#waiting;
  }

  set waiting(bytes: Buffer) {
    this.#waiting = bytes;
  }

  /** Whether nothing can arrive any more. */
  get hasEnded(): boolean {
    return this.#hasEnded || this.#isClosed;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Since when nothing came from either side, and all that came is passed on; null: bytes wait for somebody. */
  get quietSinceMs(): number | null {
    const both = [this, this.#partner ?? this];
    if (both.some((leg) => leg.#unsent.length > 0)) return null;
    return Math.max(...both.map((leg) => leg.#arrivedAtMs));
  }

  /** Resolves when more waits, or nothing will come any more. */
  more(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onceMore = resolve;
    if (this.hasEnded) resolve();
    else this.#socket.resume();
    return promise;
  }

  /** From now on the end of one is the end of the other. */
  pairWith(other: Leg): void {
    this.#partner = other;
    other.#partner = this;
    if (this.#isClosed) other.#close();
    if (other.#isClosed) this.#close();
  }

  /** Lets what arrived and what will arrive go to the partner. */
  flow(): void {
    const partner = this.#partner!;
    this.#isFlowing = true;
    const waiting = this.#waiting;
    this.#waiting = Buffer.alloc(0);
    const isTaken = waiting.length === 0 || partner.send(waiting);
    if (this.#hasEnded) partner.#finish();
    else if (isTaken) this.#socket.resume();
    else this.#socket.pause();
  }

  /** @returns whether the socket took it all; if not, it is kept and sent as soon as it can be */
  send(bytes: Buffer): boolean {
    if (this.#isClosed) return true;
    if (this.#unsent.length === 0) {
      const count = Math.max(0, this.#socket.write(bytes));
      if (count === bytes.length) return true;
      bytes = bytes.subarray(count);
    }
    this.#unsent.push(bytes);
    return false;
  }

  /** Sends a last word, and closes when it is sent. */
  closeWith(text: string): void {
    this.send(Buffer.from(text, "latin1"));
    this.#close();
  }

  terminate(): void {
    this.#socket.terminate();
  }

  #arrived(bytes: Buffer): void {
    this.#arrivedAtMs = performance.now();
    if (this.#isFlowing) {
      if (!this.#partner!.send(bytes)) this.#socket.pause();
      return;
    }
    this.#waiting = Buffer.concat([this.#waiting, bytes]);
    if (this.#waiting.length >= WAITING_BYTES_MAX) this.#socket.pause();
    this.#onceMore();
  }

  #ended(): void {
    this.#hasEnded = true;
    if (this.#isFlowing) this.#partner!.#finish();
    this.#onceMore();
  }

  #closed(isBroken: boolean): void {
    this.#isClosed = true;
    this.#unsent = [];
    if (isBroken) this.#partner?.terminate();
    else if (this.#partner !== null) this.#partner.#close();
    this.#onceMore();
  }

  /** Says that no more comes, after what is unsent; the other direction may go on. */
  #finish(): void {
    if (this.#unsent.length > 0) this.#afterwards = "finish";
    else if (this.#hasEnded) this.#socket.end();
    else this.#socket.shutdown();
  }

  #close(): void {
    if (this.#unsent.length > 0) this.#afterwards = "close";
    else this.#socket.end();
  }

  #drained(): void {
    for (let next = this.#unsent[0]; next !== undefined; next = this.#unsent[0]) {
      const count = Math.max(0, this.#socket.write(next));
      if (count < next.length) {
        this.#unsent[0] = next.subarray(count);
        return;
      }
      this.#unsent.shift();
    }
    if (this.#afterwards === "close") this.#close();
    else if (this.#afterwards === "finish") this.#finish();
    else if (this.#partner !== null && this.#partner.#isFlowing) this.#partner.#socket.resume();
  }

  /** For sockets whose `data` is a leg, opened with `allowHalfOpen`. */
  static readonly HANDLERS: SocketHandler<Leg> = {
    binaryType: "buffer",
    data: (socket, bytes) => socket.data.#arrived(bytes),
    drain: (socket) => socket.data.#drained(),
    end: (socket) => socket.data.#ended(),
    close: (socket, error) => socket.data.#closed(error !== undefined),
    // The close that follows tells it.
    error: () => {},
  };
}
