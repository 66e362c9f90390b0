// Which registries the swarm heard nothing from a moment ago, e.g. because hosts reach them and supernodes do
// not: nobody waits for the swarm there, but for one every so often, who finds out whether that is still so.
//
//   unknown ── silence ──▶ silent ── 60 s ──▶ one waits ── silence ──▶ silent
//      ▲                                          │
//      └──────────── anything else ───────────────┘

/** A pull from a silent registry waits once, or twice; one that was mended is found out soon. */
const SILENT_FOR_MS = 60_000;

/** Whoever may use the port can name as many registries as he likes. */
const KNOWN_MAX = 256;

export class SilentRegistries {
  readonly #untilMs = new Map<string, number>();

  /**
   * Whether to wait for what the swarm hears from a registry. Of those who ask about a silent one, the first
   * after a while is to: the others are not until he has found out, or the while is over again.
   * @param origin of its URL @param nowMs monotonic milliseconds
   */
  mayWait(origin: string, nowMs = performance.now()): boolean {
    const untilMs = this.#untilMs.get(origin);
    if (untilMs === undefined) return true;
    if (nowMs < untilMs) return false;
    this.add(origin, nowMs);
    return true;
  }

  add(origin: string, nowMs = performance.now()): void {
    this.#untilMs.delete(origin);
    this.#untilMs.set(origin, nowMs + SILENT_FOR_MS);
    for (const oldest of this.#untilMs.keys()) {
      if (this.#untilMs.size <= KNOWN_MAX) break;
      this.#untilMs.delete(oldest);
    }
  }

  /** The swarm heard from it. */
  forget(origin: string): void {
    this.#untilMs.delete(origin);
  }
}
