// Watches over one open socket to a supernode: asks a quiet one for a sign of life, says when it is
// silent and when it speaks again, and gives it up in the end.
//
//   heard ─▶ quiet ─▶ pings unanswered ─▶ silent ─▶ heard again | given up

import { CONNECT_TIMEOUT_MS, OWNER_SILENCE_MS } from "../../limits.ts";

/** A silent channel is asked for a sign of life, and given up after two of these without one. */
const PING_INTERVAL_MS = 10_000;

/** Where a download waits, so often; after so many unanswered ones the supernode counts as silent. */
const USED_PING_INTERVAL_MS = 750;
const SILENT_PINGS = OWNER_SILENCE_MS / USED_PING_INTERVAL_MS;

export interface ChannelWatchOptions {
  /** Whether a download takes part here. */
  isUsed: () => boolean;
  onSilent: () => void;
  /** Something came after a silence. */
  onHeardAgain: () => void;
}

export class ChannelWatch {
  readonly #socket: WebSocket;
  readonly #options: ChannelWatchOptions;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #heardAtMs = performance.now();
  /** Counted, not timed: a host that was suspended has not been listening. */
  #unansweredPings = 0;
  #isSilent = false;

  /** Listens from now on. */
  constructor(socket: WebSocket, options: ChannelWatchOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.addEventListener("ping", () => this.#heard());
    socket.addEventListener("pong", () => this.#heard());
    socket.addEventListener("message", () => this.#heard());
    socket.addEventListener("close", () => clearTimeout(this.#timer));
    this.#look();
  }

  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** A download came: from now on silence matters. */
  becameUsed(): void {
    if (this.#socket.readyState > WebSocket.OPEN) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), USED_PING_INTERVAL_MS);
  }

  #look(): void {
    const isUsed = this.#options.isUsed();
    const intervalMs = isUsed ? USED_PING_INTERVAL_MS : PING_INTERVAL_MS;
    this.#timer = setTimeout(() => this.#look(), intervalMs);
    const quietMs = performance.now() - this.#heardAtMs;
    if (quietMs > 2 * PING_INTERVAL_MS + CONNECT_TIMEOUT_MS) return this.#socket.terminate();
    if (quietMs < intervalMs / 2 || this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.ping();
    if (!isUsed || ++this.#unansweredPings < SILENT_PINGS || this.#isSilent) return;
    this.#isSilent = true;
    this.#options.onSilent();
  }

  #heard(): void {
    this.#heardAtMs = performance.now();
    this.#unansweredPings = 0;
    if (!this.#isSilent) return;
    this.#isSilent = false;
    this.#options.onHeardAgain();
  }
}
