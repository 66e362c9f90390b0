// Bad sources that can still be read (fault table, F-19 to F-32): exactly the right bytes arrive.

import { afterEach, describe, expect, test } from "bun:test";
import { type BadSource, type Reply, startBadSource } from "../../fixtures/bad-source.ts";
import { memorySink, read, sampleBytes } from "./memory-sink.ts";

const sources: BadSource[] = [];
afterEach(async () => {
  for (const source of sources.splice(0)) await source.stop();
});
async function source(script: (reply: Reply, number: number) => unknown): Promise<BadSource> {
  const started = await startBadSource(script);
  sources.push(started);
  return started;
}

const small = sampleBytes(200_000);
const large = sampleBytes(6 << 20);
const old = "Mon, 01 Jan 2024 00:00:00 GMT";

interface SurvivedRow {
  fault: string;
  content: Uint8Array;
  script: (reply: Reply, number: number) => void;
}
const survived: SurvivedRow[] = [
  {
    fault: "F-20 a weak ETag with ranges: one connection, no mixing",
    content: large,
    script: (reply) => reply.serve(large, { etag: 'W/"v1"' }),
  },
  {
    fault: "F-20 no validator at all",
    content: large,
    script: (reply) => reply.head(200, { "content-length": large.length }).body(large),
  },
  {
    fault: "F-21 200 in place of the first 206",
    content: large,
    script: (reply) =>
      reply.head(200, { etag: '"v1"', "content-length": large.length }).body(large),
  },
  {
    fault: "F-21 200 in place of a later 206",
    content: large,
    script: (reply, number) =>
      number === 0
        ? reply.serve(large)
        : reply.head(200, { etag: '"v1"', "content-length": large.length }).body(large),
  },
  {
    fault: "F-22 a first 206 without Content-Range",
    content: small,
    script: (reply) =>
      reply.request.headers["range"] === undefined
        ? reply.serve(small)
        : reply.head(206, { "content-length": small.length }).body(small),
  },
  {
    fault: "F-22 a first 206 with another range than asked for",
    content: small,
    script: (reply) =>
      reply.request.headers["range"] === undefined
        ? reply.serve(small)
        : reply
            .head(206, { "content-length": 10, "content-range": `bytes 5-14/${small.length}` })
            .body(small.subarray(5, 15)),
  },
  {
    fault: "F-22 a first 206 in multipart",
    content: small,
    script: (reply) =>
      reply.request.headers["range"] === undefined
        ? reply.serve(small)
        : reply
            .head(206, { "content-length": 4, "content-type": "multipart/byteranges; boundary=x" })
            .body("--x--"),
  },
  {
    fault: "F-22 a first 206 that does not know the total",
    content: small,
    script: (reply) =>
      reply.request.headers["range"] === undefined
        ? reply.serve(small)
        : reply
            .head(206, { etag: '"v1"', "content-length": 9, "content-range": "bytes 0-8/*" })
            .body(small.subarray(0, 9)),
  },
  {
    fault: "F-23 Accept-Ranges: none",
    content: large,
    script: (reply) =>
      reply.head(200, { "accept-ranges": "none", "content-length": large.length }).body(large),
  },
  {
    fault: "F-24 chunked, without a length",
    content: large,
    script: (reply) => {
      reply.head(200, { "transfer-encoding": "chunked" });
      for (let at = 0; at < large.length; at += 700_001)
        reply.chunk(large.subarray(at, at + 700_001));
      reply.chunk("");
    },
  },
  {
    fault: "F-24 a body that ends with its connection",
    content: small,
    script: (reply) => reply.head(200, { connection: "close" }).body(small).close(),
  },
  {
    fault: "F-24 chunked breaks off, then is repeated under the same ETag",
    content: large,
    script: (reply, number) => {
      reply.head(200, { "transfer-encoding": "chunked", etag: '"v1"' });
      if (number === 0) reply.chunk(large.subarray(0, 3_000_000)).close();
      else reply.chunk(large).chunk("");
    },
  },
  {
    fault: "F-25 416 for the first range of an empty file",
    content: new Uint8Array(0),
    script: (reply) => reply.serve(new Uint8Array(0)),
  },
  {
    fault: "F-26 429 and 503 with Retry-After in seconds and as a date",
    content: small,
    script: (reply, number) => {
      if (number === 0) reply.head(429, { "retry-after": 1, "content-length": 0 });
      else if (number === 1) {
        const date = new Date(Date.now() + 500).toUTCString();
        reply.head(503, { "retry-after": date, "content-length": 0 });
      } else reply.serve(small);
    },
  },
  {
    fault: "F-26 503 for every connection but the first",
    content: large,
    script: (reply) =>
      // What one connection asks for next begins where its first range ended.
      /^bytes=(0|1048576)-/.test(reply.request.headers["range"]!) || sources[0]!.requests.length > 4
        ? reply.serve(large)
        : reply.head(503, { "content-length": 0 }),
  },
  {
    fault: "F-27 a burst of 500, 502 and 504",
    content: small,
    script: (reply, number) =>
      number < 3
        ? reply.head([500, 502, 504][number]!, { "content-length": 0 })
        : reply.serve(small),
  },
  {
    fault: "F-27 connections that are reset in the middle of every body",
    content: large,
    script: (reply) => {
      const { range } = reply.request.headers;
      const [first, last] = /(\d+)-(\d+)/.exec(range!)!.slice(1).map(Number) as [number, number];
      const end = Math.min(last, large.length - 1);
      reply.head(206, {
        etag: '"v1"',
        "content-length": end - first + 1,
        "content-range": `bytes ${first}-${end}/${large.length}`,
      });
      reply.body(large.subarray(first, Math.min(end + 1, first + 1_000_000)));
      // Long enough for the reader to take what was sent: bytes that it never saw are no progress.
      setTimeout(() => reply.close(), 50);
    },
  },
  {
    fault: "F-28 a redirect to a signed URL that expires in the middle",
    content: large,
    script: (reply, number) => {
      const signed = reply.request.path.startsWith("/signed");
      if (!signed) reply.head(302, { location: `/signed?at=${number}`, "content-length": 0 });
      else if (reply.request.path === "/signed?at=0" && number > 2) {
        reply.head(403, { "content-length": 0 });
      } else reply.serve(large);
    },
  },
  {
    fault: "F-28 such a redirect to a store that calls an expired signature a bad request",
    content: large,
    script: (reply, number) => {
      const signed = reply.request.path.startsWith("/signed");
      if (!signed) reply.head(302, { location: `/signed?at=${number}`, "content-length": 0 });
      else if (reply.request.path === "/signed?at=0" && number > 2) {
        reply.head(400, { "content-length": 0 });
      } else reply.serve(large);
    },
  },
  {
    fault: "F-29 a relative Location through 301, 303, 307 and 308",
    content: small,
    script: (reply) => {
      const hop = Number(/hop(\d)/.exec(reply.request.path)?.[1] ?? 0);
      if (hop === 4) return reply.serve(small);
      return reply.head([301, 303, 307, 308][hop]!, {
        location: `hop${hop + 1}`,
        "content-length": 0,
      });
    },
  },
  {
    fault: "F-30 a body longer than its Content-Length: the stated length counts",
    content: small.subarray(0, 150_000),
    script: (reply) => reply.head(200, { "content-length": 150_000 }).body(small),
  },
  {
    fault: "F-30 a range that ends before its Content-Length, then goes on",
    content: large,
    script: (reply, number) => {
      if (number !== 1) {
        reply.serve(large);
        return;
      }
      const first = Number(/\d+/.exec(reply.request.headers["range"]!)![0]);
      reply.head(206, {
        etag: '"v1"',
        "content-length": 500_000,
        "content-range": `bytes ${first}-${first + 499_999}/${large.length}`,
      });
      reply.body(large.subarray(first, first + 100_000)).close();
    },
  },
  {
    fault: "a 206 shorter than asked for is followed by the next range",
    content: small,
    script: (reply) => {
      const first = Number(/\d+/.exec(reply.request.headers["range"]!)![0]);
      const end = Math.min(first + 60_000, small.length);
      reply.head(206, {
        etag: '"v1"',
        "content-length": end - first,
        "content-range": `bytes ${first}-${end - 1}/${small.length}`,
      });
      reply.body(small.subarray(first, end));
    },
  },
  {
    fault: "Last-Modified as the only validator",
    content: large,
    script: (reply) => reply.serve(large, { etag: old, lastModified: old }),
  },
];

describe("a source that is bad and still readable", () => {
  test.each(survived)("$fault", async ({ content, script }) => {
    const { url } = await source(script);
    const sink = memorySink();

    const result = await read(url, sink);

    expect(result.length).toBe(content.length);
    expect(Buffer.compare(sink.bytes(), content)).toBe(0);
    const covered = [...sink.pieces.values()].reduce((sum, length) => sum + length, 0);
    expect(covered).toBe(content.length);
  });
});
