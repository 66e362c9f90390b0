// Which repositories a registry did not show to everybody a moment ago: what is asked for there is asked with
// the engine's own credentials at once, instead of in vain without them first.

/** A pull is over by then, and a repository that was published is found out. */
const KNOWN_FOR_MS = 60_000;

/** A host pulls from a few; what is forgotten costs a question. */
const KNOWN_MAX = 1_024;

export class PrivateRepositories {
  readonly #untilMs = new Map<string, number>();

  /** @param nowMs monotonic milliseconds */
  has(repository: string, nowMs = performance.now()): boolean {
    const untilMs = this.#untilMs.get(repository);
    if (untilMs !== undefined && untilMs > nowMs) return true;
    this.#untilMs.delete(repository);
    return false;
  }

  add(repository: string, nowMs = performance.now()): void {
    this.#untilMs.delete(repository);
    this.#untilMs.set(repository, nowMs + KNOWN_FOR_MS);
    // In the order of their ends, because all are known for the same time.
    for (const oldest of this.#untilMs.keys()) {
      if (this.#untilMs.size <= KNOWN_MAX) break;
      this.#untilMs.delete(oldest);
    }
  }
}
