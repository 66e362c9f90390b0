// Hosts whose request for routes is held until their list may have changed. Ten thousand of them do
// not wake at once: they are let go one after the other.

/** A list costs some 100 µs with its answer: so 2,000 a second take a fifth of a core. */
const RELEASES_PER_TICK = 20;
const TICK_MS = 10;

export class RouteWaits {
  readonly #waiting = new Set<() => void>();
  #released: (() => void)[] = [];
  #timer: ReturnType<typeof setInterval> | null = null;
  #isStopped = false;

  get count(): number {
    return this.#waiting.size + this.#released.length;
  }

  /** Returns when the lists have changed, the time is over or the caller is gone. */
  wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        this.#waiting.delete(end);
        resolve();
      };
      const timer = setTimeout(end, timeoutMs);
      signal.addEventListener("abort", end);
      this.#waiting.add(end);
      if (signal.aborted || this.#isStopped) end();
    });
  }

  /** Lets all go that wait now. */
  release(): void {
    for (const end of this.#waiting) this.#released.push(end);
    this.#waiting.clear();
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
  }

  /** Lets all go at once, and holds nobody any more: the service ends. */
  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    for (const end of [...this.#released, ...this.#waiting]) end();
    this.#released = [];
  }

  #tick(): void {
    for (const end of this.#released.splice(0, RELEASES_PER_TICK)) end();
    if (this.#released.length > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }
}
