// What a supernode says of a task's freshness: see wire/task-freshness.ts.

import type { TaskFreshness } from "../../net/wire/task-freshness.ts";
import {
  NO_VERSION,
  staleWords,
  wordsOf,
  type FreshnessWords,
} from "../freshness/freshness-words.ts";
import type { Refusal } from "./refusals.ts";
import type { Seeding } from "./seeding.ts";

/**
 * @param seeding the current version; null: none is here
 * @param refusal of the source, a moment ago
 */
export function taskFreshness(
  taskId: string,
  seeding: Seeding | null,
  refusal: Refusal | undefined,
): TaskFreshness {
  if (seeding !== null && seeding.state.kind !== "failed") {
    return { taskId, contentId: seeding.stored.facts.contentId, ...wordsOfSeeding(seeding) };
  }
  const words = refusal === undefined ? NO_VERSION : wordsOfRefusal(refusal);
  return { taskId, contentId: null, ...words };
}

export function wordsOfSeeding({ stored, state, freshness }: Seeding): FreshnessWords {
  const words = wordsOf(stored.facts, freshness.verdict, Date.now());
  const { outage } = freshness;
  if (outage !== null) return staleWords(words, outage.error.message, secondsUntil(outage.untilMs));
  if (state.kind !== "reading") return words;
  const why = `in flight: shared by all who ask until it is read; then ${words.why}`;
  return { ...words, use: "inFlight", forSeconds: null, why };
}

function wordsOfRefusal({ error, untilMs }: Refusal): FreshnessWords {
  const forSeconds = secondsUntil(untilMs);
  const why = `not asked for ${forSeconds} s more: ${error.message}`;
  return { use: "refused", rule: error.code, header: null, forSeconds, why };
}

function secondsUntil(untilMs: number): number {
  return Math.max(0, Math.ceil((untilMs - performance.now()) / 1_000));
}
