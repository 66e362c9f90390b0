// Asking a source whether a version is still current, also where HEAD is refused or lies.

import { expect, test } from "bun:test";
import { probeSource } from "../../../src/net/source/probe-source.ts";
import { type Reply, startBadSource } from "../../fixtures/bad-source.ts";
import { sampleBytes } from "./memory-sink.ts";

const content = sampleBytes(300_000);
const old = "Mon, 01 Jan 2024 00:00:00 GMT";

async function probe(
  script: (reply: Reply) => unknown,
  validator = '"v1"',
): Promise<{ answer: unknown; requests: string[] }> {
  const source = await startBadSource(script);
  const answer = await probeSource(
    {
      url: source.url,
      headers: {},
      validator,
      timeoutMs: { connect: 1_000, firstByte: 1_000 },
      retry: { attemptsMax: 2, baseDelayMs: 1, delayMsMax: 1, retryAfterMsMax: 1 },
    },
    new AbortController().signal,
  ).catch((error: { code: string }) => error.code);
  await source.stop();
  return { answer, requests: source.requests.map(({ method }) => method) };
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
