// One keep-alive HTTP/1.1 connection to a parent's piece server, one request at a time. Body bytes
// go to their taker straight from the socket: measured against fetch this costs a fifth less CPU
// and a third less memory per GiB, and it has no process-wide limit of requests.
//
//   connecting ─▶ idle ─▶ head (until the blank line) ─▶ body (Content-Length bytes) ─▶ idle
//                   any state ─ error, close, bytes nobody asked for ─▶ closed

import type { Socket } from "bun";
import { bareHost } from "../bare-host.ts";
import { ReceiveThreshold } from "./receive-threshold.ts";

/** What a parent answers before its bytes. */
export interface AnswerHead {
  status: number;
  contentLength: number;
  contentRange: string | null;
  retryAfter: string | null;
}

export interface PieceExchange {
  path: string;
  /** Offsets of the first and the last byte. */
  range: { first: number; last: number };
  /** Further header fields. */
  fields: Record<string, string>;
  /** The head is here; false refuses the body, and the connection is closed. */
  onHead: (head: AnswerHead) => boolean;
  /** Bytes of the body; only valid during the call. */
  onBody: (bytes: Uint8Array) => void;
}

/** A head longer than this is not one of ours. */
const HEAD_BYTES_MAX = 8 << 10;

export interface PieceConnectionOptions {
  /** Told once. */
  onClosed: (connection: PieceConnection) => void;
  /** A parent that does not answer, or sends nothing, for this long is given up. */
  stallTimeoutMs: number;
}

const STATUS_LINE = /^HTTP\/1\.1 (\d{3})(?: |$)/;
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const LENGTH = /^\d{1,15}$/;

interface UnderWay extends PieceExchange {
  head: AnswerHead | null;
  bodyBytesLeft: number;
  resolve: () => void;
  reject: (error: Error) => void;
}

export class PieceConnection {
  readonly address: string;
  readonly #onClosed: (connection: PieceConnection) => void;
  #socket: Socket | null = null;
  readonly #threshold = new ReceiveThreshold();
  #exchange: UnderWay | null = null;
  #headBytes: Uint8Array = new Uint8Array(0);
  #isClosed = false;
  #closesAfter = false;
  #hasStalled = false;
  #stall: ReturnType<typeof setTimeout> | undefined;
  readonly #stallTimeoutMs: number;
  /** Exchanges that ended well. */
  exchangeCount = 0;

  private constructor(address: string, options: PieceConnectionOptions) {
    this.address = address;
    this.#onClosed = options.onClosed;
    this.#stallTimeoutMs = options.stallTimeoutMs;
  }

  /**
   * @param address "host:port", IPv6 in brackets
   * @throws when nobody answers there in time, or the signal aborts
   */
  static async open(
    address: string,
    options: PieceConnectionOptions,
    signal: AbortSignal,
  ): Promise<PieceConnection> {
    const connection = new PieceConnection(address, options);
    const colon = address.lastIndexOf(":");
    const aborted = Promise.withResolvers<never>();
    const abandon = (): void => {
      connection.close();
      aborted.reject(new Error(`nobody answered at ${address}`));
    };
    signal.throwIfAborted();
    signal.addEventListener("abort", abandon);
    const deadline = setTimeout(abandon, options.stallTimeoutMs);
    const opening = Bun.connect({
      hostname: bareHost(address.slice(0, colon)),
      port: Number(address.slice(colon + 1)),
      socket: {
        open: (socket) => connection.#opened(socket),
        data: (_, bytes) => connection.#received(bytes),
        close: () => connection.close(),
        error: () => connection.close(),
        connectError: () => connection.close(),
      },
    });
    try {
      await Promise.race([opening, aborted.promise]);
    } finally {
      clearTimeout(deadline);
      signal.removeEventListener("abort", abandon);
      // The loser of the race must not become an unhandled rejection.
      opening.catch(() => {});
      aborted.promise.catch(() => {});
    }
    return connection;
  }

  /** Whether it was closed because nothing came for too long. */
  get hasStalled(): boolean {
    return this.#hasStalled;
  }

  /** Whether another exchange may begin. */
  get isIdle(): boolean {
    return !this.#isClosed && this.#exchange === null;
  }

  /**
   * Asks for a range and feeds the answer to the exchange; resolves after its last byte.
   * @throws when the parent breaks off, stalls, speaks no HTTP, or `signal` aborts: then it is closed
   */
  async ask(exchange: PieceExchange, signal: AbortSignal): Promise<void> {
    const ended = Promise.withResolvers<void>();
    const { resolve, reject } = ended;
    this.#exchange = { ...exchange, head: null, bodyBytesLeft: 0, resolve, reject };
    const abandon = (): void => this.close();
    signal.addEventListener("abort", abandon);
    if (signal.aborted || this.#isClosed) this.close();
    this.#stall = setTimeout(() => this.#gaveUp(), this.#stallTimeoutMs);
    const { first, last } = exchange.range;
    const fields = Object.entries(exchange.fields).map(([name, value]) => `${name}: ${value}\r\n`);
    this.#socket?.write(
      `GET ${exchange.path} HTTP/1.1\r\nHost: ${this.address}\r\nRange: bytes=${first}-${last}\r\n${fields.join("")}\r\n`,
    );
    try {
      await ended.promise;
    } finally {
      clearTimeout(this.#stall);
      signal.removeEventListener("abort", abandon);
    }
  }

  close(): void {
    const wasClosed = this.#isClosed;
    this.#isClosed = true;
    this.#socket?.terminate();
    this.#exchange?.reject(new Error(`the connection to ${this.address} ended`));
    this.#exchange = null;
    if (!wasClosed) this.#onClosed(this);
  }

  #gaveUp(): void {
    this.#hasStalled = true;
    this.close();
  }

  #opened(socket: Socket): void {
    this.#socket = socket;
    socket.setNoDelay(true);
    this.#threshold.attach(socket);
    if (this.#isClosed) socket.terminate();
  }

  #received(bytes: Uint8Array): void {
    const exchange = this.#exchange;
    if (exchange === null) return this.close();
    this.#stall?.refresh();
    if (exchange.head !== null) return this.#body(exchange, bytes);
    const all = this.#headBytes.length === 0 ? bytes : Buffer.concat([this.#headBytes, bytes]);
    const end = Buffer.from(all.buffer, all.byteOffset, all.length).indexOf("\r\n\r\n");
    if (end < 0) {
      this.#headBytes = all.slice();
      if (all.length > HEAD_BYTES_MAX) this.close();
      return;
    }
    this.#headBytes = new Uint8Array(0);
    const head = parseHead(Buffer.from(all.buffer, all.byteOffset, end).toString("latin1"));
    if (head === null || !exchange.onHead(head)) return this.close();
    this.#closesAfter = head.closes;
    exchange.head = head;
    exchange.bodyBytesLeft = head.contentLength;
    this.#threshold.begin(performance.now());
    this.#body(exchange, all.subarray(end + 4));
  }

  #body(exchange: UnderWay, bytes: Uint8Array): void {
    if (bytes.length > exchange.bodyBytesLeft) return this.close();
    exchange.bodyBytesLeft -= bytes.length;
    if (bytes.length > 0) exchange.onBody(bytes);
    this.#threshold.received(performance.now(), bytes.length, exchange.bodyBytesLeft);
    if (exchange.bodyBytesLeft > 0) return;
    this.#exchange = null;
    this.exchangeCount++;
    exchange.resolve();
    if (this.#closesAfter) this.close();
  }
}

/** Reads a status line and headers (RFC 9112 §4, §5); null for anything without a plain length. */
function parseHead(text: string): (AnswerHead & { closes: boolean }) | null {
  const [statusLine = "", ...lines] = text.split("\r\n");
  const status = STATUS_LINE.exec(statusLine)?.[1];
  if (status === undefined) return null;
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(0, colon));
    if (!HEADER_NAME.test(name)) return null;
    headers.set(name.toLowerCase(), line.slice(colon + 1).trim());
  }
  const length = headers.get("content-length") ?? "";
  if (headers.has("transfer-encoding") || !LENGTH.test(length)) return null;
  return {
    status: Number(status),
    contentLength: Number(length),
    contentRange: headers.get("content-range") ?? null,
    retryAfter: headers.get("retry-after") ?? null,
    closes: headers.get("connection")?.toLowerCase() === "close",
  };
}
