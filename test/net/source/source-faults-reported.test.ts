// Bad sources that cannot be read (fault table, F-19 to F-33): one clear error, no needless tries.

import { networkInterfaces } from "node:os";
import { afterEach, describe, expect, test } from "bun:test";
import type { DfError } from "../../../src/errors.ts";
import { egressFixture } from "../../fixtures/egress-fixture.ts";
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
function failureOf(promise: Promise<unknown>): Promise<DfError> {
  return promise.then(
    () => Promise.reject(new Error("expected a failure")),
    (error: DfError) => error,
  );
}

const small = sampleBytes(200_000);
const large = sampleBytes(6 << 20);

interface FailedRow {
  fault: string;
  code: string;
  script: (reply: Reply, number: number) => void;
  /** Requests at most: what cannot be mended is not tried again. */
  requestsMax?: number;
}
const failed: FailedRow[] = [
  {
    fault: "F-19 another ETag on a later range",
    code: "source-changed",
    script: (reply, number) => reply.serve(large, { etag: number === 0 ? '"v1"' : '"v2"' }),
  },
  {
    fault: "F-19 another length under the same ETag",
    code: "source-changed",
    script: (reply, number) => reply.serve(number === 0 ? large : large.subarray(0, 5 << 20)),
  },
  {
    fault: "F-22 a later 206 with another Content-Range",
    code: "protocol",
    script: (reply, number) =>
      number === 0
        ? reply.serve(large)
        : reply
            .head(206, {
              etag: '"v1"',
              "content-range": `bytes 7-8/${large.length}`,
              "content-length": 2,
            })
            .body("xx"),
  },
  {
    fault: "F-22 a later 206 without Content-Range",
    code: "protocol",
    script: (reply, number) =>
      number === 0
        ? reply.serve(large)
        : reply.head(206, { etag: '"v1"', "content-length": 2 }).body("xx"),
  },
  {
    fault: "F-22 a later 206 without the validator",
    code: "protocol",
    script: (reply, number) => {
      if (number === 0) {
        reply.serve(large);
        return;
      }
      const first = /\d+/.exec(reply.request.headers["range"]!)![0];
      reply.head(206, {
        "content-range": `bytes ${first}-${first}/${large.length}`,
        "content-length": 1,
      });
      reply.body("x");
    },
  },
  {
    fault: "F-22 206 for a request without Range",
    code: "protocol",
    script: (reply) => reply.head(206, { "content-length": 2 }).body("xx"),
  },
  {
    fault: "F-24 chunked that always breaks off, without a validator",
    code: "network",
    script: (reply) =>
      reply
        .head(200, { "transfer-encoding": "chunked" })
        .chunk(sampleBytes(2 << 20))
        .close(),
    requestsMax: 1,
  },
  {
    fault: "F-25 416 in the middle",
    code: "protocol",
    script: (reply, number) =>
      number === 0 ? reply.serve(large) : reply.head(416, { "content-length": 0 }),
  },
  {
    fault: "F-25 416 in the middle because the file shrank",
    code: "source-changed",
    script: (reply, number) =>
      number === 0
        ? reply.serve(large)
        : reply.head(416, { "content-range": "bytes */5", "content-length": 0 }),
  },
  {
    fault: "F-26 503 without end",
    code: "source-busy",
    script: (reply) => reply.head(503, { "retry-after": 3600, "content-length": 0 }),
    requestsMax: 4,
  },
  {
    fault: "F-27 500 without end",
    code: "source-error",
    script: (reply) => reply.head(500, { "content-length": 0 }),
    requestsMax: 4,
  },
  {
    fault: "F-27 connections that are closed without an answer",
    code: "network",
    script: (reply) => reply.close(),
    requestsMax: 4,
  },
  {
    fault: "F-28 a redirect to a place that always refuses",
    code: "source-forbidden",
    script: (reply) =>
      reply.request.path === "/no"
        ? reply.head(403, { "content-length": 0 })
        : reply.head(302, { location: "/no", "content-length": 0 }),
    requestsMax: 2,
  },
  {
    fault: "F-29 a redirect loop",
    code: "protocol",
    script: (reply) => reply.head(302, { location: "/file", "content-length": 0 }),
    requestsMax: 11,
  },
  {
    fault: "F-29 a redirect without Location",
    code: "protocol",
    script: (reply) => reply.head(302, { "content-length": 0 }),
    requestsMax: 1,
  },
  {
    fault: "F-29 a redirect to a file",
    code: "protocol",
    script: (reply) => reply.head(302, { location: "file:///etc/passwd", "content-length": 0 }),
    requestsMax: 1,
  },
  {
    fault: "F-30 a body that is always shorter than its Content-Length",
    code: "network",
    script: (reply) => reply.head(200, { "content-length": 100_000 }).body("short").close(),
  },
  {
    fault: "F-33 401 in the middle",
    code: "source-unauthorized",
    script: (reply, number) =>
      number === 0 ? reply.serve(large) : reply.head(401, { "content-length": 0 }),
  },
  {
    fault: "401",
    code: "source-unauthorized",
    script: (reply) => reply.head(401, { "content-length": 0 }),
    requestsMax: 1,
  },
  {
    fault: "403",
    code: "source-forbidden",
    script: (reply) => reply.head(403, { "content-length": 0 }),
    requestsMax: 1,
  },
  {
    fault: "404",
    code: "source-not-found",
    script: (reply) => reply.head(404, { "content-length": 0 }),
    requestsMax: 1,
  },
  {
    fault: "418",
    code: "source-error",
    script: (reply) => reply.head(418, { "content-length": 0 }),
    requestsMax: 1,
  },
  { fault: "204", code: "protocol", script: (reply) => reply.head(204), requestsMax: 1 },
  {
    fault: "no HTTP at all",
    code: "protocol",
    script: (reply) => reply.body("SSH-2.0-OpenSSH\r\n\r\n"),
    requestsMax: 1,
  },
  {
    fault: "two different Content-Lengths",
    code: "protocol",
    script: (reply) =>
      reply.body("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    requestsMax: 1,
  },
];

describe("a source that cannot be read", () => {
  test.each(failed)("$fault → $code", async ({ code, script, requestsMax }) => {
    const { url, requests } = await source(script);

    const failure = await failureOf(read(url, memorySink()));

    expect(failure.message).toStartWith("read http://127.0.0.1:");
    expect(failure.code).toBe(code as never);
    if (requestsMax !== undefined) expect(requests.length).toBeLessThanOrEqual(requestsMax);
  });

  test("a tar pit before the first byte → timeout", async () => {
    const { url } = await source(() => {});
    const timeoutMs = { connect: 1_000, firstByte: 30 };

    expect((await failureOf(read(url, memorySink(), { timeoutMs }))).code).toBe("timeout");
  });

  test("a body that drips below 1 KiB/s → timeout", async () => {
    const { url } = await source((reply) => {
      reply.head(200, { "content-length": 10_000 });
      const timer = setInterval(() => reply.body("x"), 5);
      reply.socket.on("close", () => clearInterval(timer));
    });
    const timeoutMs = { connect: 1_000, firstByte: 1_000, stall: 100 };

    expect((await failureOf(read(url, memorySink(), { timeoutMs }))).code).toBe("timeout");
  });

  test("F-27 a refused connection → network", async () => {
    const gone = await startBadSource(() => {});
    await gone.stop();

    expect(await failureOf(read(gone.url, memorySink()))).toMatchObject({ code: "network" });
  });

  test("F-27 a name that does not exist → network, at once", async () => {
    const failure = await failureOf(read("http://no-such-host.invalid/f", memorySink()));

    expect(failure).toMatchObject({ code: "network", hint: "check the host name" });
  });

  test("a certificate that nobody vouches for → tls", async () => {
    const { cert, key } = await import("./test-certificate.ts");
    const server = Bun.serve({ port: 0, tls: { cert, key }, fetch: () => new Response("x") });

    const failure = await failureOf(read(`https://localhost:${server.port}/`, memorySink()));

    expect(failure.code).toBe("tls");
    expect(failure.hint).toContain("certificate");
    await server.stop(true);
  });

  // It said WRONG_VERSION_NUMBER, and that a certificate was at fault.
  test("https:// where plain HTTP answers → tls, which says so", async () => {
    const server = Bun.serve({ port: 0, fetch: () => new Response("x") });

    const failure = await failureOf(read(`https://localhost:${server.port}/`, memorySink()));

    expect(failure.code).toBe("tls");
    expect(failure.message).toContain("what answers there does not speak TLS");
    expect(failure.hint).toContain("--registry-upstream HOST=http://HOST");
    await server.stop(true);
  });
});

describe("a resumed read", () => {
  const expected = { validator: '"v1"', length: small.length };

  test("F-19 finds another version → source-changed, nothing opened", async () => {
    const { url } = await source((reply) => reply.serve(small, { etag: '"v2"' }));
    const sink = memorySink({ have: [0] });

    const failure = await failureOf(read(url, sink, { expected, startAt: 65_536 }));

    expect(failure.code).toBe("source-changed");
    expect(sink.facts).toBeNull();
  });

  test("F-25 416 because the file shrank → source-changed", async () => {
    const { url } = await source((reply) => reply.serve(small.subarray(0, 100)));

    const failure = await failureOf(read(url, memorySink(), { expected, startAt: 65_536 }));

    expect(failure.code).toBe("source-changed");
  });

  test("F-23 takes the same version from a source that lost its ranges", async () => {
    const { url } = await source((reply) =>
      reply.head(200, { etag: '"v1"', "content-length": small.length }).body(small),
    );
    const sink = memorySink({ pieceLength: 65_536, have: [0] });

    await read(url, sink, { expected, startAt: 65_536 });

    expect([...sink.pieces.keys()]).toEqual([1, 2, 3]);
  });
});

test("F-31 an encoding that was not asked for is kept as sent and named", async () => {
  const packed = Bun.gzipSync(small.slice());
  const { url } = await source((reply) =>
    reply.head(200, { "content-encoding": "gzip", "content-length": packed.length }).body(packed),
  );
  const sink = memorySink();

  await read(url, sink);

  expect(sink.bytes()).toEqual(packed);
  expect(sink.facts!.contentEncoding).toBe("gzip");
});

test("F-29 credentials and other fields stay behind when a redirect leads to another origin", async () => {
  const target = await source((reply) => reply.serve(small));
  const first = await source((reply) =>
    reply.head(302, { location: target.url, "content-length": 0 }),
  );

  await read(first.url, memorySink(), {
    headers: {
      Authorization: "Bearer s3cret",
      "X-Api-Key": "k",
      Cookie: "a=b",
      "User-Agent": "me",
    },
  });

  expect(first.requests[0]!.headers["authorization"]).toBe("Bearer s3cret");
  expect(target.requests[0]!.headers).not.toContainAnyKeys([
    "authorization",
    "x-api-key",
    "cookie",
  ]);
  expect(target.requests[0]!.headers["user-agent"]).toBe("me");
});

// An address of this machine that is no loopback one; where there is none there is nothing to show.
const outer = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === "IPv4" && !internal)?.address;

if (outer === undefined) console.warn("SKIPPED: a source beyond loopback needs a network address");
test.skipIf(outer === undefined)(
  "F-29 a redirect from elsewhere to the reader's own machine is refused and not followed",
  async () => {
    const inner = await source((reply) => reply.serve(small));
    const server = Bun.serve({
      hostname: outer!,
      port: 0,
      fetch: () => new Response(null, { status: 302, headers: { location: inner.url } }),
    });

    const failure = await failureOf(
      read(`http://${outer}:${server.port}/file`, memorySink(), {
        egress: egressFixture({ reach: "own" }),
      }),
    );
    await server.stop(true);

    expect(failure.code).toBe("denied");
    expect(inner.requests).toEqual([]);
  },
);

test("an error never shows a query value", async () => {
  const { url } = await source((reply) => reply.head(404, { "content-length": 0 }));

  const failure = await failureOf(read(`${url}?X-Signature=s3cret`, memorySink()));

  expect(failure.message).not.toContain("s3cret");
});
