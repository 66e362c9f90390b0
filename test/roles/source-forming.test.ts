// Pieces as the source worker makes them: compressed, sealed or plain, held in memory within bounds,
// and made again as their rows say.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomPayload } from "../../bench/harness/counting-source.ts";
import { digestNow } from "../../src/engine/bytes/digest.ts";
import { contentIdOf } from "../../src/engine/bytes/task-id.ts";
import { encodePiece } from "../../src/engine/bytes/wire-form.ts";
import type { PieceRow } from "../../src/engine/core/manifest.ts";
import { pieceLengthAt, pieceLengthFor, pieceOffset } from "../../src/engine/core/piece-layout.ts";
import type { SourceFacts } from "../../src/net/source/source-read.ts";
import { createSourceService, type SourceService } from "../../src/roles/worker/source-service.ts";
import { openStore } from "../../src/store/open-store.ts";
import type { PieceStore, StoredContent } from "../../src/store/piece-store.ts";
import { type BadSource, type Reply, startBadSource } from "../fixtures/bad-source.ts";
import { LOOPBACK_EGRESS } from "../fixtures/egress-fixture.ts";

const KEY = digestNow("sha256", "a content key");
const NO_LIMITS = {
  sourceRateBytesPerSec: null,
  diskRateBytesPerSec: null,
  uploadRateBytesPerSec: null,
};

let dir: string;
let store: PieceStore;
let sources: SourceService;
const started: BadSource[] = [];
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "df-source-forming-"));
  store = await openStore({ dir: join(dir, "store"), quotaBytes: null, onWarning: () => {} });
  sources = createSourceService(NO_LIMITS, LOOPBACK_EGRESS);
});
afterEach(async () => {
  await Promise.all(started.splice(0).map((source) => source.stop()));
});
afterAll(async () => {
  sources.stop();
  await store.close();
  await rm(dir, { recursive: true });
});

/** Numbers and words: shrinks to less than half, and no two pieces are alike. */
function text(length: number): Uint8Array {
  const lines: string[] = [];
  for (let size = 0, line = 0; size < length; line++) {
    lines.push(`line ${line}: ${(line * 7919) % 104_729} pieces for ${line % 13} peers\n`);
    size += lines.at(-1)!.length;
  }
  return new TextEncoder().encode(lines.join("")).subarray(0, length);
}

async function source(script: (reply: Reply, number: number) => unknown): Promise<BadSource> {
  const made = await startBadSource(script);
  started.push(made);
  return made;
}

let taskNumber = 0;
async function contentFor(
  { length, validator, lastModified, answer }: SourceFacts,
  key: Uint8Array | null = null,
): Promise<StoredContent> {
  const taskId = new Bun.CryptoHasher("sha256").update(`forming ${taskNumber++}`).digest("hex");
  const contentId = contentIdOf(taskId, validator ?? "", length);
  const layout = { length, pieceLength: pieceLengthFor(length) };
  const facts = { contentId, taskId, url: "", layout, validator, lastModified, answer };
  const content = await store.create(facts);
  if (key !== null) content.unlock(key);
  return content;
}

interface ReadOverrides {
  key?: Uint8Array;
  compresses?: boolean;
  content?: StoredContent;
  pieceStored?: (index: number, row: PieceRow, content: StoredContent) => void;
  signal?: AbortSignal;
}

/** Reads a source as a supernode does; resolves with what is in the store then. */
async function read(from: BadSource, overrides: ReadOverrides = {}) {
  let content = overrides.content;
  const { signal = new AbortController().signal, compresses = true } = overrides;
  const end = await sources.read(
    {
      request: {
        url: from.url,
        headers: {},
        expected: null,
        connections: 4,
        timeoutMs: { connect: 1_000, firstByte: 5_000 },
      },
      wantsSha256: true,
      compresses,
      opened: async (facts) => (content ??= await contentFor(facts, overrides.key)),
      pieceStored: (index, row) => overrides.pieceStored?.(index, row, content!),
    },
    signal,
  );
  if (content!.manifest.layout.length === null) content!.setLength(end.length);
  return { content: content!, end };
}

function rowsOf({ manifest, have }: StoredContent): PieceRow[] {
  return [...have].map((index) => manifest.row(index)!);
}

function wireBytesOf(content: StoredContent): number {
  return rowsOf(content).reduce((sum, { wireLength }) => sum + wireLength, 0);
}

/** Whether the data file holds exactly what each row says. */
async function expectRightOnDisk(content: StoredContent): Promise<void> {
  const onDisk = await Bun.file(content.dataPath).bytes();
  for (const index of content.have) {
    const { wireLength, wireSha256 } = content.manifest.row(index)!;
    const from = pieceOffset(content.manifest.layout, index);
    expect(digestNow("sha256", onDisk.subarray(from, from + wireLength))).toEqual(wireSha256);
  }
}

test("what shrinks is stored compressed, and reads back as the source sent it", async () => {
  const bytes = text(6_000_000);

  const { content, end } = await read(await source((reply) => reply.serve(bytes)));

  expect(end).toMatchObject({ length: bytes.length, sha256: Bun.SHA256.hash(bytes, "hex") });
  expect(end.md5).toBe(Bun.MD5.hash(bytes, "hex"));
  expect(rowsOf(content).every(({ form }) => form === "compressed")).toBe(true);
  expect(wireBytesOf(content)).toBeLessThan(0.5 * bytes.length);
  expect(await content.read(0, bytes.length)).toEqual(bytes);
  await expectRightOnDisk(content);
});

test("what does not shrink is stored plain, and so is everything when compression is off", async () => {
  const random = randomPayload(6_000_000);
  const words = text(2_000_000);

  const looked = await read(await source((reply) => reply.serve(random)));
  const off = await read(await source((reply) => reply.serve(words)), { compresses: false });

  expect(rowsOf(looked.content).every(({ form }) => form === "plain")).toBe(true);
  expect(rowsOf(off.content).every(({ form }) => form === "plain")).toBe(true);
  expect(await Bun.file(looked.content.dataPath).bytes()).toEqual(new Uint8Array(random));
  expect(await Bun.file(off.content.dataPath).bytes()).toEqual(new Uint8Array(words));
});

test("a content of both keeps each piece in the form that suits it", async () => {
  const bytes = new Uint8Array(Buffer.concat([text(3_000_000), randomPayload(3_000_000)]));

  const { content, end } = await read(await source((reply) => reply.serve(bytes)));

  const forms = new Set(rowsOf(content).map(({ form }) => form));
  expect([...forms].toSorted()).toEqual(["compressed", "plain"]);
  expect(end.md5).toBe(Bun.MD5.hash(bytes, "hex"));
  expect(await content.read(0, bytes.length)).toEqual(bytes);
});

test("a content without a length grows in its forms, to its last short piece", async () => {
  const bytes = text(3_300_000);
  const growing = await source((reply) => {
    reply.head(200, { "transfer-encoding": "chunked", etag: '"grows"' });
    for (let at = 0; at < bytes.length; at += 300_000)
      reply.chunk(bytes.subarray(at, at + 300_000));
    reply.chunk("");
  });

  const { content, end } = await read(growing);

  expect(end).toMatchObject({ length: bytes.length, md5: Bun.MD5.hash(bytes, "hex") });
  expect(rowsOf(content).map(({ form }) => form)).toEqual(Array(4).fill("compressed"));
  expect(await content.read(0, bytes.length)).toEqual(bytes);
});

test("of a sealed content no plain byte reaches the disk, at any moment of the read", async () => {
  const bytes = text(3_000_000);
  const canary = "pieces for";
  const seen: boolean[] = [];

  const { content, end } = await read(await source((reply) => reply.serve(bytes)), {
    key: KEY,
    compresses: false,
    pieceStored: (_, __, { dataPath }) => {
      const onDisk = readFileSync(dataPath);
      seen.push(onDisk.includes(canary));
    },
  });

  expect(seen.length).toBeGreaterThan(100);
  expect(seen).not.toContain(true);
  expect(rowsOf(content).every(({ form }) => form === "sealed")).toBe(true);
  expect(end.md5).toBe(Bun.MD5.hash(bytes, "hex"));
  expect(await content.read(0, bytes.length)).toEqual(bytes);
});

test("T-23: a sealed content is compressed first, and every nonce is its own", async () => {
  const bytes = text(3_000_000);

  const { content } = await read(await source((reply) => reply.serve(bytes)), { key: KEY });

  const rows = rowsOf(content);
  expect(rows.every(({ form }) => form === "compressed-sealed")).toBe(true);
  expect(new Set(rows.map(({ seal }) => seal!.nonce.toHex())).size).toBe(rows.length);
  expect(wireBytesOf(content)).toBeLessThan(0.5 * bytes.length);
  await expectRightOnDisk(content);
});

test.each([
  ["compressed", null],
  ["sealed", KEY],
])("a read that goes on after a restart keeps the rows of %s pieces", async (_, key) => {
  const bytes = text(4_000_000);
  const good = await source((reply) => reply.serve(bytes));
  const stop = new AbortController();
  let content: StoredContent | undefined;
  await read(good, {
    ...(key === null ? {} : { key }),
    signal: stop.signal,
    pieceStored: (_index, _row, filled) => {
      content = filled;
      if (filled.have.count === 40) stop.abort();
    },
  }).catch(() => {});
  const before = new Map([...content!.have].map((index) => [index, content!.manifest.row(index)]));
  // Its row stays known, as after an adopted manifest.
  const lost = [...content!.have][7]!;
  content!.dropPiece(lost);

  const { end } = await read(good, { content: content! });

  expect(before.size).toBeGreaterThanOrEqual(40);
  expect(before.size).toBeLessThan(content!.have.size);
  for (const [index, row] of before) expect(content!.manifest.row(index)).toEqual(row);
  expect(content!.have.isFull).toBe(true);
  expect(end.md5).toBe(Bun.MD5.hash(bytes, "hex"));
  expect(await content!.read(0, bytes.length)).toEqual(bytes);
  await expectRightOnDisk(content!);
});

test("pieces that come out otherwise than their rows say end the read: the source changed", async () => {
  const bytes = text(2_000_000);
  const content = await contentFor({ length: bytes.length, validator: '"v1"' } as SourceFacts);
  const { facts } = content;
  const { row } = await encodePiece(text(pieceLengthAt(facts.layout, 0)).toReversed(), {
    ...{ contentId: facts.contentId, index: 3, key: null, zstdLevel: 1 },
  });
  content.addRow(3, row);

  const failure = await read(await source((reply) => reply.serve(bytes)), { content }).catch(
    (error: unknown) => error,
  );

  expect(failure).toMatchObject({ code: "source-changed" });
  expect(content.have.has(3)).toBe(false);
});

test("a part is made as its rows say, and plain where none is known", async () => {
  const bytes = text(2_000_000);
  const good = await source((reply) => reply.serve(bytes));
  const content = await contentFor({ length: bytes.length, validator: '"v1"' } as SourceFacts);
  const { layout, contentId } = content.facts;
  const from = pieceOffset(layout, 5);
  const piece = bytes.subarray(from, from + layout.pieceLength);
  const { row } = await encodePiece(piece, { contentId, index: 5, key: null, zstdLevel: 3 });
  content.addRow(5, row);
  const request = {
    url: good.url,
    headers: {},
    expected: null,
    startAt: from,
    startBytes: 2 * layout.pieceLength,
    connections: 1,
    timeoutMs: { connect: 1_000, firstByte: 1_000 },
  };

  await sources.readPart(
    { request, opened: async () => content, pieceStored: () => {} },
    { piece: 5, count: 2 },
    new AbortController().signal,
  );

  expect([...content.have]).toEqual([5, 6]);
  expect(content.manifest.row(6)!.form).toBe("plain");
  expect(await content.read(from, 2 * layout.pieceLength)).toEqual(
    bytes.subarray(from, from + 2 * layout.pieceLength),
  );
});
