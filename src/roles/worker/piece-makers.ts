// How many pieces the source worker makes at once, how many more may wait for that, and how hard they
// are compressed: one for all its reads, whose pieces share the machine's cores.

import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import {
  type CompressionLevel,
  CompressionLevelChoice,
} from "../../engine/core/compression-level.ts";

/**
 * Pieces held in memory take at most so much. What must be held is held even so, as pieces whose rows
 * are known: twelve connections to one source hold twelve pieces.
 */
const HELD_BYTES_MAX = 256 << 20;

/** Buffers kept for the next pieces of all contents: a new one of 16 MiB costs 2 ms of zeros. */
const SPARE_BYTES_MAX = 64 << 20;

/** Memory for one piece, until it is released. */
export interface HeldPiece {
  readonly bytes: Uint8Array;
  /** @param isWritten nobody uses the memory any more: it may serve the next piece */
  release(isWritten: boolean): void;
}

/** Rates and idle cores are measured anew after this time. */
const MEASURE_MS = 500;

/** After a silence this long nothing is known of the next read's rate. */
const FORGET_MS = 4 * MEASURE_MS;

/** The system's books of CPU time, or null where there are none. */
type CpuTimes = { idleTicks: number; allTicks: number } | null;

export class PieceMakers {
  /**
   * Compression runs on the runtime's own pool of threads: measured, that costs no more than workers
   * of ours and needs no messages. One core stays free: reading and digesting a source fills it.
   */
  readonly #makersMax = Math.max(1, availableParallelism() - 1);
  readonly #level = new CompressionLevelChoice();
  readonly #queue: (() => void)[] = [];
  readonly #waiting = new Set<() => void>();
  #running = 0;
  #heldBytes = 0;
  /** The most recent first. */
  #spare: Uint8Array[] = [];
  #linkRate: number | null = null;
  /** Since the last measurement. */
  #arrivedBytes = 0;
  #busyMs = 0;
  #measuredAtMs = performance.now();
  #cpuTimes = cpuTimes();
  #sourceRate: number | null = null;
  #freeCores = 1;

  /** Bytes per second that this machine may upload; null: no limit is known. */
  setLinkRate(linkRate: number | null): void {
    this.#linkRate = linkRate;
  }

  /** Bytes that a source sent. */
  noteArrived(bytes: number): void {
    const elapsedMs = performance.now() - this.#measuredAtMs;
    if (elapsedMs >= MEASURE_MS) this.#measure(elapsedMs);
    this.#arrivedBytes += bytes;
  }

  /** Whether pieces fill the memory already: those that may as well go uncompressed should. */
  get isOverloaded(): boolean {
    return this.#heldBytes >= HELD_BYTES_MAX;
  }

  /**
   * Resolves with memory for one more piece, with whatever is in it: as many wait for a maker as are made.
   * @throws the signal's reason
   */
  async hold(length: number, signal: AbortSignal): Promise<HeldPiece> {
    while (this.#isFull && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const wake = (): void => resolve();
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
      await promise;
      signal.removeEventListener("abort", wake);
      this.#waiting.delete(wake);
    }
    signal.throwIfAborted();
    this.#heldBytes += length;
    const bytes = this.#takeSpare(length) ?? new Uint8Array(length);
    const release = (isWritten: boolean): void => {
      this.#heldBytes -= length;
      if (isWritten) this.#keepSpare(bytes);
      // Nothing is under way: the memory goes back, and plain bytes of private contents with it.
      if (this.#heldBytes === 0) this.#spare = [];
    };
    return { bytes, release };
  }

  /** Runs `make` once a maker is free, first come, first served. */
  async run<T>(make: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#makersMax)
      await new Promise<void>((resolve) => this.#queue.push(resolve));
    else this.#running++;
    const startedAtMs = performance.now();
    try {
      return await make();
    } finally {
      this.#busyMs += performance.now() - startedAtMs;
      const next = this.#queue.shift();
      // The place passes on; nobody else can take it in between.
      if (next === undefined) this.#running--;
      else next();
      for (const wake of this.#waiting) wake();
    }
  }

  levelNow(): CompressionLevel {
    return this.#level.levelFor({
      sourceRate: this.#sourceRate,
      linkRate: this.#linkRate,
      freeCores: this.#freeCores,
    });
  }

  /** A piece of so many bytes took a maker so long. */
  compressed(level: CompressionLevel, bytes: number, elapsedMs: number): void {
    this.#level.measured(level, bytes, elapsedMs * 1_000);
  }

  get #isFull(): boolean {
    return this.#queue.length >= this.#makersMax;
  }

  #takeSpare(length: number): Uint8Array | undefined {
    const at = this.#spare.findIndex((spare) => spare.length === length);
    return at < 0 ? undefined : this.#spare.splice(at, 1)[0];
  }

  #keepSpare(bytes: Uint8Array): void {
    let kept = 0;
    this.#spare = [bytes, ...this.#spare].filter(
      (spare) => (kept += spare.length) <= SPARE_BYTES_MAX,
    );
  }

  #measure(elapsedMs: number): void {
    const times = cpuTimes();
    const idle = idleCores(this.#cpuTimes, times) ?? this.#makersMax;
    const own = this.#busyMs / elapsedMs;
    this.#freeCores = Math.min(this.#makersMax, Math.max(0.5, idle + own));
    this.#sourceRate = elapsedMs > FORGET_MS ? null : (this.#arrivedBytes / elapsedMs) * 1_000;
    this.#arrivedBytes = 0;
    this.#busyMs = 0;
    this.#cpuTimes = times;
    this.#measuredAtMs = performance.now();
  }
}

function idleCores(before: CpuTimes, now: CpuTimes): number | null {
  if (before === null || now === null) return null;
  const all = now.allTicks - before.allTicks;
  return all === 0 ? 0 : ((now.idleTicks - before.idleTicks) / all) * availableParallelism();
}

/** The first line of /proc/stat: user, nice, system, idle, iowait, … of all cores together. */
function cpuTimes(): CpuTimes {
  try {
    const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n", 1);
    const ticks = line.split(/\s+/).slice(1, 9).map(Number);
    return { idleTicks: ticks[3]! + ticks[4]!, allTicks: ticks.reduce((sum, x) => sum + x, 0) };
  } catch {
    return null;
  }
}
