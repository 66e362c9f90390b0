// How many connections one source may have from here, over all reads: what a slow source holds up is
// itself alone. There is no bound over all sources together, which slow ones could use up.
//
//   enter ─▶ in use ─▶ leave: its connection may stay open, idle, for the same reader's next request;
//     │                idle ones count, and the first that is in another reader's way is closed
//     └▶ waiting, first come first served, up to `waitingMax`

import { DfError } from "../../errors.ts";

/** A reader's connections to one source that wait for its next request. */
export interface IdleConnections {
  /** How many are open. */
  readonly idleCount: number;
  closeOne(): void;
}

export interface BulkheadLimits {
  /** Connections to one source at once. */
  readonly connectionsMax: number;
  /** Requests to one source that wait for one. */
  readonly waitingMax: number;
}

interface Waiting {
  readonly reader: IdleConnections;
  readonly admit: () => void;
}

interface Source {
  inUse: number;
  /** Who has, or may have, idle connections; the one who left first is first. */
  readonly readers: Set<IdleConnections>;
  readonly waiting: Set<Waiting>;
}

export class Bulkheads {
  readonly #limits: BulkheadLimits;
  readonly #sources = new Map<string, Source>();

  constructor(limits: BulkheadLimits) {
    this.#limits = limits;
  }

  /**
   * Waits until `reader` may send a request to a source.
   * @param origin scheme and authority
   * @returns to be called once, when the request is over
   * @throws {DfError} source-busy when too many wait already; the signal's reason
   */
  async enter(origin: string, reader: IdleConnections, signal: AbortSignal): Promise<() => void> {
    const source = this.#sourceOf(origin);
    if (source.waiting.size === 0 && this.#makesRoom(source, reader)) source.inUse++;
    else await this.#wait(origin, source, reader, signal);
    return () => this.#leave(origin, source, reader);
  }

  /** A reader ended; its connections are closed. */
  forget(reader: IdleConnections): void {
    for (const [origin, source] of this.#sources) {
      if (source.readers.delete(reader)) this.#admitNext(origin, source);
    }
  }

  async #wait(
    origin: string,
    source: Source,
    reader: IdleConnections,
    signal: AbortSignal,
  ): Promise<void> {
    if (source.waiting.size >= this.#limits.waitingMax) {
      throw new DfError("source-busy", `${source.waiting.size} requests wait for ${origin}`, {
        hint: `at most ${this.#limits.connectionsMax} connections to one source are open at once`,
      });
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting: Waiting = { reader, admit: resolve };
    const giveUp = (): void => {
      if (source.waiting.delete(waiting)) reject(signal.reason);
    };
    source.waiting.add(waiting);
    signal.addEventListener("abort", giveUp, { once: true });
    if (signal.aborted) giveUp();
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", giveUp);
      this.#dropUnused(origin, source);
    }
  }

  #leave(origin: string, source: Source, reader: IdleConnections): void {
    source.inUse--;
    source.readers.delete(reader);
    if (reader.idleCount > 0) source.readers.add(reader);
    this.#admitNext(origin, source);
  }

  #admitNext(origin: string, source: Source): void {
    for (const waiting of source.waiting) {
      if (!this.#makesRoom(source, waiting.reader)) break;
      source.waiting.delete(waiting);
      source.inUse++;
      waiting.admit();
    }
    this.#dropUnused(origin, source);
  }

  /** Whether one more request of `reader` may have a connection; closes an idle one if that must be. */
  #makesRoom({ inUse, readers }: Source, reader: IdleConnections): boolean {
    const { connectionsMax } = this.#limits;
    // One of its own idle ones is what it will use.
    let idleCount = Math.max(0, reader.idleCount - 1);
    for (const other of readers) if (other !== reader) idleCount += other.idleCount;
    if (inUse + idleCount < connectionsMax) return true;
    if (inUse >= connectionsMax) return false;
    for (const other of readers) {
      if (other.idleCount === 0) continue;
      other.closeOne();
      return true;
    }
    return false;
  }

  #sourceOf(origin: string): Source {
    const known = this.#sources.get(origin);
    if (known !== undefined) return known;
    const source: Source = { inUse: 0, readers: new Set(), waiting: new Set() };
    this.#sources.set(origin, source);
    return source;
  }

  /** What nobody uses is not remembered: sources come and go by the thousand. */
  #dropUnused(origin: string, source: Source): void {
    for (const reader of source.readers) if (reader.idleCount === 0) source.readers.delete(reader);
    const isUsed = source.inUse + source.readers.size + source.waiting.size > 0;
    if (!isUsed && this.#sources.get(origin) === source) this.#sources.delete(origin);
  }
}
