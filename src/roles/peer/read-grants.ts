// Which local readers may have the bytes of private contents: each was proven at the source and holds a
// word that nobody can guess. Knowing a content's ID is worth nothing.

import { randomBytes } from "node:crypto";

/** A reader copies the rest within it after its download ended; each part that it asks for begins it anew. */
const IDLE_MS = 120_000;

interface Grant {
  readonly contentId: string;
  /** `performance.now()`; Infinity while the reader is there. */
  untilMs: number;
}

export class ReadGrants {
  readonly #grants = new Map<string, Grant>();

  /** Lets a reader in until some time after `end`. */
  begin(contentId: string): string {
    for (const [word, { untilMs }] of this.#grants) {
      if (untilMs < performance.now()) this.#grants.delete(word);
    }
    const word = randomBytes(16).toString("hex");
    this.#grants.set(word, { contentId, untilMs: Infinity });
    return word;
  }

  /** The reader's download ended, or it left. */
  end(word: string): void {
    const grant = this.#grants.get(word);
    if (grant !== undefined) grant.untilMs = performance.now() + IDLE_MS;
  }

  isGranted(contentId: string, word: string): boolean {
    const grant = this.#grants.get(word);
    if (grant?.contentId !== contentId || grant.untilMs < performance.now()) return false;
    if (grant.untilMs !== Infinity) grant.untilMs = performance.now() + IDLE_MS;
    return true;
  }
}
