// How long a peer that was started for one user stays after its last use.

export interface LingerOptions {
  /** Null: it stays until it is stopped. */
  lingerMs: number | null;
  /** Called once `lingerMs` passed without use. */
  onUnused?: () => void;
}

export class Linger {
  readonly #options: LingerOptions;
  readonly #isUsed: () => boolean;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param isUsed whether somebody reads or is served just now */
  constructor(options: LingerOptions, isUsed: () => boolean) {
    this.#options = options;
    this.#isUsed = isUsed;
  }

  /** Starts the wait for the next use anew. */
  used(): void {
    const { lingerMs, onUnused } = this.#options;
    if (lingerMs === null || onUnused === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#isUsed()) this.used();
      else onUnused();
    }, lingerMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
