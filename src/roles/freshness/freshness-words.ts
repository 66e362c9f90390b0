// Says in words which header and which rule decide about a content, for `df status --why` and a
// supernode's status.

import { freshForMs, type Freshness, type UnixMs } from "../../engine/core/freshness.ts";
import type { TaskFreshness } from "../../net/wire/task-freshness.ts";
import type { ContentFacts } from "../../store/piece-store.ts";
import { revalidatorOf } from "./content-freshness.ts";

export type FreshnessWords = Pick<TaskFreshness, "use" | "rule" | "header" | "forSeconds" | "why">;

export const NO_VERSION: FreshnessWords = {
  ...{ use: "unknown", rule: null, header: null, forSeconds: null },
  why: "no version is here",
};

/** What is said of a content that is here whole. */
export function wordsOf(facts: ContentFacts, freshness: Freshness, nowAt: UnixMs): FreshnessWords {
  const { kind, rule } = freshness;
  const header = headerOf(facts, rule);
  const words = { rule, header, forSeconds: null };
  if (kind === "always") {
    const why =
      rule === "digest"
        ? "fresh as long as it is kept: it has the SHA-256 that the task names"
        : "fresh as long as it is kept: a cache rule of the operator says force";
    return { ...words, use: "fresh", why };
  }
  const reason = reasonOf(facts, rule, header);
  if (kind === "inFlight")
    return { ...words, use: "inFlightOnly", why: `in flight only: ${reason}` };
  const forSeconds = Math.ceil(freshForMs(freshness, nowAt) / 1_000);
  if (forSeconds > 0) {
    const why = `fresh for ${forSeconds} s more: ${reason}`;
    return { ...words, forSeconds, use: "fresh", why };
  }
  const canAsk = revalidatorOf(facts) !== null;
  const verb = canAsk ? "revalidates" : "is read anew";
  const wasFresh = freshness.freshUntil > freshness.receivedAt;
  const when = wasFresh ? `fresh no more, ${verb} at the next ask` : `${verb} at every ask`;
  const addition = canAsk ? "" : "; the source gives no ETag or Last-Modified to ask with";
  return { ...words, use: "revalidates", why: `${when}: ${reason}${addition}` };
}

/** What is said while the source is down and the last version is given. */
export function staleWords(
  words: FreshnessWords,
  failure: string,
  seconds: number,
): FreshnessWords {
  const why = `stale, given because the source is down: ${failure}; it is asked again in ${seconds} s at the earliest`;
  return { ...words, use: "stale", forSeconds: seconds, why };
}

function headerOf({ answer }: ContentFacts, rule: Freshness["rule"]): string | null {
  const fields = answer?.fields ?? {};
  switch (rule) {
    case "no-store":
    case "private":
    case "no-cache":
    case "s-maxage":
    case "max-age":
      return `cache-control: ${fields["cache-control"] ?? ""}`;
    case "vary":
      return `vary: ${fields["vary"] ?? ""}`;
    case "expires":
      return `expires: ${fields["expires"] ?? ""}`;
    case "heuristic":
      return `last-modified: ${fields["last-modified"] ?? ""}`;
    case "redirect":
    case "tag":
    case "unspecified":
    case "digest":
    case "force":
      return null;
  }
}

function reasonOf(facts: ContentFacts, rule: Freshness["rule"], header: string | null): string {
  const age = facts.answer?.fields["age"];
  const aged = age === undefined ? "" : `, ${age} s old when it came`;
  switch (rule) {
    case "no-store":
    case "private":
    case "no-cache":
      return `cache-control ${rule}`;
    case "s-maxage":
    case "max-age":
      return `cache-control ${directiveOf(facts, rule)}${aged}`;
    case "heuristic":
      return `no header says how long, so a tenth of the time since its ${header}, at most 60 s`;
    case "redirect":
      return `a redirect on the way is taken for granted for ${facts.answer?.redirectSeconds ?? 0} s`;
    case "tag":
      return "what a tag means is the registry's word alone";
    case "unspecified":
      return "no header says how long";
    case "expires":
    case "vary":
      return (header ?? rule).replace(": ", " ");
    case "digest":
    case "force":
      return rule;
  }
}

/** The directive as the source wrote it. */
function directiveOf({ answer }: ContentFacts, name: string): string {
  const field = answer?.fields["cache-control"] ?? "";
  return new RegExp(`(?<![\\w-])${name}\\s*=\\s*"?[^\\s,"]*`, "i").exec(field)?.[0] ?? name;
}
