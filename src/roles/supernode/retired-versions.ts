// Versions that a newer one replaced, or that must not be kept: children that are done stay as
// parents, so a version goes once none of its children asks for work any more.

import type { Seeding } from "./seeding.ts";

const LOOK_INTERVAL_MS = 5_000;

export class RetiredVersions {
  readonly #drop: (seeding: Seeding) => void;
  readonly #seedings = new Set<Seeding>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(drop: (seeding: Seeding) => void) {
    this.#drop = drop;
  }

  add(seeding: Seeding): void {
    this.#seedings.add(seeding);
    this.#timer ??= setTimeout(() => this.#look(), LOOK_INTERVAL_MS).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#seedings.clear();
  }

  #look(): void {
    this.#timer = undefined;
    const before = [...this.#seedings];
    this.#seedings.clear();
    for (const seeding of before) {
      // The source may have gone back to it.
      if (!seeding.isRetired) continue;
      if (seeding.isInFlight) this.add(seeding);
      else this.#drop(seeding);
    }
  }
}
