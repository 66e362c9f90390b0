// The source worker behind its service: what ends a read, and that one worker serves many at once.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { LOOPBACK_EGRESS } from "../fixtures/egress-fixture.ts";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { contentIdOf } from "../../src/engine/bytes/task-id.ts";
import { pieceLengthFor } from "../../src/engine/core/piece-layout.ts";
import { DfError } from "../../src/errors.ts";
import type { SourceFacts } from "../../src/net/source/source-read.ts";
import { createSourceService, type SourceService } from "../../src/roles/worker/source-service.ts";
import { openStore } from "../../src/store/open-store.ts";
import type { PieceStore, StoredContent } from "../../src/store/piece-store.ts";
import { type BadSource, startBadSource } from "../fixtures/bad-source.ts";
import { sampleBytes } from "../net/source/memory-sink.ts";

const content = sampleBytes(2_000_000);
let dir: string;
let store: PieceStore;
let sources: SourceService;
let good: BadSource;
let endless: BadSource;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "df-source-service-"));
  store = await openStore({ dir: join(dir, "store"), quotaBytes: null, onWarning: () => {} });
  sources = createSourceService(
    { sourceRateBytesPerSec: null, diskRateBytesPerSec: null, uploadRateBytesPerSec: null },
    LOOPBACK_EGRESS,
  );
  good = await startBadSource((reply) => reply.serve(content));
  endless = await startBadSource((reply) => {
    reply.head(200, { "content-length": 1_000_000 }).body(content.subarray(0, 100_000));
  });
});
afterAll(async () => {
  sources.stop();
  await Promise.all([store.close(), good.stop(), endless.stop()]);
  await rm(dir, { recursive: true });
});

let taskNumber = 0;
function contentFor(facts: SourceFacts): Promise<StoredContent> {
  const { length, validator, lastModified, answer } = facts;
  const taskId = new Bun.CryptoHasher("sha256").update(`${taskNumber++}`).digest("hex");
  const contentId = contentIdOf(taskId, validator ?? "", length);
  const layout = { length, pieceLength: pieceLengthFor(length) };
  return store.create({ contentId, taskId, url: "", layout, validator, lastModified, answer });
}

function read(
  source: BadSource,
  overrides: { opened?: typeof contentFor; pieceStored?: () => void } = {},
  signal = new AbortController().signal,
) {
  const request = {
    url: source.url,
    headers: {},
    expected: null,
    connections: 4,
    timeoutMs: { connect: 1_000, firstByte: 1_000 },
  };
  return sources.read(
    { request, wantsSha256: true, opened: contentFor, pieceStored: () => {}, ...overrides },
    signal,
  );
}

test("many reads at once fill their own contents and tell both digests", async () => {
  const contents: StoredContent[] = [];
  const opened = async (facts: SourceFacts): Promise<StoredContent> => {
    const made = await contentFor(facts);
    contents.push(made);
    return made;
  };

  const ends = await Promise.all(Array.from({ length: 5 }, () => read(good, { opened })));

  for (const end of ends) {
    expect(end).toMatchObject({
      length: content.length,
      bodyBytes: content.length,
      md5: Bun.MD5.hash(content, "hex"),
      sha256: Bun.SHA256.hash(content, "hex"),
    });
  }
  for (const { have } of contents) expect(have.isFull).toBe(true);
});

test("an abort ends a read that waits for its source", async () => {
  const controller = new AbortController();
  const started = Promise.withResolvers<void>();
  const reading = read(endless, { pieceStored: () => started.resolve() }, controller.signal);

  await started.promise;
  controller.abort();

  expect(await reading.catch((error: unknown) => error)).toMatchObject({ code: "interrupted" });
});

test("a content that cannot be made ends the read with that error", async () => {
  const opened = () => Promise.reject(new DfError("no-space", "make room: the disk is full"));

  const failure = await read(good, { opened }).catch((error: unknown) => error);

  expect(failure).toMatchObject({ code: "no-space" });
});

test("a worker that was stopped is started again by the next read", async () => {
  sources.stop();

  expect((await read(good)).length).toBe(content.length);
});

test("a part is read by ranges alone, and a source that gives none is left", async () => {
  const ranged = await startBadSource((reply) => reply.serve(content));
  const whole = await startBadSource((reply) => {
    reply.head(200, { "content-length": content.length, etag: '"1"' }).body(content);
  });
  const facts = { length: content.length, validator: '"part"', lastModified: null };
  const made = await contentFor(facts as SourceFacts);
  const request = {
    url: ranged.url,
    headers: {},
    expected: null,
    startAt: 3 * made.manifest.layout.pieceLength,
    startBytes: 2 * made.manifest.layout.pieceLength,
    connections: 1,
    timeoutMs: { connect: 1_000, firstByte: 1_000 },
  };
  const options = { request, opened: async () => made, pieceStored: () => {} };
  const { signal } = new AbortController();

  await sources.readPart(options, { piece: 3, count: 2 }, signal);
  const refused = await sources
    .readPart(
      { ...options, request: { ...request, url: whole.url } },
      { piece: 9, count: 1 },
      signal,
    )
    .catch((error: unknown) => error);
  await Promise.all([ranged.stop(), whole.stop()]);

  expect([...made.have]).toEqual([3, 4]);
  expect(ranged.bodyBytes).toBe(2 * made.manifest.layout.pieceLength);
  expect(refused).toMatchObject({ code: "protocol" });
});
