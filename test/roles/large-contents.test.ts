// One layer of 33 GB: offsets beyond 2^32 from the source to the reader, with files that are holes where
// nothing needs to be moved, so that it takes seconds.

import { afterEach, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { randomBytes } from "node:crypto";
import { statfsSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestNow } from "../../src/engine/bytes/digest.ts";
import { contentIdOf, taskIdOf } from "../../src/engine/bytes/task-id.ts";
import { plainRow } from "../../src/engine/core/manifest.ts";
import {
  pieceCountOf,
  pieceLengthAt,
  pieceLengthFor,
  pieceOffset,
} from "../../src/engine/core/piece-layout.ts";
import type { LocalClient } from "../../src/net/local-client.ts";
import { taskFieldsOf } from "../../src/net/task-request.ts";
import type { ContentFacts, StoredContent } from "../../src/store/piece-store.ts";
import { supernodeFixture } from "../fixtures/supernode-fixture.ts";
import { openTestStore } from "../store/store-fixture.ts";
import { Cleanups, peerFixture, tempFolder } from "./peer-fixture.ts";

const LENGTH = 33_000_000_123;
const DIGEST = `sha256:${"d".repeat(64)}`;
const layout = { length: LENGTH, pieceLength: pieceLengthFor(LENGTH) };
const PIECES = pieceCountOf(LENGTH, layout.pieceLength);

/** Pieces that hold more than zeros, and do not shrink: around 2^31, 2^32 and 2^33, in the midst, and the last one, which is short. */
const FILLED = new Map(
  [2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 33, 20e9, LENGTH - 1].map((offset) => {
    const piece = Math.floor(offset / layout.pieceLength);
    return [piece, randomBytes(pieceLengthAt(layout, piece))] as const;
  }),
);

/** The store counts what a content may take, though it is a hole. */
const hasRoom = (() => {
  const { bavail, bsize } = statfsSync(tmpdir());
  return bavail * bsize > 1.3 * LENGTH;
})();
if (!hasRoom) console.warn("SKIPPED: tests of large contents need room for one on the disk");

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

/** Answers HEAD and ranges of the layer; notes what was asked for. */
function layerSource() {
  const ranges: { from: number; to: number }[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const headers: Record<string, string> = { "accept-ranges": "bytes" };
      if (request.method === "HEAD")
        return new Response(null, { headers: { ...headers, "content-length": String(LENGTH) } });
      const [, first = "", last = ""] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.get("range")!)!;
      const [from, to] = [Number(first), Math.min(Number(last) + 1, LENGTH)];
      ranges.push({ from, to });
      headers["content-range"] = `bytes ${from}-${to - 1}/${LENGTH}`;
      return new Response(bytesAt(from, to).slice(), { status: 206, headers });
    },
  });
  cleanups.defer(() => server.stop(true));
  return { url: `http://127.0.0.1:${server.port}/v2/team/app/blobs/${DIGEST}`, ranges };
}

function bytesAt(from: number, to: number): Buffer {
  const bytes = Buffer.alloc(to - from);
  for (const [piece, filled] of FILLED) {
    const at = pieceOffset(layout, piece);
    if (at + filled.length <= from || at >= to) continue;
    filled.copy(
      bytes,
      Math.max(0, at - from),
      Math.max(0, from - at),
      Math.min(filled.length, to - at),
    );
  }
  return bytes;
}

function factsOf(url: string): ContentFacts {
  const task = { url, checksum: DIGEST, registryKind: "blob" as const };
  const taskId = taskIdOf(taskFieldsOf(task, "public"));
  const validator = `"${DIGEST}"`;
  const contentId = contentIdOf(taskId, validator, LENGTH);
  return { contentId, taskId, url, layout, validator, lastModified: null, answer: null };
}

const zeros = digestNow("sha256", new Uint8Array(layout.pieceLength));

/** Makes a store in which every piece of zeros is there already: as a hole. */
async function storeOfZeros(dir: string, url: string): Promise<void> {
  const { store } = await openTestStore(dir);
  const content = await store.create(factsOf(url));
  for (let piece = 0; piece < PIECES; piece++) {
    if (FILLED.has(piece)) continue;
    content.addRow(piece, plainRow(layout.pieceLength, zeros));
    content.commitPiece(piece);
  }
  await store.close();
}

async function readOf(
  client: LocalClient,
  contentId: string,
  from: number,
  to: number,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  const signal = AbortSignal.timeout(30_000);
  for await (const chunk of client.contents(contentId, { from, to, access: "" }, signal))
    chunks.push(chunk);
  return Buffer.concat(chunks);
}

test("a length of 33 GB is cut without a gap, and no sum leaves the integers", () => {
  const last = PIECES - 1;

  expect(layout.pieceLength).toBe(16 << 20);
  expect(pieceOffset(layout, last) + pieceLengthAt(layout, last)).toBe(LENGTH);
  expect(pieceOffset(layout, 256)).toBe(2 ** 32);
});

test.skipIf(!hasRoom)(
  "what is missing of 33 GB comes from the source to a reader, at its place, and nothing else moves",
  async () => {
    const source = layerSource();
    const { contentId } = factsOf(source.url);
    const supernodeDir = join(await tempFolder(cleanups), "data");
    const peerDir = join(await tempFolder(cleanups), "data");
    await storeOfZeros(supernodeDir, source.url);
    await storeOfZeros(peerDir, source.url);
    const node = await supernodeFixture({ dataDir: supernodeDir });
    cleanups.defer(() => node.stop());
    const { client } = await peerFixture(cleanups, {
      ...{ supernodes: [node.current.address], dataDir: peerDir },
    });
    Bun.gc(true);
    const before = process.memoryUsage.rss();

    const leave = new AbortController();
    const asked = {
      url: source.url,
      checksum: DIGEST,
      registryKind: "blob",
      noOrigin: true,
    } as const;
    let doneBytes = 0;
    for await (const event of client.download(asked, leave.signal)) {
      if (event.event === "progress") ({ doneBytes } = event);
      if (doneBytes === LENGTH) break;
    }

    // The source was asked for what no store had, each byte once.
    const missing = [...FILLED.values()].reduce((sum, { length }) => sum + length, 0);
    expect(source.ranges.reduce((sum, { from, to }) => sum + to - from, 0)).toBe(missing);
    for (const { from, to } of source.ranges) {
      expect(FILLED.has(Math.floor(from / layout.pieceLength))).toBe(true);
      expect(FILLED.has(Math.floor((to - 1) / layout.pieceLength))).toBe(true);
    }
    const edges = [0, 2 ** 31, 2 ** 32, 2 ** 33, pieceOffset(layout, PIECES - 1), 20e9];
    for (const edge of edges) {
      const [from, to] = [Math.max(0, edge - 70_000), Math.min(LENGTH, edge + 70_000)];
      expect((await readOf(client, contentId, from, to)).equals(bytesAt(from, to))).toBe(true);
    }
    expect(
      (await readOf(client, contentId, LENGTH - 1_000, LENGTH)).equals(
        bytesAt(LENGTH - 1_000, LENGTH),
      ),
    ).toBe(true);
    // Holes stay holes, and bytes are not kept in memory.
    for (const dir of [supernodeDir, peerDir]) {
      const { blocks, size } = statSync(join(dir, "contents", contentId.slice(0, 2), contentId));
      expect(size).toBe(LENGTH);
      expect(blocks * 512).toBeLessThan(2 * missing);
    }
    expect(process.memoryUsage.rss() - before).toBeLessThan(512 << 20);
  },
  60_000,
);

test.skipIf(!hasRoom)(
  "after a kill the pieces of 33 GB that were there are there again, and a damaged one is not",
  async () => {
    const dir = join(await tempFolder(cleanups), "data");
    const first = await openTestStore(dir);
    const { contentId } = factsOf("http://registry/v2/a/blobs/x");
    const put = async (content: StoredContent, piece: number, bytes: Buffer): Promise<void> => {
      content.addRow(piece, plainRow(bytes.length, digestNow("sha256", bytes)));
      await content.write(pieceOffset(layout, piece), bytes);
      content.commitPiece(piece);
    };
    const content = await first.store.create(factsOf("http://registry/v2/a/blobs/x"));
    for (const [piece, bytes] of FILLED) await put(content, piece, bytes);
    const [damaged] = FILLED.keys();
    await first.store.close();
    const index = new Database(join(dir, "store.sqlite"));
    index.run("UPDATE stops SET was_clean = 0");
    index.close();
    const path = join(dir, "contents", contentId.slice(0, 2), contentId);
    expect(statSync(path).size).toBe(LENGTH);
    await writeAt(path, pieceOffset(layout, damaged!) + 5, Buffer.from("damage"));

    const { store } = await openTestStore(dir);
    const again = store.get(contentId)!;
    await again.verify();

    expect([...again.have]).toEqual(
      [...FILLED.keys()].filter((piece) => piece !== damaged).toSorted((a, b) => a - b),
    );
    for (const [piece, bytes] of FILLED) {
      if (piece === damaged) continue;
      const at = pieceOffset(layout, piece);
      expect(
        Buffer.from(await again.read(at + 1_000, 5_000)).equals(bytes.subarray(1_000, 6_000)),
      ).toBe(true);
    }
    await store.close();
  },
  60_000,
);

async function writeAt(path: string, offset: number, bytes: Uint8Array): Promise<void> {
  const file = await open(path, "r+");
  await file.write(bytes, 0, bytes.length, offset);
  await file.close();
}
