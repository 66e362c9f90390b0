// The decisions of RFC 9111 on numbers: which rule decides, for how long, and how long beyond that.

import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  freshForMs,
  freshnessOf,
  initialAgeSeconds,
  isUsableIfError,
  redirectLifetimeSeconds,
  refusalLifetimeSeconds,
  type CacheTerms,
} from "../../src/engine/core/freshness.ts";

const RECEIVED_AT = 1_800_000_000_000;
const SOURCE_DECIDES = { isDigestProven: false, isForced: false };
const DAY_SECONDS = 86_400;

function terms(overrides: Partial<CacheTerms> = {}): CacheTerms {
  return {
    ...{ isNoStore: false, isPrivate: false, variesOnAll: false, isNoCache: false },
    ...{ forbidsStale: false, sharedMaxAgeSeconds: null, maxAgeSeconds: null },
    ...{ expiresInSeconds: null, modifiedAgoSeconds: null, staleIfErrorSeconds: null },
    ...{ retryAfterSeconds: null, ageSeconds: 0, redirectSeconds: null },
    receivedAt: RECEIVED_AT,
    ...overrides,
  };
}

const nullableSeconds = fc.option(fc.nat({ max: 10_000_000 }));
const anyTerms = fc.record<CacheTerms>({
  ...{ isNoStore: fc.boolean(), isPrivate: fc.boolean(), variesOnAll: fc.boolean() },
  ...{ isNoCache: fc.boolean(), forbidsStale: fc.boolean() },
  ...{ sharedMaxAgeSeconds: nullableSeconds, maxAgeSeconds: nullableSeconds },
  expiresInSeconds: fc.option(fc.integer({ min: -10_000_000, max: 10_000_000 })),
  modifiedAgoSeconds: fc.option(fc.integer({ min: -10_000_000, max: 10_000_000 })),
  ...{ staleIfErrorSeconds: nullableSeconds, retryAfterSeconds: nullableSeconds },
  ...{ ageSeconds: fc.nat({ max: 10_000_000 }), redirectSeconds: nullableSeconds },
  receivedAt: fc.constant(RECEIVED_AT),
});

test.each<[string, Partial<CacheTerms>, string, number]>([
  // What the source says, the rule that decides, and the seconds for which nobody asks.
  ["nothing", {}, "unspecified", 0],
  ["max-age", { maxAgeSeconds: 300 }, "max-age", 300],
  ["max-age=0", { maxAgeSeconds: 0 }, "max-age", 0],
  ["max-age and an Age (§4.2.3)", { maxAgeSeconds: 300, ageSeconds: 100 }, "max-age", 200],
  ["an Age beyond max-age", { maxAgeSeconds: 300, ageSeconds: 400 }, "max-age", 0],
  [
    "s-maxage before max-age (§5.2.2.10)",
    { sharedMaxAgeSeconds: 10, maxAgeSeconds: 300 },
    "s-maxage",
    10,
  ],
  ["max-age before Expires (§5.3)", { maxAgeSeconds: 300, expiresInSeconds: 20 }, "max-age", 300],
  ["Expires", { expiresInSeconds: 20 }, "expires", 20],
  ["an Expires in the past", { expiresInSeconds: -20 }, "expires", 0],
  ["no-cache although max-age (§5.2.2.4)", { isNoCache: true, maxAgeSeconds: 300 }, "no-cache", 0],
  ["a Last-Modified 100 s ago (§4.2.2)", { modifiedAgoSeconds: 100 }, "heuristic", 10],
  [
    "a Last-Modified a year ago: capped",
    { modifiedAgoSeconds: 365 * DAY_SECONDS },
    "heuristic",
    60,
  ],
  ["a Last-Modified in the future", { modifiedAgoSeconds: -100 }, "heuristic", 0],
  ["max-age although Last-Modified", { maxAgeSeconds: 5, modifiedAgoSeconds: 9_000 }, "max-age", 5],
  ["must-revalidate", { forbidsStale: true, maxAgeSeconds: 300 }, "max-age", 300],
  [
    "max-age behind a redirect that may not be kept",
    { maxAgeSeconds: 300, redirectSeconds: 0 },
    "redirect",
    0,
  ],
  [
    "max-age behind a lasting redirect",
    { maxAgeSeconds: 300, redirectSeconds: 900 },
    "max-age",
    300,
  ],
])("%s: %o is decided by %s and fresh for %d s", (_, said, rule, seconds) => {
  const freshness = freshnessOf(terms(said), SOURCE_DECIDES);

  expect(freshness).toMatchObject({ kind: "timed", rule });
  expect(freshForMs(freshness, RECEIVED_AT)).toBe(seconds * 1_000);
});

test.each<[string, Partial<CacheTerms>, Partial<typeof SOURCE_DECIDES>, string, string]>([
  ["no-store (§5.2.2.5)", { isNoStore: true, maxAgeSeconds: 300 }, {}, "inFlight", "no-store"],
  ["private (§5.2.2.7)", { isPrivate: true, maxAgeSeconds: 300 }, {}, "inFlight", "private"],
  ["Vary: * (§4.1)", { variesOnAll: true, maxAgeSeconds: 300 }, {}, "inFlight", "vary"],
  ["no-store of known bytes", { isNoStore: true }, { isDigestProven: true }, "always", "digest"],
  ["no-cache of known bytes", { isNoCache: true }, { isDigestProven: true }, "always", "digest"],
  ["no-store under cache: force", { isNoStore: true }, { isForced: true }, "always", "force"],
])("%s: %o with %o is %s by %s", (_, said, overrides, kind, rule) => {
  const freshness = freshnessOf(terms(said), { ...SOURCE_DECIDES, ...overrides });

  expect(freshness).toEqual({ kind, rule } as never);
  expect(freshForMs(freshness, RECEIVED_AT)).toBe(kind === "always" ? Infinity : 0);
  expect(isUsableIfError(freshness, RECEIVED_AT)).toBe(kind === "always");
});

test.each<[string, Partial<CacheTerms>, number]>([
  ["a lifetime", { maxAgeSeconds: 3_600, sharedMaxAgeSeconds: 3_600 }, DAY_SECONDS],
  ["nothing", {}, DAY_SECONDS],
  ["stale-if-error=60", { maxAgeSeconds: 3_600, staleIfErrorSeconds: 60 }, 60],
  ["must-revalidate", { maxAgeSeconds: 3_600, forbidsStale: true }, 0],
])(
  "a tag whose answer says %s is asked for at each use: %o is given for %d s when that fails",
  (_, said, seconds) => {
    const freshness = freshnessOf(terms(said), { ...SOURCE_DECIDES, isTag: true });

    expect(freshness).toMatchObject({ kind: "timed", rule: "tag" });
    expect(freshForMs(freshness, RECEIVED_AT)).toBe(0);
    const endsAt = RECEIVED_AT + seconds * 1_000;
    expect(isUsableIfError(freshness, endsAt)).toBe(false);
    if (seconds > 0) expect(isUsableIfError(freshness, endsAt - 1)).toBe(true);
  },
);

test.each<[string, Partial<CacheTerms>, number]>([
  ["nothing about errors", { maxAgeSeconds: 300 }, 300 + DAY_SECONDS],
  ["stale-if-error=600 (RFC 5861 §4)", { maxAgeSeconds: 300, staleIfErrorSeconds: 600 }, 900],
  ["stale-if-error=0", { maxAgeSeconds: 300, staleIfErrorSeconds: 0 }, 300],
  ["must-revalidate (§5.2.2.2)", { maxAgeSeconds: 300, forbidsStale: true }, 300],
  ["must-revalidate and stale-if-error", { forbidsStale: true, staleIfErrorSeconds: 600 }, 0],
  ["no-cache (§4.2.4)", { isNoCache: true, staleIfErrorSeconds: 600 }, 0],
])("%s: %o is usable for %d s while the source is down", (_, said, seconds) => {
  const freshness = freshnessOf(terms(said), SOURCE_DECIDES);
  const endsAt = RECEIVED_AT + seconds * 1_000;

  expect(isUsableIfError(freshness, endsAt - 1)).toBe(seconds > 0 || endsAt - 1 < RECEIVED_AT);
  expect(isUsableIfError(freshness, endsAt)).toBe(false);
});

test.each<[string, Parameters<typeof initialAgeSeconds>[0], number]>([
  [
    "Date now, no Age",
    { dateAt: 50_000, ageSeconds: null, requestedAt: 50_000, receivedAt: 50_000 },
    0,
  ],
  [
    "Date 9 s ago",
    { dateAt: 41_000, ageSeconds: null, requestedAt: 50_000, receivedAt: 50_000 },
    9,
  ],
  [
    "Date ahead of our clock",
    { dateAt: 90_000, ageSeconds: 3, requestedAt: 50_000, receivedAt: 50_000 },
    3,
  ],
  [
    "Age and 2 s on the way",
    { dateAt: 50_000, ageSeconds: 7, requestedAt: 48_000, receivedAt: 50_000 },
    9,
  ],
  ["no Date", { dateAt: null, ageSeconds: 7, requestedAt: 50_000, receivedAt: 50_000 }, 7],
  [
    "a clock that went back",
    { dateAt: null, ageSeconds: null, requestedAt: 60_000, receivedAt: 50_000 },
    0,
  ],
])("an answer with %s: %o is %d s old when it arrives", (_, answer, seconds) => {
  expect(initialAgeSeconds(answer)).toBe(seconds);
});

test.each<[string, number, Partial<CacheTerms>, number]>([
  ["a temporary one", 302, {}, 0],
  ["a temporary one that says how long", 302, { maxAgeSeconds: 90 }, 90],
  ["a temporary one, said a while ago", 307, { maxAgeSeconds: 90, ageSeconds: 60 }, 30],
  ["a permanent one", 301, {}, 60],
  ["a permanent one that may not be kept", 308, { isNoStore: true }, 0],
])("a redirect, %s (%d %o), is taken for granted for %d s", (_, status, said, seconds) => {
  expect(redirectLifetimeSeconds(status, terms(said))).toBe(seconds);
});

test.each<[number, Partial<CacheTerms>, number]>([
  [404, {}, 10],
  [410, {}, 10],
  [403, {}, 10],
  [404, { maxAgeSeconds: 60 }, 60],
  [404, { maxAgeSeconds: 60, ageSeconds: 45 }, 15],
  [404, { expiresInSeconds: 30 }, 30],
  [404, { maxAgeSeconds: 86_400 }, 300],
  [404, { isNoStore: true }, 2],
  [404, { isNoCache: true, retryAfterSeconds: 40 }, 40],
  [503, {}, 2],
  [503, { retryAfterSeconds: 30 }, 30],
  [503, { retryAfterSeconds: 86_400 }, 300],
  [429, { maxAgeSeconds: 5, retryAfterSeconds: 30 }, 30],
  [500, { maxAgeSeconds: 20 }, 20],
])("a %d with %o is believed for %d s", (status, said, seconds) => {
  expect(refusalLifetimeSeconds(status, terms(said))).toBe(seconds);
});

test("what is fresh stays usable, and time never makes anything fresher", () => {
  fc.assert(
    fc.property(anyTerms, fc.nat(1e10), fc.nat(1e10), (said, atMs, laterMs) => {
      const freshness = freshnessOf(said, SOURCE_DECIDES);
      const now = RECEIVED_AT + atMs;

      const left = freshForMs(freshness, now);

      expect(Number.isSafeInteger(left)).toBe(true);
      if (left > 0) expect(isUsableIfError(freshness, now + left - 1)).toBe(true);
      expect(freshForMs(freshness, now + laterMs)).toBe(Math.max(0, left - laterMs));
    }),
  );
});

test("no directive that forbids makes anything live longer", () => {
  fc.assert(
    fc.property(
      anyTerms,
      fc.constantFrom("isNoStore", "isPrivate", "variesOnAll", "isNoCache", "forbidsStale"),
      fc.nat(1e10),
      (said, directive, atMs) => {
        const now = RECEIVED_AT + atMs;
        const without = freshnessOf({ ...said, [directive]: false }, SOURCE_DECIDES);
        const with_ = freshnessOf({ ...said, [directive]: true }, SOURCE_DECIDES);

        expect(freshForMs(with_, now)).toBeLessThanOrEqual(freshForMs(without, now));
        if (isUsableIfError(with_, now)) expect(isUsableIfError(without, now)).toBe(true);
      },
    ),
  );
});

test("an older answer and a shorter-lived redirect never lengthen freshness", () => {
  fc.assert(
    fc.property(anyTerms, fc.nat(1e6), fc.nat(1e6), (said, olderSeconds, redirectSeconds) => {
      const left = (seen: CacheTerms) => freshForMs(freshnessOf(seen, SOURCE_DECIDES), RECEIVED_AT);

      const older = { ...said, ageSeconds: said.ageSeconds + olderSeconds };
      const redirected = { ...said, redirectSeconds };

      expect(left(older)).toBeLessThanOrEqual(left(said));
      if (said.redirectSeconds === null) expect(left(redirected)).toBeLessThanOrEqual(left(said));
    }),
  );
});

test("before it arrived, by a clock that went back, nothing is fresh", () => {
  const freshness = freshnessOf(terms({ maxAgeSeconds: 300 }), SOURCE_DECIDES);

  expect(freshForMs(freshness, RECEIVED_AT - 1)).toBe(0);
});
