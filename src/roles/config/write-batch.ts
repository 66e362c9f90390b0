// Rows that come by the thousand and are written together: one statement for many, the latest row of
// each key. A failed write keeps its rows for the next try.

export interface WriteBatchOptions<Row> {
  keyOf: (row: Row) => string;
  /** Rows of one statement. */
  rowsMax: number;
  write: (rows: readonly Row[]) => Promise<void>;
}

/** Rows that wait while the database is away; what is older is dropped, and comes again by itself. */
const WAITING_MAX = 50_000;

export class WriteBatch<Row> {
  readonly #options: WriteBatchOptions<Row>;
  readonly #waiting = new Map<string, Row>();
  #flushing: Promise<void> | null = null;

  constructor(options: WriteBatchOptions<Row>) {
    this.#options = options;
  }

  get size(): number {
    return this.#waiting.size;
  }

  add(row: Row): void {
    const key = this.#options.keyOf(row);
    this.#waiting.delete(key);
    this.#waiting.set(key, row);
    if (this.#waiting.size > WAITING_MAX) {
      this.#waiting.delete(this.#waiting.keys().next().value!);
    }
  }

  /**
   * Writes what waits now.
   * @throws {Error} the database's; the rows wait on
   */
  async flush(): Promise<void> {
    // Two at once could write an older row over a newer one.
    while (this.#flushing !== null) await this.#flushing.catch(() => {});
    this.#flushing = this.#write();
    try {
      await this.#flushing;
    } finally {
      this.#flushing = null;
    }
  }

  async #write(): Promise<void> {
    const { rowsMax, write } = this.#options;
    for (let left = this.#waiting.size; left > 0; left -= rowsMax) {
      const entries = [...this.#waiting].slice(0, rowsMax);
      for (const [key] of entries) this.#waiting.delete(key);
      try {
        await write(entries.map(([, row]) => row));
      } catch (error) {
        for (const [key, row] of entries) {
          if (!this.#waiting.has(key)) this.#waiting.set(key, row);
        }
        throw error;
      }
      // SQLite's statements block: let requests in between.
      await new Promise(setImmediate);
    }
  }
}
