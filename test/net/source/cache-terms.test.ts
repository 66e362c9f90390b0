// Header fields as servers send them: what they say as numbers, how a 304 updates them, and what is
// passed on.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { freshForMs, freshnessOf, type KeptAnswer } from "../../../src/engine/core/freshness.ts";
import { durationOf, parseCacheControl } from "../../../src/net/source/cache-control.ts";
import {
  forwardedAnswer,
  keptAnswerOf,
  termsOf,
  updatedAnswer,
} from "../../../src/net/source/cache-terms.ts";
import { parseHttpDate } from "../../../src/net/source/http-date.ts";

const NOW = Date.UTC(2026, 10, 22, 12, 0, 0);
const DATE = "Sun, 22 Nov 2026 12:00:00 GMT";

function answer(fields: Record<string, string>, overrides: Partial<KeptAnswer> = {}): KeptAnswer {
  return { fields, requestedAt: NOW, receivedAt: NOW, redirectSeconds: null, ...overrides };
}

function freshSeconds(fields: Record<string, string>): number {
  const decided = { isDigestProven: false, isForced: false };
  return freshForMs(freshnessOf(termsOf(answer(fields)), decided), NOW) / 1_000;
}

test.each([
  ["max-age=300", 300],
  ["MAX-AGE=300", 300],
  ["public, max-age=300, immutable", 300],
  ['max-age="300"', 300],
  ["max-age = 300", 300],
  ["max-age=300, max-age=60", 300],
  ["max-age=60x", 0],
  ["max-age=-1", 0],
  ["max-age=1.5", 0],
  ["max-age", 0],
  ["max-age=99999999999", 2 ** 31],
  ['extension="max-age=300", max-age=5', 5],
  ["x-max-age=300", null],
  ["", null],
])("Cache-Control: %s gives max-age %p", (field, seconds) => {
  expect(durationOf(parseCacheControl(field), "max-age")).toBe(seconds);
});

test.each([
  ["no-store", { isNoStore: true }],
  ["no-store=1", { isNoStore: true }],
  ["No-Store , max-age=60", { isNoStore: true, maxAgeSeconds: 60 }],
  ["no-store, must-understand", { isNoStore: false }],
  ["private", { isPrivate: true }],
  ['private="set-cookie"', { isPrivate: true }],
  ['no-cache="set-cookie"', { isNoCache: true }],
  ["must-revalidate", { forbidsStale: true }],
  ["proxy-revalidate", { forbidsStale: true }],
  ["s-maxage=5", { forbidsStale: true, sharedMaxAgeSeconds: 5 }],
  ["stale-if-error=600", { staleIfErrorSeconds: 600, forbidsStale: false }],
  ['x="no-store"', { isNoStore: false }],
  ['x="y, no-store', { isNoStore: true }],
])("Cache-Control: %s says %o", (field, said) => {
  expect(termsOf(answer({ "cache-control": field }))).toMatchObject(said);
});

test.each<[string, Record<string, string>, number]>([
  ["Expires after Date", { date: DATE, expires: "Sun, 22 Nov 2026 12:05:00 GMT" }, 300],
  ["Expires, no Date", { expires: "Sun, 22 Nov 2026 12:05:00 GMT" }, 300],
  [
    "Expires by a source whose clock is an hour ahead",
    { date: "Sun, 22 Nov 2026 13:00:00 GMT", expires: "Sun, 22 Nov 2026 13:05:00 GMT" },
    300,
  ],
  ["Expires: 0", { date: DATE, expires: "0" }, 0],
  ["Expires: -1", { date: DATE, expires: "-1" }, 0],
  ["Last-Modified 200 s ago", { date: DATE, "last-modified": "Sun, 22 Nov 2026 11:56:40 GMT" }, 20],
  ["Age: 100", { date: DATE, age: "100", "cache-control": "max-age=300" }, 200],
  ["an Age that is none", { date: DATE, age: "old", "cache-control": "max-age=300" }, 300],
  [
    "a Date of 100 s ago",
    { date: "Sun, 22 Nov 2026 11:58:20 GMT", "cache-control": "max-age=300" },
    200,
  ],
  ["Vary: *", { vary: "Accept, *", "cache-control": "max-age=300" }, 0],
  ["Vary: Accept-Encoding", { vary: "Accept-Encoding", "cache-control": "max-age=300" }, 300],
])("%s is fresh as RFC 9111 says", (_, fields, seconds) => {
  expect(freshSeconds(fields)).toBe(seconds);
});

test.each([
  ["Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777_000],
  ["Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777_000],
  ["Sun Nov  6 08:49:37 1994", 784_111_777_000],
  ["Sun, 06 Nov 1994 08:49:37 CET", null],
  ["Sun, 31 Feb 1994 08:49:37 GMT", null],
  ["Sun, 06 Foo 1994 08:49:37 GMT", null],
  ["Sun, 06 Nov 1994 25:49:37 GMT", null],
  ["-5", null],
  ["2026-11-22T12:00:00Z", null],
  [undefined, null],
])("the date %p is %p", (text, at) => {
  expect(parseHttpDate(text)).toBe(at);
});

test("a 304 replaces the fields that it has and leaves the others (§4.3.4)", () => {
  const kept = answer({ "cache-control": "max-age=60", etag: '"v1"', age: "50", date: DATE });
  const newer = answer({ expires: "0", etag: '"v1"' }, { receivedAt: NOW + 90_000 });

  expect(updatedAnswer(kept, newer)).toEqual({
    ...newer,
    fields: { "cache-control": "max-age=60", etag: '"v1"', expires: "0" },
  });
});

test("what is passed on is as old as it is here, whatever the next clock says", () => {
  const kept = answer({ "cache-control": "max-age=300", age: "10", date: DATE });

  const passed = forwardedAnswer(kept, NOW + 40_000);
  const skewed = { ...passed, requestedAt: NOW - 5_000, receivedAt: NOW - 5_000 };

  expect(passed.fields["age"]).toBe("50");
  expect(termsOf(skewed).ageSeconds).toBe(50);
});

test("a Cache-Control too long to keep forbids keeping", () => {
  const headers = { "cache-control": `max-age=9, x="${"y".repeat(2_000)}", no-store` };

  const kept = keptAnswerOf({ headers, requestedAt: NOW, receivedAt: NOW, redirectSeconds: null });

  expect(termsOf(kept).isNoStore).toBe(true);
});

test("no text in any field breaks the reading of it, nor makes a number that is none", () => {
  const text = fc.oneof(
    fc.string(),
    fc.stringMatching(/^[a-z\-=",0-9 ]{0,40}$/),
    fc.constantFrom(DATE, "0", "max-age=60", "no-store"),
  );
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.constantFrom(
          "cache-control",
          "expires",
          "age",
          "date",
          "vary",
          "last-modified",
          "retry-after",
        ),
        text,
      ),
      (fields) => {
        const terms = termsOf(answer(fields));

        for (const value of Object.values(terms)) {
          if (typeof value === "number") expect(Number.isSafeInteger(value)).toBe(true);
        }
        expect(terms.ageSeconds).toBeGreaterThanOrEqual(0);
      },
    ),
  );
});
