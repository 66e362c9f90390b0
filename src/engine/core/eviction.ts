// Which contents to drop when a store needs room: the least recently used ones that nobody reads.

export interface EvictionCandidate {
  /** Bytes that dropping it frees. */
  readonly bytes: number;
  /** Any clock that grows; larger is more recent. */
  readonly lastUsedAt: number;
  /** Leased or under way: stays whatever the need. */
  readonly isPinned: boolean;
}

/**
 * Indices of the candidates to drop, in that order, to free at least `bytesToFree`; all that may go
 * when they do not suffice.
 */
export function chooseEvictions(
  candidates: readonly EvictionCandidate[],
  bytesToFree: number,
): number[] {
  const order = candidates
    .map((_, index) => index)
    .filter((index) => !candidates[index]!.isPinned && candidates[index]!.bytes > 0)
    .toSorted((a, b) => candidates[a]!.lastUsedAt - candidates[b]!.lastUsedAt || a - b);
  const chosen: number[] = [];
  let freed = 0;
  for (const index of order) {
    if (freed >= bytesToFree) break;
    chosen.push(index);
    freed += candidates[index]!.bytes;
  }
  return chosen;
}
