// Asking a source whether a version is still current, also where HEAD is refused or lies.

import { expect, test } from "bun:test";
import { probeSource } from "../../../src/net/source/probe-source.ts";
import { egressFixture } from "../../fixtures/egress-fixture.ts";
import { type Reply, startBadSource } from "../../fixtures/bad-source.ts";
import { sampleBytes } from "./memory-sink.ts";

const content = sampleBytes(300_000);
const old = "Mon, 01 Jan 2024 00:00:00 GMT";

async function probe(
  script: (reply: Reply) => unknown,
  revalidator = '"v1"',
): Promise<{ answer: unknown; fields?: Readonly<Record<string, string>>; requests: string[] }> {
  const source = await startBadSource(script);
  const answer = await probeSource(
    {
      url: source.url,
      headers: {},
      egress: egressFixture(),
      revalidator,
      timeoutMs: { connect: 1_000, firstByte: 1_000 },
      retry: { attemptsMax: 2, baseDelayMs: 1, delayMsMax: 1, retryAfterMsMax: 1 },
    },
    new AbortController().signal,
  ).catch((error: { code: string }) => error.code);
  await source.stop();
  const requests = source.requests.map(({ method }) => method);
  if (typeof answer === "string") return { answer, requests };
  const terms = answer.kind === "unchanged" ? { fields: answer.answer.fields } : {};
  return { answer: answer.kind, ...terms, requests };
}

const isHead = (reply: Reply): boolean => reply.request.method === "HEAD";

test.each([
  ["a 304 to HEAD", (reply: Reply) => reply.serve(content), "unchanged", ["HEAD"]],
  [
    "a 200 with the same ETag",
    (reply: Reply) => reply.head(200, { etag: '"v1"' }),
    "unchanged",
    ["HEAD"],
  ],
  [
    "another ETag",
    (reply: Reply) => reply.serve(content, { etag: '"v2"' }),
    "changed",
    ["HEAD", "GET"],
  ],
  [
    "no validator any more",
    (reply: Reply) => reply.head(200, { "content-length": 0 }),
    "changed",
    ["HEAD", "GET"],
  ],
  [
    "HEAD refused with 405 (F-32)",
    (reply: Reply) =>
      isHead(reply) ? reply.head(405, { "content-length": 0 }) : reply.serve(content),
    "unchanged",
    ["HEAD", "GET"],
  ],
  [
    "a HEAD that lies (F-32)",
    (reply: Reply) => (isHead(reply) ? reply.head(200, { etag: '"other"' }) : reply.serve(content)),
    "unchanged",
    ["HEAD", "GET"],
  ],
  [
    "a file that was emptied",
    (reply: Reply) => reply.serve(new Uint8Array(0), { etag: '"v2"' }),
    "changed",
    ["HEAD", "GET"],
  ],
  [
    "a file that is gone",
    (reply: Reply) => reply.head(404, { "content-length": 0 }),
    "source-not-found",
    ["HEAD", "GET"],
  ],
  [
    "a file that is forbidden now",
    (reply: Reply) => reply.head(403, { "content-length": 0 }),
    "source-forbidden",
    ["HEAD", "GET"],
  ],
])("%s", async (_, script, expected, methods) => {
  const { answer, requests } = await probe(script);

  expect(answer).toBe(expected);
  expect(requests).toEqual(methods);
});

test("Last-Modified serves as the validator where there is no ETag", async () => {
  const { answer } = await probe(
    (reply) =>
      reply.request.headers["if-modified-since"] === old
        ? reply.head(304)
        : reply.head(500, { "content-length": 0 }),
    old,
  );

  expect(answer).toBe("unchanged");
});

test("a weak ETag asks too, and its repetition in either strength says unchanged", async () => {
  const repeated = await probe((reply) => reply.head(200, { etag: '"v1"' }), 'W/"v1"');
  const asked = await probe(
    (reply) =>
      reply.request.headers["if-none-match"] === 'W/"v1"'
        ? reply.head(304)
        : reply.head(500, { "content-length": 0 }),
    'W/"v1"',
  );

  expect([repeated.answer, asked.answer]).toEqual(["unchanged", "unchanged"]);
});

test("an unchanged version brings the terms on which it may be used from now on", async () => {
  const { fields } = await probe((reply) => reply.head(304, { "Cache-Control": "max-age=60" }));

  expect(fields).toEqual({ "cache-control": "max-age=60" });
});

test("a source in trouble is not asked a second time in another way", async () => {
  const { answer, requests } = await probe((reply) => reply.head(503, { "content-length": 0 }));

  expect(answer).toBe("source-busy");
  // One per try.
  expect(requests).toEqual(["HEAD", "HEAD"]);
});
