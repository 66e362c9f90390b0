// The engine's only source of chance: a seeded generator of integers, passed in by the caller, so
// that a run can be repeated bit for bit on any machine.

/**
 * Xorshift128 of 32-bit words: period 2^128 − 1, a few integer operations a draw.
 * @see G. Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8 (14), 2003
 */
export class Prng {
  #x: number;
  #y = 362436069;
  #z = 521288629;
  #w = 88675123;

  /** @param seed any integer; its low 32 bits count */
  constructor(seed: number) {
    this.#x = (seed ^ 0x9e3779b9) | 0;
    // Seeds that differ in one bit give alike first draws: let them drift apart.
    for (let i = 0; i < 16; i++) this.next();
  }

  /** A 32-bit unsigned integer. */
  next(): number {
    const t = this.#x ^ (this.#x << 11);
    this.#x = this.#y;
    this.#y = this.#z;
    this.#z = this.#w;
    this.#w = this.#w ^ (this.#w >>> 19) ^ t ^ (t >>> 8);
    return this.#w >>> 0;
  }

  /** An integer from 0 to `bound` − 1; `bound` from 1 to 2^32. Its bias of bound / 2^32 does not matter to a choice. */
  below(bound: number): number {
    return Math.floor((this.next() * bound) / 0x1_0000_0000);
  }
}
