// How long what a source answered may be used again, by RFC 9111: a content without asking, with
// asking, only while it is in flight; a refusal for a short while. Decisions on numbers; header
// fields are read by net/source/cache-terms.ts.
//
//            now < freshUntil          now < usableUntil and the source is down
//   fresh ───────────────────▶ stale ──────────────────────────────────────────▶ unusable
//     ▲   used without asking    │ asked; "unchanged" (304) brings new terms
//     └──────────────────────────┘

/** Unix milliseconds, an integer. */
export type UnixMs = number;

/** What is kept of a source's last answer about a content: later answers update it (RFC 9111 §4.3.4). */
export interface KeptAnswer {
  /** Header fields as sent, names in lower case; only those that decide about caching. */
  readonly fields: Readonly<Record<string, string>>;
  /** When the request was sent and its answer arrived. */
  readonly requestedAt: UnixMs;
  readonly receivedAt: UnixMs;
  /** How long the redirects on the way may be taken for granted; null: there were none. */
  readonly redirectSeconds: number | null;
}

/** What an answer's fields say, as numbers. Durations are whole seconds; null: not said. */
export interface CacheTerms {
  readonly isNoStore: boolean;
  readonly isPrivate: boolean;
  readonly variesOnAll: boolean;
  readonly isNoCache: boolean;
  /** Neither must-revalidate, proxy-revalidate nor an s-maxage lets a shared cache use what is stale. */
  readonly forbidsStale: boolean;
  readonly sharedMaxAgeSeconds: number | null;
  readonly maxAgeSeconds: number | null;
  /** Expires − Date; 0 also for an Expires that is no date. */
  readonly expiresInSeconds: number | null;
  /** Date − Last-Modified. */
  readonly modifiedAgoSeconds: number | null;
  readonly staleIfErrorSeconds: number | null;
  readonly retryAfterSeconds: number | null;
  /** How old the answer was when it arrived: see `initialAgeSeconds`. */
  readonly ageSeconds: number;
  readonly redirectSeconds: number | null;
  readonly receivedAt: UnixMs;
}

/** What limits a content that is used for a time. */
export type TimedRule =
  | "no-cache"
  | "s-maxage"
  | "max-age"
  | "expires"
  | "heuristic"
  | "redirect"
  | "tag"
  | "unspecified";

export type Freshness =
  /** The bytes are known by digest, or the operator said so. */
  | { readonly kind: "always"; readonly rule: "digest" | "force" }
  /** Shared by those who ask while it is read; never kept for later. */
  | { readonly kind: "inFlight"; readonly rule: "no-store" | "private" | "vary" }
  | {
      readonly kind: "timed";
      readonly rule: TimedRule;
      readonly receivedAt: UnixMs;
      readonly freshUntil: UnixMs;
      /** Until then it may be used although the source fails; never before `freshUntil`. */
      readonly usableUntil: UnixMs;
    };

/** What besides the source decides about a content. */
export interface FreshnessOverrides {
  /** The bytes were proven to have the SHA-256 that the task names. */
  readonly isDigestProven: boolean;
  /** A rule of the operator: `cache: force`. */
  readonly isForced: boolean;
  /**
   * A registry's tag: it is asked for at each use, whatever lifetime the answer names. @defaultValue false
   */
  readonly isTag?: boolean;
}

/** RFC 9111 §4.2.2 names a tenth of the time since the last change as typical. */
const HEURISTIC_DIVISOR = 10;

/**
 * A guess about someone else's file is not worth more: a probe a minute, for all hosts together,
 * costs a source nothing, a wrong guess gives users yesterday's bytes.
 */
const HEURISTIC_MAX_SECONDS = 60;

/**
 * How long a content outlives its freshness while the source is down and nothing forbids it: a
 * source that melts in the evening is repaired within the next day. Those who get it are told.
 */
const STALE_IF_ERROR_SECONDS = 24 * 3_600;

/** Beyond it a delta is taken for "very long" (RFC 9111 §1.2.2 says 2^31). */
export const DELTA_SECONDS_MAX = 2 ** 31;

/** Hosts that ask again within it ask about the same moment: even a refusal that forbids keeping is one answer for them. */
const REFUSAL_SECONDS_MIN = 2;

/** What is missing may appear at any time: no source can keep its users from seeing it for longer. */
const REFUSAL_SECONDS_MAX = 300;

/** A missing or forbidden file is asked for again after it, as CDNs do by default. */
const REFUSAL_SECONDS = 10;

/** The first rule that applies decides; a redirect can only shorten it. */
export function freshnessOf(terms: CacheTerms, overrides: FreshnessOverrides): Freshness {
  if (overrides.isDigestProven) return { kind: "always", rule: "digest" };
  if (overrides.isForced) return { kind: "always", rule: "force" };
  if (terms.isNoStore) return { kind: "inFlight", rule: "no-store" };
  if (terms.isPrivate) return { kind: "inFlight", rule: "private" };
  if (terms.variesOnAll) return { kind: "inFlight", rule: "vary" };
  const { receivedAt, redirectSeconds, staleIfErrorSeconds } = terms;
  const own = overrides.isTag === true ? AT_EACH_USE : lifetimeOf(terms);
  const isRedirect = redirectSeconds !== null && redirectSeconds < own.seconds - terms.ageSeconds;
  const leftSeconds = isRedirect ? redirectSeconds : own.seconds - terms.ageSeconds;
  const freshUntil = receivedAt + leftSeconds * 1_000;
  const forbidsStale = terms.forbidsStale || terms.isNoCache;
  const staleSeconds = forbidsStale ? 0 : (staleIfErrorSeconds ?? STALE_IF_ERROR_SECONDS);
  return {
    kind: "timed",
    rule: isRedirect ? "redirect" : own.rule,
    receivedAt,
    freshUntil,
    usableUntil: freshUntil + staleSeconds * 1_000,
  };
}

const AT_EACH_USE = { rule: "tag", seconds: 0 } as const;

/** RFC 9111 §4.2.1, and §4.2.2 where the source does not say. */
function lifetimeOf(terms: CacheTerms): { rule: TimedRule; seconds: number } {
  if (terms.isNoCache) return { rule: "no-cache", seconds: 0 };
  const explicit = explicitLifetimeOf(terms);
  if (explicit !== null) return explicit;
  if (terms.modifiedAgoSeconds === null) return { rule: "unspecified", seconds: 0 };
  const tenth = Math.floor(Math.max(0, terms.modifiedAgoSeconds) / HEURISTIC_DIVISOR);
  return { rule: "heuristic", seconds: Math.min(tenth, HEURISTIC_MAX_SECONDS) };
}

function explicitLifetimeOf(terms: CacheTerms): { rule: TimedRule; seconds: number } | null {
  if (terms.sharedMaxAgeSeconds !== null) {
    return { rule: "s-maxage", seconds: terms.sharedMaxAgeSeconds };
  }
  if (terms.maxAgeSeconds !== null) return { rule: "max-age", seconds: terms.maxAgeSeconds };
  if (terms.expiresInSeconds === null) return null;
  return { rule: "expires", seconds: Math.max(0, terms.expiresInSeconds) };
}

/** Milliseconds for which it may be used without asking; Infinity: always. 0 while a clock went back. */
export function freshForMs(freshness: Freshness, nowAt: UnixMs): number {
  if (freshness.kind === "always") return Infinity;
  if (freshness.kind === "inFlight") return 0;
  return nowAt < freshness.receivedAt ? 0 : Math.max(0, freshness.freshUntil - nowAt);
}

/** Whether it may be used although the source cannot be asked. */
export function isUsableIfError(freshness: Freshness, nowAt: UnixMs): boolean {
  if (freshness.kind !== "timed") return freshness.kind === "always";
  return nowAt < freshness.usableUntil;
}

/** RFC 9111 §4.2.3, corrected_initial_age; `dateAt` null: no usable Date. */
export function initialAgeSeconds(answer: {
  dateAt: UnixMs | null;
  /** The Age field; null: none. */
  ageSeconds: number | null;
  requestedAt: UnixMs;
  receivedAt: UnixMs;
}): number {
  const { dateAt, ageSeconds, requestedAt, receivedAt } = answer;
  const apparentMs = Math.max(0, receivedAt - (dateAt ?? receivedAt));
  const delayMs = Math.max(0, receivedAt - requestedAt);
  const correctedMs = (ageSeconds ?? 0) * 1_000 + delayMs;
  return Math.floor(Math.max(apparentMs, correctedMs) / 1_000);
}

/**
 * Seconds for which a redirect may be taken for granted. Temporary ones are followed anew unless
 * they say otherwise: what "latest" points to decides, not how long that file may be kept.
 */
export function redirectLifetimeSeconds(status: number, terms: CacheTerms): number {
  if (terms.isNoStore || terms.isPrivate || terms.isNoCache || terms.variesOnAll) return 0;
  const isPermanent = status === 301 || status === 308;
  const assumed = isPermanent ? HEURISTIC_MAX_SECONDS : 0;
  const lifetime = explicitLifetimeOf(terms)?.seconds ?? assumed;
  return Math.max(0, lifetime - terms.ageSeconds);
}

/**
 * Seconds for which a source's refusal (404, 503 …) is believed. Its own words count within bounds;
 * a source in trouble is asked again soon unless it says when.
 */
export function refusalLifetimeSeconds(status: number, terms: CacheTerms): number {
  const { isNoStore, isPrivate, isNoCache, retryAfterSeconds, ageSeconds } = terms;
  const forbidsKeeping = isNoStore || isPrivate || isNoCache;
  const lifetime = forbidsKeeping ? 0 : (explicitLifetimeOf(terms)?.seconds ?? null);
  const said = lifetime === null ? null : lifetime - ageSeconds;
  const assumed = status >= 500 || status === 429 ? REFUSAL_SECONDS_MIN : REFUSAL_SECONDS;
  const seconds =
    said === null ? (retryAfterSeconds ?? assumed) : Math.max(said, retryAfterSeconds ?? 0);
  return Math.min(Math.max(seconds, REFUSAL_SECONDS_MIN), REFUSAL_SECONDS_MAX);
}
