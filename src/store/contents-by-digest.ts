// Which complete contents have bytes of a given SHA-256: what anybody may have is one content for all who
// ask by that digest, whatever task it came for.

import type { ContentDigests, StoredContent } from "./piece-store.ts";

/** A content whose digests were recorded; they count no more once a piece of it is missing. */
interface DigestedContent extends StoredContent {
  /** Also while pieces are in doubt; null: not complete. */
  readonly recordedDigests: ContentDigests | null;
}

export class ContentsByDigest<Content extends DigestedContent> {
  readonly #bySha256 = new Map<string, Set<Content>>();

  /** Its digests were recorded now, or by an earlier process. */
  note(content: Content): void {
    const sha256 = content.recordedDigests?.sha256 ?? null;
    if (sha256 === null) return;
    const same = this.#bySha256.get(sha256) ?? new Set();
    this.#bySha256.set(sha256, same.add(content));
  }

  forget(content: Content): void {
    for (const [sha256, same] of this.#bySha256) {
      if (same.delete(content) && same.size === 0) this.#bySha256.delete(sha256);
    }
  }

  /** One that is neither private nor sealed, rather one that is not in doubt. */
  find(sha256: string): Content | undefined {
    const usable = [...(this.#bySha256.get(sha256) ?? [])].filter(
      (content) => content.recordedDigests?.sha256 === sha256 && isForAll(content),
    );
    return usable.find(({ digests }) => digests !== null) ?? usable[0];
  }
}

function isForAll({ facts, manifest }: StoredContent): boolean {
  const [known] = manifest.learned;
  // All pieces of a content are sealed, or none.
  const isSealed = known !== undefined && manifest.row(known)!.seal !== null;
  return facts.isPrivate !== true && !isSealed;
}
