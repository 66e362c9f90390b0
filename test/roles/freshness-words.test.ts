// What `df status --why` and a supernode's status say: the header and the rule that decide.

import { expect, test } from "bun:test";
import { freshnessOfContent } from "../../src/roles/freshness/content-freshness.ts";
import { wordsOf } from "../../src/roles/freshness/freshness-words.ts";
import type { ContentFacts } from "../../src/store/piece-store.ts";

const NOW = 1_800_000_000_000;
const SHA256 = "a".repeat(64);

interface Said {
  fields?: Record<string, string>;
  validator?: string | null;
  redirectSeconds?: number;
  checksum?: string;
  cacheRules?: Record<string, "standard" | "force">;
}

function whyOf(
  { fields = {}, validator = '"v1"', redirectSeconds, ...rules }: Said,
  afterSeconds = 0,
) {
  const facts: ContentFacts = {
    ...{
      contentId: "c",
      taskId: "t",
      url: "http://files.example/a",
      lastModified: null,
      validator,
    },
    layout: { length: 1, pieceLength: 1 },
    answer: {
      ...{ fields, requestedAt: NOW, receivedAt: NOW },
      redirectSeconds: redirectSeconds ?? null,
    },
  };
  const content = { facts, digests: { md5: "", sha256: SHA256 } };
  const freshness = freshnessOfContent(
    content,
    { checksum: rules.checksum ?? "" },
    rules.cacheRules ?? {},
  );
  return wordsOf(facts, freshness, NOW + afterSeconds * 1_000);
}

test.each<[Said, number, string, string]>([
  [
    { fields: { "cache-control": "public, max-age=300" } },
    60,
    "fresh",
    "fresh for 240 s more: cache-control max-age=300",
  ],
  [
    { fields: { "cache-control": "max-age=300", age: "100" } },
    0,
    "fresh",
    "fresh for 200 s more: cache-control max-age=300, 100 s old when it came",
  ],
  [
    { fields: { "cache-control": "s-maxage=9, max-age=300" } },
    0,
    "fresh",
    "fresh for 9 s more: cache-control s-maxage=9",
  ],
  [
    { fields: { "cache-control": "max-age=300" } },
    300,
    "revalidates",
    "fresh no more, revalidates at the next ask: cache-control max-age=300",
  ],
  [
    { fields: { "cache-control": "no-cache" } },
    0,
    "revalidates",
    "revalidates at every ask: cache-control no-cache",
  ],
  [{}, 0, "revalidates", "revalidates at every ask: no header says how long"],
  [
    { validator: null },
    0,
    "revalidates",
    "is read anew at every ask: no header says how long; the source gives no ETag or Last-Modified to ask with",
  ],
  [
    { fields: { "cache-control": "no-store" } },
    0,
    "inFlightOnly",
    "in flight only: cache-control no-store",
  ],
  [
    { fields: { "cache-control": "private" } },
    0,
    "inFlightOnly",
    "in flight only: cache-control private",
  ],
  [{ fields: { vary: "*" } }, 0, "inFlightOnly", "in flight only: vary *"],
  [
    { fields: { expires: "Fri, 15 Jan 2027 08:01:40 GMT" } },
    0,
    "fresh",
    "fresh for 100 s more: expires Fri, 15 Jan 2027 08:01:40 GMT",
  ],
  [
    { fields: { "last-modified": "Fri, 15 Jan 2027 07:58:20 GMT" } },
    0,
    "fresh",
    "fresh for 10 s more: no header says how long, so a tenth of the time since its last-modified: Fri, 15 Jan 2027 07:58:20 GMT, at most 60 s",
  ],
  [
    { fields: { "cache-control": "max-age=300" }, redirectSeconds: 0 },
    0,
    "revalidates",
    "revalidates at every ask: a redirect on the way is taken for granted for 0 s",
  ],
  [
    { fields: { "cache-control": "no-store" }, checksum: `sha256:${SHA256}` },
    0,
    "fresh",
    "fresh as long as it is kept: it has the SHA-256 that the task names",
  ],
  [
    { fields: { "cache-control": "no-store" }, cacheRules: { "files.example": "force" } },
    0,
    "fresh",
    "fresh as long as it is kept: a cache rule of the operator says force",
  ],
])("%o after %d s: %s, %s", (said, afterSeconds, use, why) => {
  expect(whyOf(said, afterSeconds)).toMatchObject({ use, why });
});

test("the machine-readable part names rule, header and time", () => {
  const fields = { "cache-control": "public, max-age=300" };

  expect(whyOf({ fields }, 1)).toMatchObject({
    ...{ rule: "max-age", header: "cache-control: public, max-age=300", forSeconds: 299 },
  });
});
