// Whether a content that is here may be used: the fleet's rules and the task's digest first, then
// what the source said. Supernodes and peers ask alike.

import {
  freshnessOf,
  type CacheTerms,
  type Freshness,
  type KeptAnswer,
} from "../../engine/core/freshness.ts";
import { termsOf } from "../../net/source/cache-terms.ts";
import { mostSpecific } from "../../net/url-pattern.ts";
import type { SettingsInForce } from "../../net/wire/fleet-settings.ts";
import type { ContentFacts, StoredContent } from "../../store/piece-store.ts";

/** Of a content whose source's words are not known: it came long ago and says nothing. */
const NOTHING_SAID: KeptAnswer = {
  ...{ fields: {}, requestedAt: 0, receivedAt: 0, redirectSeconds: null },
};

export function termsOfContent({ answer }: Pick<ContentFacts, "answer">): CacheTerms {
  return termsOf(answer ?? NOTHING_SAID);
}

/** @param checksum as the task names it: "algorithm:hex", or "" */
export function freshnessOfContent(
  { facts, digests }: Pick<StoredContent, "facts" | "digests">,
  checksum: string,
  cacheRules: SettingsInForce["cacheRules"],
): Freshness {
  const sha256 = digests?.sha256 ?? null;
  return freshnessOf(termsOfContent(facts), {
    isDigestProven: sha256 !== null && checksum.toLowerCase() === `sha256:${sha256}`,
    isForced: mostSpecific(cacheRules, new URL(facts.url)) === "force",
  });
}

/** What a source can be asked with whether it still has this version; null: only a new read tells. */
export function revalidatorOf({ validator, answer }: ContentFacts): string | null {
  const tag = answer?.fields["etag"];
  return validator ?? (tag?.startsWith('W/"') === true ? tag : null);
}
