// One content as the supernode's status shows it.

import type { Seeding } from "./seeding.ts";
import type { SupernodeStatus, WireSavings } from "./status.ts";
import { wordsOfSeeding } from "./task-freshness.ts";

export function describeSeeding(seeding: Seeding): SupernodeStatus["contents"][number] {
  const { facts, have } = seeding.stored;
  const isPrivate = facts.isPrivate === true;
  return {
    contentId: facts.contentId,
    taskId: isPrivate ? null : facts.taskId,
    url: isPrivate ? new URL(facts.url).origin : facts.url,
    isPrivate,
    length: facts.layout.length,
    pieces: seeding.pieceCount,
    seededPieces: have.count,
    state: seeding.state.kind,
    children: seeding.childCount,
    freshness: wordsOfSeeding(seeding).why,
    wire: savingsOf([seeding]),
  };
}

/** What these contents take, and what they would take were every piece plain. */
export function savingsOf(seedings: Iterable<Seeding>): WireSavings {
  const savings = { plainBytes: 0, wireBytes: 0, savedBytes: 0 };
  for (const { stored } of seedings) {
    const { plainBytes, wireBytes } = stored.manifest;
    savings.plainBytes += plainBytes;
    savings.wireBytes += wireBytes;
    savings.savedBytes += plainBytes - wireBytes;
  }
  return savings;
}
