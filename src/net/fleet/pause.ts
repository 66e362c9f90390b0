// A wait that news may cut short: what the loops that talk to `df config` do between two requests.

export class Pause {
  #end: (() => void) | null = null;
  #endsAtMs = Infinity;

  /** Resolves after `ms`, when it is cut short, or when the signal aborts; never rejects. */
  wait(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        this.#end = null;
        resolve();
      };
      const timer = setTimeout(end, ms);
      signal.addEventListener("abort", end, { once: true });
      this.#end = end;
      this.#endsAtMs = performance.now() + ms;
    });
  }

  /** Ends a wait that would last longer than `ms` after so long; without effect between waits. */
  cutShort(ms: number): void {
    const end = this.#end;
    if (end === null || this.#endsAtMs <= performance.now() + ms) return;
    this.#endsAtMs = performance.now() + ms;
    setTimeout(() => {
      if (this.#end === end) end();
    }, ms);
  }
}
