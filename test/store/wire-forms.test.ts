// Pieces that rest compressed or sealed: kept over restarts, verified as they lie there, read as plain
// bytes by who has the key, and never longer on disk than they are.

import { expect, test } from "bun:test";
import { open, stat } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { digestNow } from "../../src/engine/bytes/digest.ts";
import { remakePiece } from "../../src/engine/bytes/wire-form.ts";
import { Manifest, wireMarkOf } from "../../src/engine/core/manifest.ts";
import { DataFiles } from "../../src/store/data-files.ts";
import { DecodedPieces } from "../../src/store/decoded-pieces.ts";
import type { StoredContent } from "../../src/store/piece-store.ts";
import { PlainReads } from "../../src/store/plain-reads.ts";
import {
  factsOf,
  formedPiece,
  idOf,
  KEY,
  openTestStore,
  PIECE_LENGTH,
  pieceBytes,
  putFormed,
  putPiece,
  rowOf,
  temporaryDir,
} from "./store-fixture.ts";

const DIGESTS = { md5: "0".repeat(32), sha256: null };

/** All four forms, one after the other. */
async function putMixed(content: StoredContent, pieceCount: number): Promise<void> {
  for (let index = 0; index < pieceCount; index++) {
    const zstdLevel = index & 1 ? 3 : 0;
    const key = index & 2 ? KEY : null;
    await putFormed(content, index, await formedPiece(1, index, { zstdLevel, key }));
  }
}

function plainBytes(pieceCount: number): Uint8Array {
  const pieces = Array.from({ length: pieceCount }, (_, index) => pieceBytes(1, index));
  return new Uint8Array(Buffer.concat(pieces));
}

test("any part of a content reads as its plain bytes, whatever forms its pieces rest in", async () => {
  using dir = temporaryDir();
  const { store } = await openTestStore(dir.path);
  const content = await store.create(factsOf(1, 8 * PIECE_LENGTH));
  await putMixed(content, 8);
  content.unlock(KEY);
  const plain = plainBytes(8);

  await fc.assert(
    fc.asyncProperty(fc.nat(plain.length), fc.nat(3 * PIECE_LENGTH), async (offset, wanted) => {
      const length = Math.min(wanted, plain.length - offset);
      expect(await content.read(offset, length)).toEqual(plain.slice(offset, offset + length));
    }),
    { numRuns: 60 },
  );
  await store.close();
});

test("a piece that is read in steps is decoded once, by several readers too", async () => {
  using dir = temporaryDir();
  const { store } = await openTestStore(dir.path);
  const content = await store.create(factsOf(1, PIECE_LENGTH));
  await putFormed(content, 0, await formedPiece(1, 0));
  content.unlock(KEY);
  const step = PIECE_LENGTH / 16;
  const readAll = async () => {
    for (let at = 0; at < PIECE_LENGTH; at += step) await content.read(at, step);
  };
  await content.read(0, step);
  // Were it decoded again, this would be seen.
  const file = await open(content.dataPath, "r+");
  await file.write(new Uint8Array(PIECE_LENGTH), 0, PIECE_LENGTH, 0);
  await file.close();

  await Promise.all([readAll(), readAll()]);

  expect(content.have.has(0)).toBe(true);
  await store.close();
});

test("a small piece that several read at once is decoded once, and each has memory of his own", async () => {
  using dir = temporaryDir();
  const { store } = await openTestStore(dir.path);
  const content = await store.create(factsOf(1, PIECE_LENGTH));
  await putFormed(content, 0, await formedPiece(1, 0));
  content.unlock(KEY);
  const [first, second] = await Promise.all([
    content.read(0, PIECE_LENGTH),
    content.read(0, PIECE_LENGTH),
  ]);
  // Were it decoded again, this would be seen.
  const file = await open(content.dataPath, "r+");
  await file.write(new Uint8Array(PIECE_LENGTH), 0, PIECE_LENGTH, 0);
  await file.close();
  (first.buffer as ArrayBuffer).transfer(0);
  second.fill(0);

  const third = await content.read(0, PIECE_LENGTH);

  expect(third).toEqual(pieceBytes(1, 0));
  await store.close();
});

test("of small pieces the last 64 are kept decoded", async () => {
  using dir = temporaryDir();
  const { store } = await openTestStore(dir.path);
  const content = await store.create(factsOf(1, 65 * PIECE_LENGTH));
  for (let index = 0; index < 65; index++) {
    await putFormed(content, index, await formedPiece(1, index, { key: null }));
  }
  for (let index = 0; index < 65; index++) {
    await content.read(index * PIECE_LENGTH, PIECE_LENGTH);
  }
  const file = await open(content.dataPath, "r+");
  await file.truncate(0);
  await file.close();

  expect(await content.read(PIECE_LENGTH, PIECE_LENGTH)).toEqual(pieceBytes(1, 1));
  await expect(content.read(0, PIECE_LENGTH)).rejects.toMatchObject({ code: "file-unreadable" });
  await store.close();
});

test("a sealed content is verified and given on without its key, and read with it alone", async () => {
  using dir = temporaryDir();
  const first = await openTestStore(dir.path);
  const before = await first.store.create(factsOf(1, 8 * PIECE_LENGTH));
  await putMixed(before, 8);
  before.unlock(KEY);
  await before.complete(DIGESTS);
  const rows = [0, 1, 2, 3].map((index) => before.manifest.row(index));
  await first.store.close();

  const { store } = await openTestStore(dir.path);
  const content = store.get(idOf(1))!;
  await content.verify();

  expect(content.have.isFull).toBe(true);
  expect(content.key).toBeNull();
  expect([0, 1, 2, 3].map((index) => content.manifest.row(index))).toEqual(rows);
  await expect(content.read(2 * PIECE_LENGTH, 10)).rejects.toMatchObject({ code: "denied" });
  expect(await content.read(PIECE_LENGTH, 10)).toEqual(pieceBytes(1, 1).slice(0, 10));
  content.unlock(digestNow("sha256", "another key"));
  await expect(content.read(2 * PIECE_LENGTH, 10)).rejects.toMatchObject({ code: "checksum" });
  expect(content.have.isFull).toBe(true);
  content.unlock(KEY);
  expect(await content.read(0, 8 * PIECE_LENGTH)).toEqual(plainBytes(8));
  await store.close();
});

test("T-22: no key is ever in the store's files, and no plain byte of what is sealed", async () => {
  using dir = temporaryDir();
  const { store } = await openTestStore(dir.path);
  const content = await store.create(factsOf(1, PIECE_LENGTH));
  content.unlock(KEY);
  await putFormed(content, 0, await formedPiece(1, 0, { zstdLevel: 0 }));
  await content.read(0, 100);
  await content.complete(DIGESTS);
  await store.close();

  for await (const name of new Bun.Glob("**").scan({ cwd: dir.path, dot: true, onlyFiles: true })) {
    const bytes = Buffer.from(await Bun.file(`${dir.path}/${name}`).arrayBuffer());
    expect(bytes.includes(KEY)).toBe(false);
    expect(bytes.includes(pieceBytes(1, 0).subarray(0, 32))).toBe(false);
  }
});

test("after a crash pieces count that are right as they lie there, holes behind them or not", async () => {
  using dir = temporaryDir();
  const first = await openTestStore(dir.path);
  const before = await first.store.create(factsOf(1, 5 * PIECE_LENGTH));
  await putMixed(before, 4);
  const { row } = await formedPiece(1, 4);
  before.addRow(4, row);
  await first.store.close();
  const { dataPath } = before;
  const file = await open(dataPath, "r+");
  // Behind the end of a compressed piece nothing counts; within it everything does.
  await file.write("behind", PIECE_LENGTH + before.manifest.row(1)!.wireLength + 5);
  await file.write("within", 3 * PIECE_LENGTH + 5);
  await file.close();

  const { store, warnings } = await openTestStore(dir.path);
  const content = store.get(idOf(1))!;
  await content.verify();

  expect([...content.have]).toEqual([0, 1, 2]);
  expect(warnings.join()).toContain("1 pieces on disk are wrong");
  await store.close();
});

test("a piece that turns out damaged when it is decoded is dropped, so that it comes again", async () => {
  using dir = temporaryDir();
  const { store } = await openTestStore(dir.path);
  const content = await store.create(factsOf(1, 2 * PIECE_LENGTH));
  await putFormed(content, 0, await formedPiece(1, 0));
  await putFormed(content, 1, await formedPiece(1, 1, { key: null }));
  content.unlock(KEY);
  await content.complete(DIGESTS);
  for (const index of [0, 1]) {
    const file = await open(content.dataPath, "r+");
    await file.write("damaged", index * PIECE_LENGTH + 20);
    await file.close();

    const reading = content.read(index * PIECE_LENGTH, 100);
    await expect(reading).rejects.toMatchObject({ code: "file-unreadable" });
    expect(content.have.has(index)).toBe(false);
  }
  expect(content.digests).toBeNull();
  await store.close();
});

test("the owner's row takes the place of one made without it, also over restarts", async () => {
  using dir = temporaryDir();
  const first = await openTestStore(dir.path);
  const before = await first.store.create(factsOf(1, 2 * PIECE_LENGTH));
  await putPiece(before, 1, 0);
  await putPiece(before, 1, 1);
  await before.complete(DIGESTS);
  const owners = await formedPiece(1, 0);
  expect(() => before.addRow(0, owners.row)).toThrow("bug:");
  const { row: stranger } = await formedPiece(2, 0);
  before.replaceRow(0, owners.row);

  expect([...before.have]).toEqual([1]);
  expect(before.digests).toBeNull();
  expect([...before.wireForms.slice(0, 2)]).toEqual([owners.wire.length, wireMarkOf(owners.row)]);
  await putFormed(before, 0, owners);
  expect(() => before.replaceRow(1, stranger)).toThrow("bug:");
  await first.store.close();

  const { store } = await openTestStore(dir.path);
  const content = store.get(idOf(1))!;
  await content.verify();
  expect(content.manifest.row(0)).toEqual(owners.row);
  expect(content.have.has(0)).toBe(true);
  content.unlock(KEY);
  expect(await content.read(0, PIECE_LENGTH)).toEqual(pieceBytes(1, 0));
  await store.close();
});

test("what compression saves is room for others: the quota counts what lies on disk", async () => {
  using dir = temporaryDir();
  const { store } = await openTestStore(dir.path, { quotaBytes: 4 * PIECE_LENGTH });
  const compressed = await store.create(factsOf(1, 3 * PIECE_LENGTH));
  expect(store.usedBytes).toBe(3 * PIECE_LENGTH);
  let wireBytes = 0;
  for (const index of [0, 1, 2]) {
    const piece = await formedPiece(1, index);
    wireBytes += piece.wire.length;
    await putFormed(compressed, index, piece);
  }
  await compressed.complete(DIGESTS);

  expect(store.usedBytes).toBe(wireBytes);
  await store.create(factsOf(2, 3 * PIECE_LENGTH));
  expect(store.get(idOf(1))).toBe(compressed);
  const { blocks } = await stat(compressed.dataPath);
  expect(blocks * 512).toBeLessThan(PIECE_LENGTH);
  await store.close();
});

test("lengths and marks of wire forms are seen by another thread, and move when a content grows", async () => {
  using dir = temporaryDir();
  const { store } = await openTestStore(dir.path);
  const content = await store.create(factsOf(1, null));
  const seen = content.wireForms;
  const piece = await formedPiece(1, 5);
  await putFormed(content, 5, piece);

  expect(seen.buffer).toBeInstanceOf(SharedArrayBuffer);
  expect([...seen.slice(8, 14)]).toEqual([0, 0, piece.wire.length, wireMarkOf(piece.row), 0, 0]);
  await putFormed(content, 1500, await formedPiece(1, 1500));
  expect(content.wireForms).not.toBe(seen);
  expect([...content.wireForms.slice(10, 12)]).toEqual([piece.wire.length, wireMarkOf(piece.row)]);
  await store.close();
});

test("T-23: a piece that changed on disk is never sealed under the nonce of its row", async () => {
  using dir = temporaryDir();
  const { store } = await openTestStore(dir.path);
  const content = await store.create(factsOf(1, PIECE_LENGTH));
  await putPiece(content, 1, 0);
  const { wire, row } = await formedPiece(1, 0);
  const place = { contentId: idOf(1), index: 0, key: KEY };
  expect(await remakePiece(await content.read(0, PIECE_LENGTH), row, place)).toEqual(wire);
  const file = await open(content.dataPath, "r+");
  await file.write("x", 7);
  await file.close();

  expect(await remakePiece(await content.read(0, PIECE_LENGTH), row, place)).toBeNull();
  await store.close();
});

test("bytes that were read while their piece took another form are read again", async () => {
  using dir = temporaryDir();
  const mayRead = Promise.withResolvers<void>();
  class HeldFiles extends DataFiles {
    override async read(path: string, offset: number, length: number): Promise<Uint8Array> {
      await mayRead.promise;
      return super.read(path, offset, length);
    }
  }
  const files = new HeldFiles();
  const dataPath = join(dir.path, "data");
  const plain = pieceBytes(1, 0);
  const owners = await formedPiece(1, 0, { key: null });
  const manifest = new Manifest({ length: 2 * PIECE_LENGTH, pieceLength: PIECE_LENGTH });
  manifest.append(0, rowOf(plain));
  await files.make(dataPath);
  await files.resize(dataPath, 2 * PIECE_LENGTH);
  const decoded = new DecodedPieces();
  const reads = new PlainReads({
    ...{ contentId: idOf(1), dataPath, manifest, files, decoded, onDamaged() {} },
  });

  const alone = reads.read(100, 1_000);
  manifest.append(1, (await formedPiece(1, 1)).row);
  const amongOthers = reads.read(100, 1_000);
  manifest.replace(0, owners.row);
  await files.write(dataPath, 0, owners.wire);
  mayRead.resolve();

  expect(await alone).toEqual(plain.slice(100, 1_100));
  expect(await amongOthers).toEqual(plain.slice(100, 1_100));
  decoded.clear();
  await files.closeAll();
});
