// What the piece server gives, refuses and survives.

import { afterEach, expect, test } from "bun:test";
import fc from "fast-check";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { Pacer } from "../../src/engine/bytes/pacing.ts";
import { PieceSet } from "../../src/engine/core/piece-set.ts";
import { admissionBytes } from "../../src/engine/core/token-bucket.ts";
import { RANGE_BYTES_MAX } from "../../src/limits.ts";
import { PieceServer, type PieceServerOptions } from "../../src/net/piece/piece-server.ts";

const CONTENT = "ab".repeat(32);
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

interface FixtureOptions extends Partial<PieceServerOptions> {
  length?: number;
  pieceLength?: number;
  /** Verified pieces; all of them when left out. */
  have?: number[];
  /** By index: length and mark; all are plain when left out. */
  wireForms?: [number, number][];
}

async function serverFixture(options: FixtureOptions = {}) {
  const { length = 100_000, pieceLength = 32_768, have } = options;
  const folder = await mkdtemp(`${tmpdir()}/df-piece-server-`);
  const bytes = crypto.getRandomValues(new Uint8Array(Math.min(length, 65_536)));
  const data = Buffer.alloc(length, bytes);
  const path = `${folder}/data`;
  await writeFile(path, data);
  const server = new PieceServer({
    hostname: "127.0.0.1",
    port: 0,
    uploadSlots: 3,
    pacers: [],
    ...options,
  });
  const pieceCount = Math.ceil(length / pieceLength);
  const set = have === undefined ? PieceSet.full(pieceCount) : new PieceSet(pieceCount);
  for (const piece of have ?? []) set.add(piece);
  const layout = { length, pieceLength };
  const { wireForms } = options;
  const formed = wireForms === undefined ? {} : { wireForms: new Uint32Array(wireForms.flat()) };
  server.serve(CONTENT, { path, layout, words: set.words, pieceCount, ...formed });
  cleanups.push(async () => {
    await server.stop();
    await rm(folder, { recursive: true });
  });
  const get = (path: string, range?: string) =>
    fetch(
      `http://127.0.0.1:${server.port}${path}`,
      range === undefined ? {} : { headers: { range } },
    );
  return { server, data, set, path, get };
}

test("piece server gives a whole piece, also the short last one", async () => {
  const { get, data } = await serverFixture();

  const first = await get(`/v1/pieces/${CONTENT}/0`);
  const last = await get(`/v1/pieces/${CONTENT}/3`);

  expect(first.status).toBe(200);
  expect(Buffer.from(await first.arrayBuffer())).toEqual(data.subarray(0, 32_768));
  expect(last.headers.get("content-length")).toBe(String(100_000 - 3 * 32_768));
  expect(Buffer.from(await last.arrayBuffer())).toEqual(data.subarray(3 * 32_768));
});

test("piece server gives the bytes of a range within the piece", async () => {
  const { get, data } = await serverFixture();

  const answer = await get(`/v1/pieces/${CONTENT}/1`, "bytes=100-199");

  expect(answer.status).toBe(206);
  expect(answer.headers.get("content-range")).toBe("bytes 100-199/32768");
  expect(Buffer.from(await answer.arrayBuffer())).toEqual(data.subarray(32_868, 32_968));
});

test("piece server gives exactly the wire form of a piece, in ranges within it", async () => {
  const wireForms: [number, number][] = [1_000, 32_768, 20, 1_696].map((length) => [length, 1]);
  const { get, data } = await serverFixture({ wireForms });

  const whole = await get(`/v1/pieces/${CONTENT}/0`);
  const part = await get(`/v1/pieces/${CONTENT}/0`, "bytes=990-2000");
  const last = await get(`/v1/pieces/${CONTENT}/3`, "bytes=0-");
  const beyond = await get(`/v1/pieces/${CONTENT}/2`, "bytes=20-30");

  expect(whole.status).toBe(200);
  expect(Buffer.from(await whole.arrayBuffer())).toEqual(data.subarray(0, 1_000));
  expect(part.headers.get("content-range")).toBe("bytes 990-999/1000");
  expect(Buffer.from(await part.arrayBuffer())).toEqual(data.subarray(990, 1_000));
  expect(last.headers.get("content-range")).toBe("bytes 0-1695/1696");
  expect(Buffer.from(await last.arrayBuffer())).toEqual(data.subarray(98_304, 100_000));
  expect(beyond.status).toBe(416);
  expect(beyond.headers.get("content-range")).toBe("bytes */20");
});

test("piece server does not give a piece whose length it has not seen yet", async () => {
  const wireForms: [number, number][] = [0, 32_768, 32_768, 1_696].map((length) => [length, 1]);
  const { get } = await serverFixture({ wireForms });

  expect((await get(`/v1/pieces/${CONTENT}/0`)).status).toBe(404);
  expect((await get(`/v1/pieces/${CONTENT}/1`)).status).toBe(200);
});

test("piece server has a piece for who wants its form, and not for who wants another", async () => {
  const { server } = await serverFixture({ wireForms: [1, 2, 3, 4].map((mark) => [1_000, mark]) });
  const ask = (form: string) =>
    fetch(`http://127.0.0.1:${server.port}/v1/pieces/${CONTENT}/2`, {
      headers: { "DF-Form": form },
    });

  expect((await ask("00000003")).status).toBe(200);
  expect((await ask("00000004")).status).toBe(404);
  expect((await ask("nonsense")).status).toBe(404);
});

test("piece server answers a range longer than its largest part with the first part", async () => {
  const { get } = await serverFixture({ length: 4 << 20, pieceLength: 4 << 20 });

  const answer = await get(`/v1/pieces/${CONTENT}/0`, "bytes=5-");

  expect(answer.headers.get("content-range")).toBe(`bytes 5-${RANGE_BYTES_MAX + 4}/${4 << 20}`);
  expect((await answer.arrayBuffer()).byteLength).toBe(RANGE_BYTES_MAX);
});

test.each([
  ["bytes=32768-32769"],
  ["bytes=9-8"],
  ["bytes=-5"],
  ["bytes=0-1,3-4"],
  ["lines=0-1"],
  ["bytes=99999999999999999999-"],
])("piece server refuses the range %s with 416", async (range) => {
  const { get } = await serverFixture();

  const answer = await get(`/v1/pieces/${CONTENT}/0`, range);

  expect(answer.status).toBe(416);
  expect(answer.headers.get("content-range")).toBe("bytes */32768");
});

test("piece server never gives a piece that is not verified, and gives it once it is", async () => {
  const { get, set } = await serverFixture({ have: [0] });

  const before = await get(`/v1/pieces/${CONTENT}/1`);
  set.add(1);
  const after = await get(`/v1/pieces/${CONTENT}/1`);

  expect(before.status).toBe(404);
  expect(after.status).toBe(200);
});

test.each([
  [`/v1/pieces/${CONTENT}/4`],
  [`/v1/pieces/${CONTENT}/00`],
  [`/v1/pieces/${CONTENT}/-1`],
  [`/v1/pieces/${CONTENT}/99999999999999999999`],
  [`/v1/pieces/${"0".repeat(64)}/0`],
  [`/v1/pieces/../../etc/passwd`],
  [`/v1/have/${"0".repeat(64)}`],
  ["/"],
])("piece server answers %s with 404", async (path) => {
  const { get } = await serverFixture();

  expect((await get(path)).status).toBe(404);
});

test("piece server tells its bitmap", async () => {
  const { get, set } = await serverFixture({ have: [1, 3] });

  const bytes = new Uint8Array(await (await get(`/v1/have/${CONTENT}`)).arrayBuffer());

  expect(Buffer.from(bytes)).toEqual(Buffer.from(set.toBytes()));
});

test("piece server tells the rows that its host gives it, from where it is asked", async () => {
  const rows = async (contentId: string, from: number) =>
    contentId === CONTENT ? Uint8Array.of(from) : null;
  const { get } = await serverFixture({ rows });

  expect([...(await (await get(`/v1/rows/${CONTENT}?from=7`)).bytes())]).toEqual([7]);
  expect((await get(`/v1/rows/${"0".repeat(64)}?from=0`)).status).toBe(404);
  expect((await get(`/v1/rows/${CONTENT}`)).status).toBe(400);
  expect((await get(`/v1/rows/${CONTENT}?from=-1`)).status).toBe(400);
});

test("piece server refuses with 503 and Retry-After while its slots are taken, then serves again", async () => {
  const pacer = new Pacer(1);
  const { get, server } = await serverFixture({ uploadSlots: 1, pacers: [pacer] });

  const first = get(`/v1/pieces/${CONTENT}/0`);
  while (server.activeUploads === 0) await Bun.sleep(1);
  const refused = await get(`/v1/pieces/${CONTENT}/1`);
  pacer.setRate(null);

  expect(refused.status).toBe(503);
  expect(refused.headers.get("retry-after")).toBe("1");
  expect((await first).status).toBe(200);
  await (await first).arrayBuffer();
  expect((await get(`/v1/pieces/${CONTENT}/1`)).status).toBe(200);
});

test("piece server counts what it uploads, in parts as large as its rate admits at once", async () => {
  const { get, server } = await serverFixture({ pacers: [new Pacer(200_000)] });

  const part = await get(`/v1/pieces/${CONTENT}/0`, "bytes=0-");

  expect((await part.arrayBuffer()).byteLength).toBe(admissionBytes(200_000));
  expect(server.uploadedBytes).toBe(admissionBytes(200_000));
  expect(server.takeUsed()).toEqual([CONTENT]);
  expect(server.takeUsed()).toEqual([]);
});

test("piece server forgets a removed content, and answers 404 when its file is gone", async () => {
  const { get, server, path } = await serverFixture();

  await rm(path);
  const withoutFile = await get(`/v1/pieces/${CONTENT}/0`);
  server.remove(CONTENT);
  const removed = await get(`/v1/pieces/${CONTENT}/0`);

  expect(withoutFile.status).toBe(404);
  expect(removed.status).toBe(404);
});

test("piece server answers garbage with a 400-class status and lives", async () => {
  const { get, server } = await serverFixture();
  const answer = Promise.withResolvers<string>();

  await Bun.connect({
    hostname: "127.0.0.1",
    port: server.port,
    socket: {
      open: (socket) => void socket.write("\x16\x03\x01 garbage\r\n\r\n"),
      data: (_, bytes) => answer.resolve(bytes.toString()),
      close: () => answer.resolve(""),
    },
  });

  expect(await answer.promise).toMatch(/^(HTTP\/1\.1 4\d\d|$)/);
  const posted = await fetch(`http://127.0.0.1:${server.port}/v1/have/${CONTENT}`, {
    method: "POST",
  });
  expect(posted.status).toBe(405);
  expect((await get(`/v1/have/${CONTENT}`)).status).toBe(200);
});

test("T-32: whatever a child asks for, it is answered below 500 and nothing is counted as served", async () => {
  const { server } = await serverFixture({ rows: async () => null, signatures: async () => null });
  const path = fc.oneof(
    fc.webPath(),
    fc
      .tuple(
        fc.constantFrom("pieces", "have", "rows", "signatures", "address", "x"),
        fc.constantFrom("/", `/${CONTENT}`, `/${CONTENT}/`, `/${"0".repeat(64)}/`),
        fc.oneof(fc.constantFrom("", "99", "-1", "?from=", "?nonce=", "?"), fc.string()),
      )
      .map(([what, content, rest]) => `/v1/${what}${content}${encodeURI(rest.toWellFormed())}`),
  );
  const text = fc.string({ unit: "grapheme-ascii" });
  const names = fc.constantFrom("range", "df-ticket", "df-proof", "df-form", "host", "x");

  await fc.assert(
    fc.asyncProperty(path, names, text, fc.constantFrom("GET", "HEAD", "POST"), ask),
    { numRuns: 300 },
  );

  expect(server.uploadCount).toBe(0);
  async function ask(target: string, name: string, value: string, method: string): Promise<void> {
    const answer = await fetch(`http://127.0.0.1:${server.port}${target}`, {
      ...{ method, headers: { [name]: value } },
      ...(method === "POST" ? { body: value } : {}),
    });
    await answer.arrayBuffer();
    expect(answer.status).toBeLessThan(500);
  }
});

test("a piece that took another form while its request waited is not given as the former one", async () => {
  let askedCount = 0;
  const mayGo = Promise.withResolvers<void>();
  class HeldPacer extends Pacer {
    override async admit(): Promise<void> {
      askedCount++;
      await mayGo.promise;
    }
  }
  const wireForms = new Uint32Array([10_000, 0xaaaa_aaaa]);
  const { server, path } = await serverFixture({ pacers: [new HeldPacer(null)] });
  const layout = { length: 32_768, pieceLength: 32_768 };
  server.serve(CONTENT, { path, layout, words: new Uint32Array([1]), pieceCount: 1, wireForms });
  const get = (headers: Record<string, string>) =>
    fetch(`http://127.0.0.1:${server.port}/v1/pieces/${CONTENT}/0`, { headers });

  const answers = [get({ "df-form": "aaaaaaaa", range: "bytes=0-9999" }), get({})];
  while (askedCount < answers.length) await Bun.sleep(1);
  wireForms.set([12_000, 0xbbbb_bbbb]);
  mayGo.resolve();

  expect(await Promise.all(answers.map(async (answer) => (await answer).status))).toEqual([
    404, 404,
  ]);
});
