// Dense numbers for hosts and contents, as the scheduler wants them.

/** Hands out 0, 1, 2 … and what was given back, oldest first: a late report seldom meets a new owner. */
export class IndexPool {
  readonly #free: number[] = [];
  #next = 0;

  take(): number {
    return this.#free.shift() ?? this.#next++;
  }

  giveBack(index: number): void {
    this.#free.push(index);
  }
}
