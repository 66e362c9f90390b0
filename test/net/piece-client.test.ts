// What becomes of a piece with good, lying, stalling, breaking and busy parents.

import { afterEach, describe, expect, test } from "bun:test";
import { digestNow } from "../../src/engine/bytes/digest.ts";
import { Pacer } from "../../src/engine/bytes/pacing.ts";
import { plainRow, type PieceRow } from "../../src/engine/core/manifest.ts";
import { PieceOutcome } from "../../src/engine/core/scheduler-events.ts";
import { PieceClient, type PieceRequest } from "../../src/net/piece/piece-client.ts";

const CONTENT = "cd".repeat(32);
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** A parent that answers as `answer` says; remembers the ranges it was asked for. */
function parent(
  answer: (range: { start: number; end: number }, call: number) => Response | Promise<Response>,
) {
  const ranges: string[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    development: false,
    fetch(request) {
      const header = request.headers.get("range")!;
      const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(header)!;
      ranges.push(`${start}-${end}`);
      return answer({ start: Number(start), end: Number(end) + 1 }, ranges.length);
    },
  });
  cleanups.push(() => server.stop(true));
  return { address: `127.0.0.1:${server.port}`, ranges };
}

/** A parent that speaks raw TCP: sends `text` to any request, then does `after`. */
function rawParent(text: string, after: (socket: Bun.Socket) => void) {
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket) {
        socket.write(text);
        after(socket);
      },
    },
  });
  cleanups.push(() => server.stop(true));
  return `127.0.0.1:${server.port}`;
}

function part(piece: Uint8Array, { start, end }: { start: number; end: number }): Response {
  return new Response(piece.slice(start, end), {
    status: 206,
    headers: {
      "content-range": `bytes ${start}-${Math.min(end, piece.length) - 1}/${piece.length}`,
    },
  });
}

function rowOf(piece: Uint8Array): PieceRow {
  const digest = digestNow("sha256", piece);
  return plainRow(piece.length, digest);
}

function pieceFixture(length = 100_000) {
  const piece = Buffer.alloc(length, crypto.getRandomValues(new Uint8Array(4096)));
  const stored: Buffer[] = [];
  const request = (address: string, overrides: Partial<PieceRequest> = {}): PieceRequest => ({
    address,
    contentId: CONTENT,
    index: 3,
    row: rowOf(piece),
    pacers: [],
    store: async (bytes) => void stored.push(Buffer.from(bytes)),
    ...overrides,
  });
  return { piece, stored, request, client: new PieceClient({ stallTimeoutMs: 200 }) };
}

const never = new AbortController().signal;

test("piece client stores a piece that matches its row", async () => {
  const { piece, stored, request, client } = pieceFixture();
  const { address } = parent((range) => part(piece, range));

  const result = await client.fetch(request(address), never);

  expect(result).toMatchObject({
    outcome: PieceOutcome.finished,
    bytes: piece.length,
    retryAfterMs: 0,
  });
  expect(stored).toEqual([piece]);
});

test("piece client asks for ranges of at most 1 MiB, and takes shorter parts than it asked for", async () => {
  const { piece, stored, request, client } = pieceFixture((2 << 20) + 7);
  const { address, ranges } = parent(({ start, end }, call) =>
    part(piece, { start, end: call === 2 ? start + 5 : end }),
  );

  const result = await client.fetch(request(address), never);

  expect(result.outcome).toBe(PieceOutcome.finished);
  expect(ranges).toEqual([
    `0-${(1 << 20) - 1}`,
    `${1 << 20}-${(2 << 20) - 1}`,
    `${(1 << 20) + 5}-${(2 << 20) + 4}`,
    `${(2 << 20) + 5}-${(2 << 20) + 6}`,
  ]);
  expect(stored[0]!.equals(piece)).toBe(true);
});

test("piece client asks a slow-paced piece in smaller ranges", async () => {
  const { piece, request, client } = pieceFixture(40_000);
  const { address, ranges } = parent((range) => part(piece, range));

  await client.fetch(request(address, { pacers: [new Pacer(160_000)] }), never);

  expect(ranges).toEqual(["0-19999", "20000-39999"]);
});

test("piece client reports a parent that flips a bit as corrupt and stores nothing", async () => {
  const { piece, stored, request, client } = pieceFixture();
  const flipped = Buffer.from(piece);
  flipped[99_999]! ^= 1;
  const { address } = parent((range) => part(flipped, range));

  const result = await client.fetch(request(address), never);

  expect(result.outcome).toBe(PieceOutcome.corrupt);
  expect(stored).toEqual([]);
});

test("piece client takes only the rest of a broken piece from the next parent", async () => {
  const { piece, stored, request, client } = pieceFixture((1 << 20) + 100);
  const breaking = parent((range, call) =>
    call === 1 ? part(piece, range) : new Response(null, { status: 500 }),
  );
  const whole = parent((range) => part(piece, range));

  const first = await client.fetch(request(breaking.address), never);
  const second = await client.fetch(request(whole.address), never);

  expect(first).toMatchObject({ outcome: PieceOutcome.broken, bytes: 1 << 20 });
  expect(second).toMatchObject({ outcome: PieceOutcome.finished, bytes: 100 });
  expect(whole.ranges).toEqual([`${1 << 20}-${(1 << 20) + 99}`]);
  expect(stored[0]!.equals(piece)).toBe(true);
});

test("piece client blames nobody when a piece from two senders is wrong, and starts over", async () => {
  const { piece, stored, request, client } = pieceFixture((1 << 20) + 100);
  const garbage = Buffer.alloc(piece.length, "x");
  const lying = parent((range, call) =>
    call === 1 ? part(garbage, range) : new Response(null, { status: 500 }),
  );
  const honest = parent((range) => part(piece, range));

  await client.fetch(request(lying.address), never);
  const mixed = await client.fetch(request(honest.address), never);
  const again = await client.fetch(request(honest.address), never);

  expect(mixed.outcome).toBe(PieceOutcome.cancelled);
  expect(again.outcome).toBe(PieceOutcome.finished);
  expect(stored).toHaveLength(1);
});

test("two parents may send one piece at once: neither spoils the other", async () => {
  const { piece, stored, request, client } = pieceFixture();
  const garbage = parent((range) => part(Buffer.alloc(piece.length), range));
  const honest = parent((range) => part(piece, range));

  const [bad, good] = await Promise.all([
    client.fetch(request(garbage.address), never),
    client.fetch(request(honest.address), never),
  ]);

  expect(bad.outcome).toBe(PieceOutcome.corrupt);
  expect(good.outcome).toBe(PieceOutcome.finished);
  expect(stored).toEqual([piece]);
});

test.each([
  [
    "another range than asked",
    206,
    { "content-range": "bytes 1-100000/100000" },
    PieceOutcome.broken,
  ],
  ["another piece length", 206, { "content-range": "bytes 0-99999/100001" }, PieceOutcome.broken],
  ["a range without Content-Range", 206, {}, PieceOutcome.broken],
  ["a redirect", 302, { location: "http://127.0.0.1:1/" }, PieceOutcome.broken],
  ["an error", 500, {}, PieceOutcome.broken],
  ["no such piece", 404, {}, PieceOutcome.gone],
  ["no such range", 416, {}, PieceOutcome.gone],
  ["full slots", 503, { "retry-after": "2" }, PieceOutcome.busy],
])("piece client maps %s (%d) to its outcome", async (_, status, headers, outcome) => {
  const { stored, request, client } = pieceFixture();
  const { address } = parent(
    () => new Response("x".repeat(100_000), { status, headers: headers as Record<string, string> }),
  );

  const result = await client.fetch(request(address), never);

  expect(result.outcome).toBe(outcome);
  expect(result.retryAfterMs).toBe(status === 503 ? 2_000 : 0);
  expect(stored).toEqual([]);
});

test("piece client gives up a parent that stalls, that breaks off, that is not HTTP or not there", async () => {
  const { request, client } = pieceFixture();
  const head =
    "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 0-99999/100000\r\ncontent-length: 100000\r\n\r\nabc";
  const parents = [
    rawParent(head, () => {}),
    rawParent("", () => {}),
    rawParent(head, (socket) => socket.end()),
    rawParent("SSH-2.0-OpenSSH_9.2\r\n", (socket) => socket.end()),
    rawParent(head.replace("content-length: 100000", "transfer-encoding: chunked"), () => {}),
    "127.0.0.1:1",
    "user@127.0.0.1:80/path?",
  ];

  const results = await Promise.all(
    parents.map((address, index) => client.fetch(request(address, { index }), never)),
  );

  expect(results.map((result) => result.outcome)).toEqual(parents.map(() => PieceOutcome.broken));
});

describe("T-30: a parent that sends", () => {
  const head = (bytes: number, of = 100_000): string =>
    `HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 0-${bytes - 1}/${of}\r\ncontent-length: ${bytes}\r\n\r\n`;

  test.each<[string, string]>([
    ["more than was asked", head(200_000, 200_000) + "x".repeat(200_000)],
    ["more than it says", head(100_000) + "x".repeat(100_001)],
    ["less than it says, and ends", `${head(100_000)}abc`],
    ["less than it says, and waits", `${head(100_000)}abc`],
    ["nothing, and ends", ""],
    ["nothing, and waits", ""],
    ["a piece of another length", head(50_000, 50_000) + "x".repeat(50_000)],
    ["nothing of a length", head(0)],
    ["a length beyond all numbers", head(100_000).replace("length: 1", "length: 9".repeat(20))],
    ["a head without end", `HTTP/1.1 206 Partial Content\r\n${"x: y\r\n".repeat(20_000)}`],
  ])("%s gets no piece stored and holds nothing for long", async (what, text) => {
    const { request, client, stored } = pieceFixture();
    const parent = rawParent(text, (socket) => {
      if (what.endsWith("and ends")) socket.end();
    });

    const { outcome, bytes } = await client.fetch(request(parent), never);

    expect(outcome === PieceOutcome.broken || outcome === PieceOutcome.corrupt).toBe(true);
    expect(bytes).toBeLessThanOrEqual(100_000);
    expect(stored).toEqual([]);
  });
});

test("piece client ends a cancelled fetch as cancelled, also while it waits for its rate", async () => {
  const { request, client } = pieceFixture();
  const address = rawParent("HTTP/1.1 206 Partial Content\r\n", () => {});
  const controller = new AbortController();

  const waits = client.fetch(request(address, { pacers: [new Pacer(1)] }), controller.signal);
  const receives = client.fetch(request(address, { index: 4 }), controller.signal);
  controller.abort();

  expect((await waits).outcome).toBe(PieceOutcome.cancelled);
  expect((await receives).outcome).toBe(PieceOutcome.cancelled);
  expect((await client.fetch(request(address), controller.signal)).outcome).toBe(
    PieceOutcome.cancelled,
  );
});

test("piece client passes on what the store throws", async () => {
  const { piece, request, client } = pieceFixture();
  const { address } = parent((range) => part(piece, range));
  const full = new Error("disk full");

  const fetching = client.fetch(request(address, { store: () => Promise.reject(full) }), never);

  await expect(fetching).rejects.toBe(full);
});

test("piece client keeps a connection for the next piece, and bears that a parent closed it", async () => {
  const { piece, request, client } = pieceFixture(1_000);
  let connections = 0;
  const sockets: Bun.Socket[] = [];
  const head = `HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 0-999/1000\r\ncontent-length: 1000\r\n\r\n`;
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        connections++;
        sockets.push(socket);
      },
      data: (socket) => void socket.write(Buffer.concat([Buffer.from(head), piece])),
    },
  });
  cleanups.push(() => server.stop(true));
  const address = `127.0.0.1:${server.port}`;

  const outcomes = [await client.fetch(request(address), never)];
  outcomes.push(await client.fetch(request(address, { index: 4 }), never));
  const connectionsForTwo = connections;
  sockets[0]!.end();
  outcomes.push(await client.fetch(request(address, { index: 5 }), never));

  expect(outcomes.map(({ outcome }) => outcome)).toEqual(outcomes.map(() => PieceOutcome.finished));
  expect(connectionsForTwo).toBe(1);
  expect(connections).toBe(2);
});

test("what a broken parent sent of one form of a piece is no beginning of another form", async () => {
  const { piece, stored, request, client } = pieceFixture();
  const shorter = Buffer.alloc(60_000, crypto.getRandomValues(new Uint8Array(512)));
  const breaking = parent(({ start, end }, call) => {
    if (call > 1) return new Response(null, { status: 500 });
    return part(shorter, { start, end: Math.min(end, 50_000) });
  });
  const good = parent((range) => part(piece, range));
  const first = await client.fetch(request(breaking.address, { row: rowOf(shorter) }), never);

  const result = await client.fetch(request(good.address), never);

  expect(first.outcome).toBe(PieceOutcome.broken);
  expect(result.outcome).toBe(PieceOutcome.finished);
  expect(stored.map((bytes) => bytes.equals(piece))).toEqual([true]);
});
