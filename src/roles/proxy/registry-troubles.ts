// Which failures at registries the host's log tells. An engine goes to the registry itself then and its pull
// succeeds, so nobody else would see that the swarm has no part in it.

import type { DfError, ErrorCode } from "../../errors.ts";

/** A person looks again; a node that pulls all day does not fill its journal. */
const QUIET_FOR_MS = 600_000;

/** Whoever may use the port can name as many registries as he likes. */
const KNOWN_MAX = 256;

/** What a registry says of the request: that is between it and the engine, which tells its user. */
const ENGINES_AFFAIR = new Set<ErrorCode>([
  ...(["source-not-found", "source-unauthorized", "source-forbidden"] as const),
  ...(["not-found", "unauthorized", "usage"] as const),
]);

export class RegistryTroubles {
  readonly #toldAtMs = new Map<string, number>();

  /**
   * The line for the log; null: it is no trouble, or was told a moment ago.
   * @param registry "host[:port]" @param nowMs monotonic milliseconds
   */
  tell(registry: string, error: DfError, nowMs = performance.now()): string | null {
    const { code, message, hint } = error;
    if (ENGINES_AFFAIR.has(code)) return null;
    const key = `${registry} ${code}`;
    if (nowMs - (this.#toldAtMs.get(key) ?? -Infinity) < QUIET_FOR_MS) return null;
    this.#toldAtMs.delete(key);
    this.#toldAtMs.set(key, nowMs);
    for (const oldest of this.#toldAtMs.keys()) {
      if (this.#toldAtMs.size <= KNOWN_MAX) break;
      this.#toldAtMs.delete(oldest);
    }
    const advice = hint === undefined ? "" : ` (${hint})`;
    return `engines are sent to ${registry} itself: ${message}${advice}`;
  }
}
