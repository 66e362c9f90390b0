// Whether a content that is here may be used: the fleet's rules and the task's digest first, then
// what the source said. Supernodes and peers ask alike.

import {
  freshnessOf,
  type CacheTerms,
  type Freshness,
  type KeptAnswer,
} from "../../engine/core/freshness.ts";
import { isOfDigest } from "../../engine/bytes/task-id.ts";
import { isTag } from "../../net/registry/registry-task.ts";
import { termsOf } from "../../net/source/cache-terms.ts";
import { mostSpecific } from "../../net/url-pattern.ts";
import type { SettingsInForce } from "../../net/wire/fleet-settings.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { ContentFacts, StoredContent } from "../../store/piece-store.ts";

/** Of a content whose source's words are not known: it came long ago and says nothing. */
const NOTHING_SAID: KeptAnswer = {
  ...{ fields: {}, requestedAt: 0, receivedAt: 0, redirectSeconds: null },
};

export function termsOfContent({ answer }: Pick<ContentFacts, "answer">): CacheTerms {
  return termsOf(answer ?? NOTHING_SAID);
}

/** What of a task decides how long a version of it may be used. */
export type UsedTask = Pick<TaskRequest, "checksum" | "registryKind">;

/** Without what only its sender may hold. */
export function usedTaskOf({ checksum, registryKind }: UsedTask): UsedTask {
  return { checksum, registryKind };
}

/** Of a content of which is not known for whom it is. */
export const ANY_TASK: UsedTask = { checksum: "" };

export function freshnessOfContent(
  { facts, digests }: Pick<StoredContent, "facts" | "digests">,
  task: UsedTask,
  cacheRules: SettingsInForce["cacheRules"],
): Freshness {
  const sha256 = digests?.sha256 ?? null;
  const isNamed = sha256 !== null && task.checksum.toLowerCase() === `sha256:${sha256}`;
  return freshnessOf(termsOfContent(facts), {
    isDigestProven: isNamed || isNamedByDigest(facts),
    isForced: mostSpecific(cacheRules, new URL(facts.url)) === "force",
    isTag: isTag(task),
  });
}

/** Whether the task is of a digest: nothing else is ever kept of it, and what a source says of use means nothing. */
function isNamedByDigest({ taskId, validator }: ContentFacts): boolean {
  return isOfDigest(taskId) && validator?.startsWith('"sha256:') === true;
}

/** What a source can be asked with whether it still has this version; null: only a new read tells. */
export function revalidatorOf({ validator, answer }: ContentFacts): string | null {
  const tag = answer?.fields["etag"];
  return validator ?? (tag?.startsWith('W/"') === true ? tag : null);
}
