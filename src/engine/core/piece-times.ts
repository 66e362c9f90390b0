// How long a child's pieces took lately: what tells a slow transfer from a stuck one.

/** Fetches remembered: some seconds' worth. */
const REMEMBERED = 32;

/** Before that many fetches there is no telling what is slow. */
const NEEDED = 4;

/** A transfer this many times as long as three in four others is overdue. */
const OVERDUE_FACTOR = 3;

/** Below this, waiting costs less than a second transfer. */
const OVERDUE_US_MIN = 200_000;

/** Until there is a sample: as long as a stalled parent is waited for. */
const OVERDUE_US_UNKNOWN = 5_000_000;

export class PieceTimes {
  readonly #times = new Float64Array(REMEMBERED);
  #count = 0;
  #overdueUs = OVERDUE_US_UNKNOWN;
  #typicalUs = Infinity;

  /** @param elapsedUs from request to verified */
  add(elapsedUs: number): void {
    this.#times[this.#count++ % REMEMBERED] = elapsedUs;
    // Sorting 32 numbers for each piece would be waste: refresh now and then.
    if (this.#count < NEEDED || (this.#count > REMEMBERED && this.#count % 8 !== 0)) return;
    const sorted = this.#times.slice(0, Math.min(this.#count, REMEMBERED)).sort();
    this.#typicalUs = sorted[sorted.length >> 1]!;
    this.#overdueUs = Math.max(OVERDUE_US_MIN, OVERDUE_FACTOR * sorted[(sorted.length * 3) >> 2]!);
  }

  /** Half of the fetches took longer; Infinity until there are some. */
  get typicalUs(): number {
    return this.#typicalUs;
  }

  /** A transfer under way for longer than this deserves a second parent. */
  get overdueAfterUs(): number {
    return this.#overdueUs;
  }
}
