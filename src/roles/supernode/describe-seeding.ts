// One content as the supernode's status shows it.

import type { Seeding } from "./seeding.ts";
import type { SupernodeStatus } from "./status.ts";
import { wordsOfSeeding } from "./task-freshness.ts";

export function describeSeeding(seeding: Seeding): SupernodeStatus["contents"][number] {
  const { facts, have } = seeding.stored;
  return {
    contentId: facts.contentId,
    taskId: facts.taskId,
    url: facts.url,
    length: facts.layout.length,
    pieces: seeding.pieceCount,
    seededPieces: have.count,
    state: seeding.state.kind,
    children: seeding.childCount,
    freshness: wordsOfSeeding(seeding).why,
  };
}
