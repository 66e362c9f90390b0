// Holds transfers to a rate: callers wait here, first come first served, before they move bytes.
// The arithmetic is core/token-bucket.ts; this file adds the waiting.

import { admissionBytes, TokenBucket } from "../core/token-bucket.ts";

/** The time a pacer lives in; tests bring their own. */
export interface PacerClock {
  /** Monotonic microseconds, whole. */
  nowUs(): number;
  /** Runs `wake` at `atUs` or a little later; the returned function cancels it. */
  schedule(atUs: number, wake: () => void): () => void;
}

export const monotonicClock: PacerClock = {
  nowUs: () => Math.floor(performance.now() * 1000),
  schedule(atUs, wake) {
    const delayMs = Math.max(1, Math.ceil((atUs - monotonicClock.nowUs()) / 1000));
    const timer = setTimeout(wake, delayMs);
    return () => clearTimeout(timer);
  },
};

interface Waiter {
  bytesLeft: number;
  resolve: () => void;
}

/** Admits bytes at a rate that may change at any time. One pacer limits whatever shares it. */
export class Pacer {
  readonly #bucket: TokenBucket;
  readonly #clock: PacerClock;
  readonly #waiters: Waiter[] = [];
  #cancelWake: (() => void) | null = null;

  /** @param rateBytesPerSec whole, at least 1; null: unlimited */
  constructor(rateBytesPerSec: number | null, clock: PacerClock = monotonicClock) {
    this.#clock = clock;
    this.#bucket = new TokenBucket(clock.nowUs(), rateBytesPerSec);
  }

  get rateBytesPerSec(): number | null {
    return this.#bucket.rateBytesPerSec;
  }

  /** Takes effect at once, also for those who wait. */
  setRate(rateBytesPerSec: number | null): void {
    this.#bucket.setRate(this.#clock.nowUs(), rateBytesPerSec);
    this.#serve();
  }

  /**
   * Waits until `bytes` may be moved. More than `admissionBytes(rate)` at once is allowed and
   * waits its full time, but then moves in one lump: ask for no more where smoothness counts.
   * @throws the signal's reason when it is aborted first
   */
  admit(bytes: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    if (this.#bucket.rateBytesPerSec === null && this.#waiters.length === 0)
      return Promise.resolve();
    return new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        bytesLeft: bytes,
        resolve: () => {
          signal?.removeEventListener("abort", abandon);
          resolve();
        },
      };
      const abandon = () => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        reject(signal?.reason as Error);
        this.#serve();
      };
      signal?.addEventListener("abort", abandon, { once: true });
      this.#waiters.push(waiter);
      if (this.#waiters.length === 1) this.#serve();
    });
  }

  #serve(): void {
    this.#cancelWake?.();
    this.#cancelWake = null;
    for (let first = this.#waiters[0]; first !== undefined; first = this.#waiters[0]) {
      const nowUs = this.#clock.nowUs();
      first.bytesLeft -= this.#bucket.take(nowUs, first.bytesLeft);
      if (first.bytesLeft > 0) {
        const readyAtUs = this.#bucket.readyAtUs(nowUs, first.bytesLeft);
        this.#cancelWake = this.#clock.schedule(readyAtUs, () => this.#serve());
        return;
      }
      this.#waiters.shift();
      first.resolve();
    }
  }
}

/**
 * Waits at every limit that a transfer is under, e.g. its download's and its host's.
 * @throws the signal's reason when it is aborted first
 */
export async function admitThroughAll(
  pacers: readonly Pacer[],
  bytes: number,
  signal?: AbortSignal,
): Promise<void> {
  for (const pacer of pacers) await pacer.admit(bytes, signal);
}

/** What one request to a server may ask for, so that what it sends stays within these limits too; null: all. */
export function requestBytesThroughAll(pacers: readonly Pacer[]): number | null {
  const isLimited = pacers.some((pacer) => pacer.rateBytesPerSec !== null);
  return isLimited ? admissionBytesThroughAll(pacers) : null;
}

/** Bytes one admission should cover so that none of these limits is passed in a lump. */
export function admissionBytesThroughAll(pacers: readonly Pacer[]): number {
  const rates = pacers.map((pacer) => pacer.rateBytesPerSec).filter((rate) => rate !== null);
  return admissionBytes(rates.length === 0 ? null : Math.min(...rates));
}
