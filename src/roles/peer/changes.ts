// Wakes whoever waits for the next change of something, e.g. the readers of a download.

/** Waiters see the state themselves: a change carries nothing, and several may be seen as one. */
export class Changes {
  readonly #wakes = new Set<() => void>();

  notify(): void {
    for (const wake of [...this.#wakes]) wake();
  }

  /**
   * Waits for the next change, or until `timeoutMs` passed.
   * @throws the signal's reason when it is aborted first
   */
  next(signal: AbortSignal, timeoutMs?: number): Promise<void> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const timer = timeoutMs === undefined ? undefined : setTimeout(() => end(resolve), timeoutMs);
      const wake = (): void => end(resolve);
      const abandon = (): void => end(() => reject(signal.reason as Error));
      const end = (settle: () => void): void => {
        clearTimeout(timer);
        this.#wakes.delete(wake);
        signal.removeEventListener("abort", abandon);
        settle();
      };
      this.#wakes.add(wake);
      signal.addEventListener("abort", abandon);
    });
  }
}
