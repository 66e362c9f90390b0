// Deletes contents that their source forbids to keep (no-store, private, Vary: *) once nobody uses
// them: what a download leaves on a host, and what a killed process left behind.

import { messageOf } from "../../errors.ts";
import type { PieceStore, StoredContent } from "../../store/piece-store.ts";
import type { LiveSettings } from "../settings/live-settings.ts";
import { ANY_TASK, freshnessOfContent } from "./content-freshness.ts";

/** Unused at two looks in a row: half a minute to a minute for the other hosts of the same flight. */
const LOOK_INTERVAL_MS = 30_000;

export interface UnkeptContentsOptions {
  store: PieceStore;
  settings: LiveSettings;
  /** Some are gone. */
  onDeleted: () => void;
  onWarning: (message: string) => void;
  /** @defaultValue LOOK_INTERVAL_MS */
  intervalMs?: number;
}

export class UnkeptContents {
  readonly #options: UnkeptContentsOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  #unused = new Set<StoredContent>();

  constructor(options: UnkeptContentsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#look(), options.intervalMs ?? LOOK_INTERVAL_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const { store, onDeleted, onWarning } = this.#options;
    const before = this.#unused;
    this.#unused = new Set(store.list().filter((content) => this.#isUnused(content)));
    const gone = [...this.#unused].filter((content) => before.has(content));
    if (gone.length === 0) return;
    try {
      for (const content of gone) {
        // It may have found a user while others were deleted.
        if (this.#isUnused(content)) await store.delete(content.facts.contentId);
      }
    } catch (error) {
      onWarning(`delete what must not be kept: ${messageOf(error)}`);
    }
    onDeleted();
  }

  #isUnused(content: StoredContent): boolean {
    // With a SHA-256 it may be of a task that names it, which is not said here.
    const mayBeAddressed = (content.digests?.sha256 ?? null) !== null;
    if (content.isKept || mayBeAddressed) return false;
    const { cacheRules } = this.#options.settings.current;
    return freshnessOfContent(content, ANY_TASK, cacheRules).kind === "inFlight";
  }
}
