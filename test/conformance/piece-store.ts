// What any piece store must do, whatever it rests on.

import { existsSync } from "node:fs";
import { describe, expect, test } from "bun:test";
import type { ContentFacts, PieceStore } from "../../src/store/piece-store.ts";
import {
  factsOf,
  idOf,
  PIECE_LENGTH,
  pieceBytes,
  putContent,
  putPiece,
  rowOf,
} from "../store/store-fixture.ts";

export interface StoreUnderTest {
  store: PieceStore;
  cleanUp: () => Promise<void>;
}

/** @param create a fresh store that keeps at most `quotaBytes` */
export function testPieceStore(
  name: string,
  create: (quotaBytes: number | null) => Promise<StoreUnderTest>,
): void {
  const withStore = async (
    quotaBytes: number | null,
    work: (store: PieceStore) => Promise<void>,
  ) => {
    const { store, cleanUp } = await create(quotaBytes);
    try {
      await work(store);
    } finally {
      await cleanUp();
    }
  };

  describe(name, () => {
    test("a piece is there once it is committed, and reads back as it was written", () =>
      withStore(null, async (store) => {
        const content = await store.create(factsOf(1, 3 * PIECE_LENGTH + 10));
        const last = pieceBytes(1, 3, 10);
        content.addRow(3, rowOf(last));
        await content.write(3 * PIECE_LENGTH, last);

        expect(content.have.has(3)).toBe(false);
        content.commitPiece(3);
        expect([...content.have]).toEqual([3]);
        expect(await content.read(3 * PIECE_LENGTH, 10)).toEqual(last);
      }));

    test("a piece without a row cannot be committed", () =>
      withStore(null, async (store) => {
        const content = await store.create(factsOf(1, PIECE_LENGTH));

        expect(() => content.commitPiece(0)).toThrow("bug:");
      }));

    test("bytes for a committed piece are ignored: what was verified stays", () =>
      withStore(null, async (store) => {
        const content = await store.create(factsOf(1, PIECE_LENGTH));
        await putPiece(content, 1, 0);
        await content.write(0, new Uint8Array(PIECE_LENGTH));

        expect(await content.read(0, PIECE_LENGTH)).toEqual(pieceBytes(1, 0));
      }));

    test("a dropped piece is missing, may be written anew, and the content is complete no more", () =>
      withStore(null, async (store) => {
        const content = await putContent(store, 1, 2);
        expect(content.digests).toEqual({ md5: "0".repeat(32), sha256: null });

        content.dropPiece(1);
        expect([...content.have]).toEqual([0]);
        expect(content.digests).toBeNull();
        await putPiece(content, 1, 1);
        expect(content.have.isFull).toBe(true);
      }));

    test("a complete content is found by its SHA-256 unless it is private, sealed, damaged or gone", () =>
      withStore(null, async (store) => {
        const sha256 = "a".repeat(64);
        const digests = { md5: "0".repeat(32), sha256 };
        const complete = async (seed: number, more: Partial<ContentFacts> = {}) => {
          const content = await store.create({ ...factsOf(seed, PIECE_LENGTH), ...more });
          await putPiece(content, seed, 0);
          await content.complete(digests);
          return content;
        };
        await complete(1, { isPrivate: true });
        expect(store.findBySha256(sha256)).toBeUndefined();

        const [second, third] = [await complete(2), await complete(3)];
        expect(store.findBySha256("b".repeat(64))).toBeUndefined();
        expect(store.findBySha256(sha256)).toBe(second);
        second.dropPiece(0);
        expect(store.findBySha256(sha256)).toBe(third);
        await store.delete(third.facts.contentId);
        expect(store.findBySha256(sha256)).toBeUndefined();
      }));

    test("a content with a piece missing cannot be completed", () =>
      withStore(null, async (store) => {
        const content = await store.create(factsOf(1, 2 * PIECE_LENGTH));
        await putPiece(content, 1, 0);

        await expect(content.complete({ md5: "", sha256: null })).rejects.toThrow("bug:");
      }));

    test("an empty content is complete from the start", () =>
      withStore(null, async (store) => {
        const content = await store.create(factsOf(1, 0));
        await content.complete({ md5: "d41d8cd98f00b204e9800998ecf8427e", sha256: null });

        expect(content.have.isFull).toBe(true);
        expect(await content.read(0, 0)).toEqual(new Uint8Array());
      }));

    test("a content of unknown length grows piece by piece until its length is known", () =>
      withStore(null, async (store) => {
        const content = await store.create(factsOf(1, null));
        for (const index of [0, 1, 1500]) await putPiece(content, 1, index);
        expect([...content.have]).toEqual([0, 1, 1500]);
        content.dropPiece(1500);
        const { words } = content.have;

        await putPiece(content, 1, 2, 5);
        content.setLength(2 * PIECE_LENGTH + 5);

        expect(content.have.isFull).toBe(true);
        expect(content.have.words).toBe(words);
        expect(content.facts.layout.length).toBe(2 * PIECE_LENGTH + 5);
        await content.complete({ md5: "0".repeat(32), sha256: null });
        expect(await content.read(2 * PIECE_LENGTH, 5)).toEqual(pieceBytes(1, 2, 5));
      }));

    test("the bitmap lies on shared memory, so that another thread sees each commit", () =>
      withStore(null, async (store) => {
        const content = await store.create(factsOf(1, 40 * PIECE_LENGTH));
        const seenByWorker = new Uint32Array(content.have.words.buffer as SharedArrayBuffer);
        await putPiece(content, 1, 33);

        expect(content.have.words.buffer).toBeInstanceOf(SharedArrayBuffer);
        expect(seenByWorker[1]).toBe(2);
      }));

    test("creating a content twice, even at once, gives one content", () =>
      withStore(null, async (store) => {
        const [one, other] = await Promise.all([
          store.create(factsOf(1, 10)),
          store.create(factsOf(1, 10)),
        ]);

        expect(one).toBe(other);
        expect(await store.create(factsOf(1, 10))).toBe(one);
        expect(store.list()).toEqual([one]);
      }));

    test("a task is found by its newest content", () =>
      withStore(null, async (store) => {
        const taskId = idOf(77);
        const old = await store.create(factsOf(1, 10, { taskId }));
        const young = await store.create(factsOf(2, 10, { taskId }));

        expect(store.findByTask(taskId)).toBe(young);
        await store.delete(young.facts.contentId);
        expect(store.findByTask(taskId)).toBe(old);
        await store.delete(old.facts.contentId);
        expect(store.findByTask(taskId)).toBeUndefined();
      }));

    test("a deleted content is gone, its bitmap is empty for whoever still looks, and its bytes are refused", () =>
      withStore(null, async (store) => {
        const content = await putContent(store, 1, 2);
        const { have } = content;
        await store.delete(content.facts.contentId);

        expect(store.get(content.facts.contentId)).toBeUndefined();
        expect([...have]).toEqual([]);
        expect(store.usedBytes).toBe(0);
        await expect(content.read(0, 1)).rejects.toMatchObject({ code: "unavailable" });
      }));

    test("a content that is deleted and made anew at once is a fresh one", () =>
      withStore(null, async (store) => {
        const old = await putContent(store, 1, 2);
        const deleting = store.delete(old.facts.contentId);
        const fresh = await store.create(old.facts);
        await deleting;
        await putPiece(fresh, 1, 1);

        expect(fresh).not.toBe(old);
        expect([...fresh.have]).toEqual([1]);
        expect(existsSync(fresh.dataPath)).toBe(true);
      }));

    test("a new content pushes the least recently used ones out, but never a leased one", () =>
      withStore(4 * PIECE_LENGTH, async (store) => {
        const leased = await putContent(store, 1, 1);
        const used = await putContent(store, 2, 1);
        const unused = await putContent(store, 3, 1);
        const release = leased.lease();
        used.touch();

        await putContent(store, 4, 2);
        expect(store.get(unused.facts.contentId)).toBeUndefined();
        expect(store.list()).toHaveLength(3);
        release();
        release();
        used.touch();
        await putContent(store, 5, 1);
        expect(store.get(leased.facts.contentId)).toBeUndefined();
        expect(store.get(used.facts.contentId)).toBe(used);
        expect(store.usedBytes).toBe(4 * PIECE_LENGTH);
      }));

    test("eviction says what it dropped once the leases that held it are gone", () =>
      withStore(2 * PIECE_LENGTH, async (store) => {
        const releases: (() => void)[] = [];
        for (const seed of [1, 2, 3]) releases.push((await putContent(store, seed, 1)).lease());
        expect(await store.evict()).toEqual([]);
        for (const release of releases) release();

        expect(await store.evict()).toEqual([idOf(1)]);
        expect(await store.evict()).toEqual([]);
      }));

    test("a pinned content outlasts the quota until its last pin goes", () =>
      withStore(2 * PIECE_LENGTH, async (store) => {
        const pinned = await putContent(store, 1, 1);
        pinned.pin("job-1", Date.now() + 60_000);
        pinned.pin("job-2", Date.now() + 60_000);
        for (const seed of [2, 3, 4]) await putContent(store, seed, 1);
        expect(await store.evict()).not.toContain(idOf(1));

        pinned.unpin("job-1");
        expect(pinned.isPinned).toBe(true);
        pinned.unpin("job-2");
        await putContent(store, 5, 2);

        expect(store.get(idOf(1))).toBeUndefined();
      }));

    test("a pin that has expired keeps nothing", () =>
      withStore(PIECE_LENGTH, async (store) => {
        const content = await putContent(store, 1, 1);
        content.pin("job", Date.now() - 1);

        await putContent(store, 2, 1);

        expect(store.get(idOf(1))).toBeUndefined();
      }));

    test("what is being read stays, and something older than it does not", () =>
      withStore(2 * PIECE_LENGTH, async (store) => {
        const read = await putContent(store, 1, 1);
        await putContent(store, 2, 1);
        read.noteRead();

        await putContent(store, 3, 2);

        expect(store.list().map(({ facts }) => facts.contentId)).toEqual([idOf(1), idOf(3)]);
      }));
  });
}
