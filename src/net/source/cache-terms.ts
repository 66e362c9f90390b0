// What of an answer's header fields decides about caching: which are kept, how a later answer
// updates them, and what they say as numbers. The decisions are core/freshness.ts.

import type { IncomingHttpHeaders } from "node:http";
import {
  initialAgeSeconds,
  type CacheTerms,
  type KeptAnswer,
  type UnixMs,
} from "../../engine/core/freshness.ts";
import { durationOf, parseCacheControl, parseDeltaSeconds } from "./cache-control.ts";
import { parseHttpDate, parseRetryAfter } from "./http-date.ts";

/**
 * Fields that are kept: those that decide, the tag that a content is asked about with, and what says how to
 * read it, for clients of a proxy who see no more of the source than us.
 */
const KEPT_FIELDS = [
  ...["cache-control", "expires", "age", "date", "vary"],
  ...["etag", "last-modified", "retry-after"],
  ...["content-type", "content-encoding", "content-disposition"],
];

/** A longer field is not kept: no directive that means something is that long. */
const FIELD_CHARS_MAX = 1_024;

/** One answer as it arrived. */
export interface AnswerMoment {
  readonly headers: IncomingHttpHeaders;
  readonly requestedAt: UnixMs;
  readonly receivedAt: UnixMs;
  /** Null: no redirects on the way. */
  readonly redirectSeconds: number | null;
}

export function keptAnswerOf(answer: AnswerMoment): KeptAnswer {
  const { headers, requestedAt, receivedAt, redirectSeconds } = answer;
  const fields: Record<string, string> = {};
  for (const name of KEPT_FIELDS) {
    const value = headers[name];
    if (typeof value !== "string") continue;
    // Cut short, a Cache-Control could lose its no-store: then nothing may be kept at all.
    if (value.length <= FIELD_CHARS_MAX) fields[name] = value;
    else if (name === "cache-control" || name === "vary") fields["cache-control"] = "no-store";
  }
  return { fields, requestedAt, receivedAt, redirectSeconds };
}

/**
 * The kept answer after the source said that the content is unchanged: fields that the new answer
 * has replace the old ones, the others stay (RFC 9111 §3.2, §4.3.4). Age and Date belong to the
 * answer that they came with.
 */
export function updatedAnswer(kept: KeptAnswer | null, newer: KeptAnswer): KeptAnswer {
  const { age: _age, date: _date, ...lasting } = kept?.fields ?? {};
  return { ...newer, fields: { ...lasting, ...newer.fields } };
}

/** The kept answer as it is told to the next cache: Age says how old it is by now (RFC 9111 §5.1). */
export function forwardedAnswer(kept: KeptAnswer, nowAt: UnixMs): KeptAnswer {
  const restingMs = Math.max(0, nowAt - kept.receivedAt);
  const age = termsOf(kept).ageSeconds + Math.floor(restingMs / 1_000);
  const redirectSeconds =
    kept.redirectSeconds === null
      ? null
      : Math.max(0, kept.redirectSeconds - Math.ceil(restingMs / 1_000));
  return { ...kept, fields: { ...kept.fields, age: String(age) }, redirectSeconds };
}

export function termsOf({ fields, ...moment }: KeptAnswer): CacheTerms {
  const directives = parseCacheControl(fields["cache-control"]);
  const dateAt = parseHttpDate(fields["date"]);
  const ageSeconds = parseDeltaSeconds(fields["age"] ?? "");
  const sentAt = dateAt ?? moment.receivedAt;
  const modifiedAt = parseHttpDate(fields["last-modified"]);
  const sharedMaxAgeSeconds = durationOf(directives, "s-maxage");
  return {
    // Whoever understands the status code, as we do, ignores a no-store that guards must-understand.
    isNoStore: directives.has("no-store") && !directives.has("must-understand"),
    isPrivate: directives.has("private"),
    variesOnAll: (fields["vary"] ?? "").split(",").some((name) => name.trim() === "*"),
    isNoCache: directives.has("no-cache"),
    forbidsStale:
      directives.has("must-revalidate") ||
      directives.has("proxy-revalidate") ||
      sharedMaxAgeSeconds !== null,
    sharedMaxAgeSeconds,
    maxAgeSeconds: durationOf(directives, "max-age"),
    expiresInSeconds: expiresIn(fields["expires"], sentAt),
    modifiedAgoSeconds: modifiedAt === null ? null : Math.floor((sentAt - modifiedAt) / 1_000),
    staleIfErrorSeconds: durationOf(directives, "stale-if-error"),
    retryAfterSeconds: retryAfter(fields["retry-after"], moment.receivedAt),
    ageSeconds: initialAgeSeconds({ dateAt, ageSeconds, ...moment }),
    redirectSeconds: moment.redirectSeconds,
    receivedAt: moment.receivedAt,
  };
}

/** "0" and other words that are no date mean the past (RFC 9111 §5.3). */
function expiresIn(field: string | undefined, sentAt: UnixMs): number | null {
  if (field === undefined) return null;
  const expiresAt = parseHttpDate(field);
  return expiresAt === null ? 0 : Math.floor((expiresAt - sentAt) / 1_000);
}

function retryAfter(field: string | undefined, receivedAt: UnixMs): number | null {
  const waitMs = parseRetryAfter(field, receivedAt);
  return waitMs === null ? null : Math.ceil(waitMs / 1_000);
}
