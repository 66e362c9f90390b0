// Whether this supernode schedules as much as it can: its thread is late, or one content has more
// children than a scheduler should have. Above that it hands new peers over to other members.

/**
 * Children of one content that one scheduler serves. Simulated with 10,000 hosts and 5 GB one core
 * was busy with control for a third of the time, so at twice that there is still some air.
 */
export const CHILDREN_MAX = 20_000;

/** A thread that is late by so much on average answers pulls later than small pieces take. */
const LATE_MS_FULL = 40;

/** And may take peers again below this. */
const LATE_MS_FREE = 15;

/** Peers of one content below which handing some over would not help. */
const CHILDREN_WORTH_HANDING_OVER = 64;

const SAMPLE_INTERVAL_MS = 100;

/** Weight of the newest sample: the mean follows within about two seconds. */
const SAMPLE_WEIGHT = 0.05;

export class LoadGauge {
  readonly #childrenMax: number;
  #lateMs = 0;
  #isLate = false;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param childrenMax children of one content that are served here at most */
  constructor(childrenMax = CHILDREN_MAX) {
    this.#childrenMax = childrenMax;
  }

  start(): void {
    let dueAtMs = performance.now() + SAMPLE_INTERVAL_MS;
    this.#timer = setInterval(() => {
      const nowMs = performance.now();
      this.sampled(Math.max(0, nowMs - dueAtMs));
      dueAtMs = nowMs + SAMPLE_INTERVAL_MS;
    }, SAMPLE_INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Notes how late the thread was. */
  sampled(lateMs: number): void {
    this.#lateMs += SAMPLE_WEIGHT * (lateMs - this.#lateMs);
    if (this.#lateMs > LATE_MS_FULL) this.#isLate = true;
    else if (this.#lateMs < LATE_MS_FREE) this.#isLate = false;
  }

  /** Whether a content with so many children should get no more of them here. */
  isFull(childCount: number): boolean {
    if (childCount >= this.#childrenMax) return true;
    return this.#isLate && childCount >= CHILDREN_WORTH_HANDING_OVER;
  }
}
