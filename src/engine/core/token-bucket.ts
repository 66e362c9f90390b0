// The rate limit of everything that moves bytes: a token bucket in integers, so that it is exact
// over any length of time. Who waits, and in which order, is the pacer's affair (engine/bytes).

import { assert } from "./machine.ts";

/** Bounds of one admission: below 16 KiB requests outweigh bytes, above 1 MiB a second is no longer smooth. */
export const ADMISSION_BYTES_MIN = 16 << 10;
export const ADMISSION_BYTES_MAX = 1 << 20;

/**
 * Saved up beyond one admission: a 32nd of a second's worth. Whoever waits is woken late by a busy
 * event loop; without this reserve every such delay would be lost for good (12 % at 1 Gb/s for 1 ms).
 * Any second still admits at most 1.05 × rate + 1 MiB.
 */
const LATENESS_RESERVE_DIVISOR = 32;

const US_PER_SEC = 1_000_000;

/**
 * Bytes that one admission should cover at a rate (null: unlimited): an eighth of a second's worth.
 */
export function admissionBytes(rateBytesPerSec: number | null): number {
  if (rateBytesPerSec === null) return ADMISSION_BYTES_MAX;
  return Math.min(
    ADMISSION_BYTES_MAX,
    Math.max(ADMISSION_BYTES_MIN, Math.floor(rateBytesPerSec / 8)),
  );
}

/**
 * Admits bytes at a rate.
 * Invariant: over any window, bytes taken ≤ rate · window + burst.
 */
export class TokenBucket {
  #rateBytesPerSec: number | null;
  /** What is saved up, in bytes × microseconds per second: no rounding, whatever the step. */
  #credit: number;
  #updatedAtUs: number;

  /** @param rateBytesPerSec at least 1; null: unlimited */
  constructor(nowUs: number, rateBytesPerSec: number | null) {
    assertRate(rateBytesPerSec);
    this.#rateBytesPerSec = rateBytesPerSec;
    this.#updatedAtUs = nowUs;
    this.#credit = this.#capacity();
  }

  get rateBytesPerSec(): number | null {
    return this.#rateBytesPerSec;
  }

  /** Most bytes that can be saved up. */
  get burstBytes(): number {
    const reserve = Math.floor((this.#rateBytesPerSec ?? 0) / LATENESS_RESERVE_DIVISOR);
    return admissionBytes(this.#rateBytesPerSec) + reserve;
  }

  /** Changes the rate from now on. What was saved at the old rate stays, up to the new burst. */
  setRate(nowUs: number, rateBytesPerSec: number | null): void {
    assertRate(rateBytesPerSec);
    this.#refill(nowUs);
    // After a time without a limit nothing is saved up: those bytes were used without being counted.
    const credit = this.#rateBytesPerSec === null ? 0 : this.#credit;
    this.#rateBytesPerSec = rateBytesPerSec;
    this.#credit = Math.min(credit, this.#capacity());
  }

  /** Takes up to `bytes` and returns how many were granted; the rest has to wait. */
  take(nowUs: number, bytes: number): number {
    if (this.#rateBytesPerSec === null) return bytes;
    this.#refill(nowUs);
    const granted = Math.min(bytes, Math.floor(this.#credit / US_PER_SEC));
    this.#credit -= granted * US_PER_SEC;
    return granted;
  }

  /**
   * When `bytes` can be taken at once, or one admission's worth if they are more: a request larger
   * than that is granted in several portions.
   */
  readyAtUs(nowUs: number, bytes: number): number {
    if (this.#rateBytesPerSec === null) return nowUs;
    this.#refill(nowUs);
    const wanted = Math.min(bytes, admissionBytes(this.#rateBytesPerSec)) * US_PER_SEC;
    return nowUs + Math.max(0, Math.ceil((wanted - this.#credit) / this.#rateBytesPerSec));
  }

  #capacity(): number {
    return this.burstBytes * US_PER_SEC;
  }

  #refill(nowUs: number): void {
    assert(nowUs >= this.#updatedAtUs, "a token bucket's time never goes back");
    const rate = this.#rateBytesPerSec ?? 0;
    const elapsedUs = nowUs - this.#updatedAtUs;
    this.#updatedAtUs = nowUs;
    // A full bucket is recognised by division: rate × elapsed may pass 2^53 after a long pause.
    const room = this.#capacity() - this.#credit;
    this.#credit += rate > 0 && elapsedUs >= room / rate ? room : rate * elapsedUs;
  }
}

function assertRate(rate: number | null): void {
  assert(
    rate === null || (Number.isSafeInteger(rate) && rate >= 1),
    "a rate is a whole number of bytes per second, at least 1",
  );
}
