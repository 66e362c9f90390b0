// A bounded queue in front of a WebSocket client: the socket itself would buffer without end when
// the other side stops reading.

/** Bytes the socket may hold before messages wait here. */
const SOCKET_BYTES_MAX = 1 << 20;

/** Bytes that may wait here. A supernode that far behind is better left: the channel is closed. */
const QUEUE_BYTES_MAX = 4 << 20;

/** How often a full socket is looked at again; WebSocket clients have no drain event. */
const FLUSH_INTERVAL_MS = 20;

export class SendQueue {
  readonly #socket: WebSocket;
  #waiting: (string | Uint8Array<ArrayBuffer>)[] = [];
  #waitingBytes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  /** Sends in order, now or when the socket takes more. `message` may be used again afterwards. */
  send(message: string | Uint8Array): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    if (this.#waiting.length === 0 && this.#socket.bufferedAmount < SOCKET_BYTES_MAX) {
      this.#socket.send(message);
      return;
    }
    this.#waiting.push(typeof message === "string" ? message : message.slice());
    this.#waitingBytes += message.length;
    if (this.#waitingBytes > QUEUE_BYTES_MAX) return this.close();
    this.#timer ??= setTimeout(() => this.#flush(), FLUSH_INTERVAL_MS);
  }

  /** Closes the socket; what waits is dropped. */
  close(): void {
    clearTimeout(this.#timer);
    this.#waiting = [];
    this.#socket.close();
  }

  #flush(): void {
    this.#timer = undefined;
    while (this.#waiting.length > 0 && this.#socket.bufferedAmount < SOCKET_BYTES_MAX) {
      const message = this.#waiting.shift()!;
      this.#waitingBytes -= message.length;
      this.#socket.send(message);
    }
    if (this.#waiting.length > 0) {
      this.#timer = setTimeout(() => this.#flush(), FLUSH_INTERVAL_MS);
    }
  }
}
