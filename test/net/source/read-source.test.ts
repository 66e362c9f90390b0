// Reading a source that behaves: what is asked for, how often, and that resumed reads take the rest.

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

describe("a source with ranges", () => {
  test.each([0, 1, 16_384, 65_536, 65_537, 1 << 20, (1 << 20) + 1, 9_000_001])(
    "gives %d bytes, each sent once",
    async (length) => {
      const content = sampleBytes(length);
      const { url, ...log } = await source((reply) => reply.serve(content));
      const sink = memorySink();

      const result = await read(url, sink);

      expect(result).toEqual({ length, bodyBytes: length });
      expect(sink.bytes()).toEqual(content);
      expect(sources[0]!.bodyBytes).toBe(length);
      expect(log.requests.every(({ method }) => method === "GET")).toBe(true);
    },
  );

  test("is read over several connections that take the next pieces in order", async () => {
    const content = sampleBytes(20 << 20);
    const { url, requests } = await source((reply) => reply.serve(content));

    await read(url, memorySink());

    const firsts = requests.map(({ headers }) => Number(/\d+/.exec(headers["range"]!)![0]));
    expect(firsts.toSorted((a, b) => a - b).slice(0, 4)).toEqual([0, 1 << 20, 2 << 20, 3 << 20]);
    expect(requests.slice(1).every(({ headers }) => headers["if-range"] === '"v1"')).toBe(true);
  });

  test("gives a resumed read only the pieces that are missing", async () => {
    const content = sampleBytes(1_000_000);
    const { url, requests } = await source((reply) => reply.serve(content));
    const sink = memorySink({ pieceLength: 65_536, have: [0, 1, 4] });
    const expected = { validator: '"v1"', length: 1_000_000 };

    await read(url, sink, { expected, startAt: 131_072, startBytes: 131_072, connections: 1 });

    expect([...sink.pieces.keys()].toSorted((a, b) => a - b)).toEqual([
      2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    ]);
    expect(requests[0]!.headers).toMatchObject({
      range: "bytes=131072-262143",
      "if-range": '"v1"',
    });
    expect(sources[0]!.bodyBytes).toBe(1_000_000 - 3 * 65_536);
    expect(sink.bytes().subarray(131_072, 262_144)).toEqual(content.subarray(131_072, 262_144));
  });

  test("is asked nothing more when every piece turns out to be there", async () => {
    const content = sampleBytes(100_000);
    const { url, requests } = await source((reply) => reply.serve(content));
    const sink = memorySink({ pieceLength: 65_536, have: [0, 1] });

    expect(await read(url, sink)).toEqual({ length: 100_000, bodyBytes: 0 });

    expect(requests.length).toBe(1);
  });
});

describe("a request", () => {
  test("carries the caller's fields and ours, never theirs in place of ours", async () => {
    const { url, requests } = await source((reply) => reply.serve(sampleBytes(10)));

    await read(url, memorySink(), {
      headers: {
        "X-Trace": "1",
        Range: "bytes=5-6",
        "Accept-Encoding": "gzip",
        "If-None-Match": "*",
      },
    });

    expect(requests[0]!.headers).toMatchObject({
      "x-trace": "1",
      range: "bytes=0-1048575",
      "accept-encoding": "identity",
      "user-agent": expect.stringMatching(/^df\//),
    });
    expect(requests[0]!.headers["if-none-match"]).toBeUndefined();
  });

  test("sends the user and password of the URL as a header, not in the request line", async () => {
    const { port, requests } = await source((reply) => reply.serve(sampleBytes(10)));

    await read(`http://me:p%40ss@127.0.0.1:${port}/file`, memorySink());

    expect(requests[0]!.path).toBe("/file");
    expect(requests[0]!.headers["authorization"]).toBe(`Basic ${btoa("me:p@ss")}`);
  });
});

test("the rate limit is asked for every byte before the next is read", async () => {
  const content = sampleBytes(3 << 20);
  const { url } = await source((reply) => reply.serve(content));
  let admitted = 0;

  await read(url, memorySink(), {
    admit: async (bytes) => {
      admitted += bytes;
    },
  });

  expect(admitted).toBe(content.length);
});

test("an abort ends the read with interrupted and nothing is written after it", async () => {
  const content = sampleBytes(8 << 20);
  const { url } = await source((reply) => reply.serve(content));
  const controller = new AbortController();
  const sink = memorySink();
  let writes = 0;
  const counting = {
    ...sink,
    write: async (offset: number, bytes: Uint8Array) => {
      writes++;
      controller.abort();
      await sink.write(offset, bytes);
    },
  };

  const failure = await read(url, counting, { signal: controller.signal }).catch(
    (error: unknown) => error,
  );

  const writesAtEnd = writes;
  expect(failure).toMatchObject({ code: "interrupted" });
  await Bun.sleep(20);
  expect(writes).toBe(writesAtEnd);
});

test("a sink that fails fails the read with its own error", async () => {
  const { url } = await source((reply) => reply.serve(sampleBytes(100)));
  const sink = { ...memorySink(), write: () => Promise.reject(new Error("disk on fire")) };

  const failure = await read(url, sink).catch((error: unknown) => error);

  expect(failure).toMatchObject({ message: expect.stringContaining("disk on fire") });
});
