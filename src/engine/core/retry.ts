// When to try again: exponential back-off with full jitter, a server's Retry-After, and a budget
// that keeps many callers from hammering one place that is down.

import { assert } from "./machine.ts";

export interface RetryPolicy {
  /** Tries in all, the first one included. */
  readonly attemptsMax: number;
  /** Upper end of the first delay; it doubles with every failure. */
  readonly baseDelayMs: number;
  readonly delayMsMax: number;
  /** A longer Retry-After is cut to this: a server may not park a download for a day. */
  readonly retryAfterMsMax: number;
}

/** Default for requests to a source: 6 tries within about half a minute unless it asks for more. */
export const SOURCE_RETRY: RetryPolicy = {
  attemptsMax: 6,
  baseDelayMs: 250,
  delayMsMax: 15_000,
  retryAfterMsMax: 120_000,
};

/** Counts the failures of one operation and says how long to wait before the next try. */
export class Retry {
  readonly #policy: RetryPolicy;
  readonly #budget: RetryBudget | null;
  #failures = 0;

  /** @param budget shared by all operations on one place; null: none */
  constructor(policy: RetryPolicy, budget: RetryBudget | null = null) {
    this.#policy = policy;
    this.#budget = budget;
  }

  /**
   * Notes a failure. Returns milliseconds to wait before the next try, or null to give up.
   * @param random in [0, 1), from the caller's generator
   * @param retryAfterMs what the server asked for; null: nothing
   */
  failed(random: number, retryAfterMs: number | null = null): number | null {
    assert(random >= 0 && random < 1, "a jitter lies in [0, 1)");
    this.#failures++;
    if (this.#failures >= this.#policy.attemptsMax) return null;
    if (this.#budget !== null && !this.#budget.spend()) return null;
    const ceilingMs = Math.min(
      this.#policy.delayMsMax,
      this.#policy.baseDelayMs * 2 ** (this.#failures - 1),
    );
    const jitterMs = Math.floor(random * ceilingMs);
    if (retryAfterMs === null) return jitterMs;
    // Jitter on top: all who were told the same time must not come back in the same moment.
    return (
      Math.min(retryAfterMs, this.#policy.retryAfterMsMax) +
      Math.floor(random * this.#policy.baseDelayMs)
    );
  }

  /** Notes progress: the next failure counts as the first. */
  succeeded(): void {
    this.#failures = 0;
    this.#budget?.earn();
  }
}

/** Retries saved up at most, and the successes that earn one: at most a tenth more load on a place in trouble. */
const BUDGET_RETRIES_MAX = 20;
const SUCCESSES_PER_RETRY = 10;

/** Retries that all operations on one place share: spent by failures, earned by successes. */
export class RetryBudget {
  #credit = BUDGET_RETRIES_MAX * SUCCESSES_PER_RETRY;

  /** Takes one retry; false when none is left. */
  spend(): boolean {
    if (this.#credit < SUCCESSES_PER_RETRY) return false;
    this.#credit -= SUCCESSES_PER_RETRY;
    return true;
  }

  earn(): void {
    this.#credit = Math.min(this.#credit + 1, BUDGET_RETRIES_MAX * SUCCESSES_PER_RETRY);
  }
}
