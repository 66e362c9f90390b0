// The clients' connections to the proxy's port: how many there may be, and how long each may keep us
// waiting. Sockets that are handed to http.Server by "connection" have none of its timeouts in Bun 1.4.5
// (oven-sh/bun#37739), so one look a second at all of them takes their place.
//
//   accepted ─▶ waiting ─▶ busy ─▶ waiting …    a request's head must come in time, and its body, and
//                 │          │                  its answer must be read; what the answer itself takes
//                 └──────────┴─▶ let go         is nobody's fault here
//                                               a tunnel: counted, and watched by tunnel.ts
//
// Towards the end of the service all are closed when the last answer is through, and a tunnel when it rests.

import type { ServerResponse } from "node:http";
import { TUNNEL_REST_MS } from "../../limits.ts";
import type { TunnelEnd } from "./tunnel.ts";

export interface WatchLimits {
  /** Connections at once; the one that waits longest for a request makes room for the next. */
  connectionsMax: number;
  /** From the first byte of a request's head to its last, also from the start of a connection to that. */
  headMs: number;
  /** From an answer to the first byte of the next request. */
  idleMs: number;
  /** Requests of one connection under way at once, sent before the answers to the former ones came. */
  requestsMax: number;
  /** Without a byte of the request's body, or with an answer of which nothing is read. */
  stallMs: number;
  /** Without a byte in a tunnel, once no more clients are wanted. */
  restMs: number;
}

export const WATCH_LIMITS: WatchLimits = {
  // Of the 65,536 files that services may commonly have open, with as many again to the targets.
  connectionsMax: 8_192,
  headMs: 15_000,
  idleMs: 60_000,
  // Clients of today send none ahead, and each costs what a client costs.
  requestsMax: 16,
  // Engines stop reading while they unpack a layer.
  stallMs: 15 * 60_000,
  restMs: TUNNEL_REST_MS,
};

const LOOK_INTERVAL_MS = 1_000;

/** How long after the last answer a client may take to ask on: engines do within milliseconds. */
const FAREWELL_MS = 1_000;

interface Watched {
  /** The end whose bytes count: the socket, then the TLS on it. */
  stream: TunnelEnd;
  phase: "waiting" | "busy" | "tunnel";
  /** The request under way, the last of several. */
  response: ServerResponse | null;
  /** How many are under way. */
  requestCount: number;
  /** When the phase began, or a byte was last seen to move in it; monotonic. */
  sinceMs: number;
  seenBytes: number;
  /** Bytes of a next request were seen. */
  hasBegun: boolean;
}

export class ConnectionWatch {
  readonly #limits: WatchLimits;
  readonly #timer: Timer;
  readonly #all = new Map<TunnelEnd, Watched>();
  /** No more clients are wanted. */
  #isEnding = false;
  readonly #emptied = Promise.withResolvers<void>();

  constructor(limits: WatchLimits) {
    this.#limits = limits;
    this.#timer = setInterval(() => this.#look(performance.now()), LOOK_INTERVAL_MS);
  }

  get count(): number {
    return this.#all.size;
  }

  /** Takes a connection in; false: there is no room, and it is for the caller to close. */
  accept(stream: TunnelEnd): boolean {
    if (this.#all.size >= this.#limits.connectionsMax && !this.#makeRoom()) return false;
    const sinceMs = performance.now();
    const seenBytes = stream.bytesRead;
    // The first request was what it was opened for.
    const fresh = { phase: "waiting", hasBegun: true, response: null, requestCount: 0 } as const;
    this.#all.set(stream, { ...fresh, stream, sinceMs, seenBytes });
    stream.once("close", () => this.#forget(stream));
    return true;
  }

  /** Another stream speaks for the connection of `outer` from now on, and must bring its first request. */
  replace(outer: TunnelEnd, inner: TunnelEnd): void {
    const watched = this.#all.get(outer);
    if (watched === undefined) return;
    this.#all.delete(outer);
    this.#all.set(inner, watched);
    inner.once("close", () => {
      this.#forget(inner);
      outer.destroy();
    });
    outer.once("close", () => inner.destroy());
    watched.stream = inner;
    this.#become(watched, "waiting", true);
  }

  /** A request's head is in; false: there are too many of its connection, and it is for the caller to close. */
  begin(stream: TunnelEnd, response: ServerResponse): boolean {
    const watched = this.#all.get(stream);
    if (watched === undefined || watched.requestCount === this.#limits.requestsMax) return false;
    watched.response = response;
    watched.requestCount++;
    this.#become(watched, "busy", false);
    response.once("close", () => {
      watched.requestCount--;
      // A pipelined request may have begun meanwhile.
      if (watched.response === response) this.#become(watched, "waiting", false);
    });
    return true;
  }

  /** Whether an answer to an earlier request is still on its way: other words would become part of it. */
  isBusy(stream: TunnelEnd): boolean {
    return this.#all.get(stream)?.phase === "busy";
  }

  /** The connection is a tunnel's now. */
  letGo(stream: TunnelEnd): void {
    const watched = this.#all.get(stream);
    if (watched !== undefined) this.#become(watched, "tunnel", false);
  }

  /**
   * No more clients are wanted. Those that are here may ask on while any has an answer under way: Docker gets
   * three layers at once, and the others from where it got these. Settles when none is left, or at the signal.
   */
  async finish(signal: AbortSignal): Promise<void> {
    this.#isEnding = true;
    const hasAnswers = this.#hasAnswers();
    for (const watched of this.#all.values()) {
      const { stream, phase, hasBegun, seenBytes } = watched;
      const isIdle = phase === "waiting" && !hasBegun && movedBytes(watched) === seenBytes;
      if (isIdle && !hasAnswers && stream.writableLength === 0) {
        stream.destroy();
        this.#forget(stream);
      } else if (phase === "waiting") watched.sinceMs = performance.now();
    }
    if (this.#all.size === 0) return;
    const { promise, resolve } = this.#emptied;
    signal.addEventListener("abort", () => resolve(), { once: true });
    if (!signal.aborted) await promise;
  }

  /** Closes every connection. */
  close(): void {
    clearInterval(this.#timer);
    for (const stream of this.#all.keys()) stream.destroy();
  }

  #forget(stream: TunnelEnd): void {
    this.#all.delete(stream);
    if (this.#isEnding && this.#all.size === 0) this.#emptied.resolve();
  }

  #become(watched: Watched, phase: Watched["phase"], hasBegun: boolean): void {
    watched.phase = phase;
    watched.hasBegun = hasBegun;
    if (phase !== "busy") watched.response = null;
    watched.sinceMs = performance.now();
    watched.seenBytes = movedBytes(watched);
  }

  #hasAnswers(): boolean {
    return this.#all.values().some(({ phase }) => phase === "busy");
  }

  #look(nowMs: number): void {
    const hasAnswers = this.#isEnding && this.#hasAnswers();
    for (const watched of this.#all.values()) {
      const { stream, phase, seenBytes, hasBegun } = watched;
      const bytes = movedBytes(watched);
      watched.seenBytes = bytes;
      const moved = bytes !== seenBytes;
      if (phase === "waiting") {
        // Bytes that dribble in do not prolong the time that a head has.
        if (moved && !hasBegun) this.#become(watched, "waiting", true);
        else if (!hasBegun && this.#isEnding && (hasAnswers || stream.writableLength > 0)) {
          watched.sinceMs = nowMs;
        }
      } else if (moved || !isHeldUp(watched)) watched.sinceMs = nowMs;
      if (nowMs - watched.sinceMs > this.#limitOf(watched)) stream.destroy();
    }
  }

  #limitOf({ phase, hasBegun }: Watched): number {
    if (phase === "busy") return this.#limits.stallMs;
    if (phase === "tunnel") return this.#isEnding ? this.#limits.restMs : Infinity;
    if (this.#isEnding) return FAREWELL_MS;
    return hasBegun ? this.#limits.headMs : this.#limits.idleMs;
  }

  /** Closes the connection that waits longest; the first in the map are the oldest. */
  #makeRoom(): boolean {
    let longest: Watched | null = null;
    for (const watched of this.#all.values()) {
      if (watched.phase !== "waiting") continue;
      if (longest === null || watched.sinceMs < longest.sinceMs) longest = watched;
    }
    longest?.stream.destroy();
    if (longest !== null) this.#all.delete(longest.stream);
    return longest !== null;
  }
}

/** Whether it is the client for which a request under way waits; of a tunnel, whether nothing waits for the client. */
function isHeldUp({ response, stream }: Watched): boolean {
  if (response === null) return stream.writableLength === 0;
  return !response.req.complete || response.writableLength > 0;
}

/** What moved as far as it counts: of who waits for a request, only what comes. */
function movedBytes({ stream, phase }: Watched): number {
  return stream.bytesRead + (phase === "waiting" ? 0 : stream.bytesWritten);
}
