// The store on disk over restarts, crashes, damage and full disks.

import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import {
  chmodSync,
  closeSync,
  openSync,
  readdirSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { testPieceStore } from "../conformance/piece-store.ts";
import {
  factsOf,
  idOf,
  openTestStore,
  PIECE_LENGTH,
  pieceBytes,
  putContent,
  putPiece,
  rowOf,
  temporaryDir,
} from "./store-fixture.ts";

testPieceStore("piece store on disk", async (quotaBytes) => {
  const dir = temporaryDir();
  const { store } = await openTestStore(dir.path, { quotaBytes });
  return {
    store,
    cleanUp: async () => {
      await store.close();
      dir[Symbol.dispose]();
    },
  };
});

/** Makes the last stop look like a crash. */
function markUnclean(dir: string, alsoRun = "SELECT 1"): void {
  const index = new Database(join(dir, "store.sqlite"));
  index.run(alsoRun);
  index.run("UPDATE stops SET was_clean = 0");
  index.close();
}

function flipByte(path: string, offset: number): void {
  const { atime, mtime } = statSync(path);
  const fd = openSync(path, "r+");
  writeSync(fd, new Uint8Array([0xa5]), 0, 1, offset);
  closeSync(fd);
  utimesSync(path, atime, mtime);
}

test("after a clean stop everything is there at once: rows, pieces, digests", async () => {
  using dir = temporaryDir();
  const first = await openTestStore(dir.path);
  await putContent(first.store, 1, 3);
  const open = await first.store.create(factsOf(2, null));
  await putPiece(open, 2, 4);
  await first.store.close();

  const { store, warnings } = await openTestStore(dir.path);

  const complete = store.get(idOf(1))!;
  expect(complete.have.isFull).toBe(true);
  expect(complete.digests).toEqual({ md5: "0".repeat(32), sha256: null });
  expect(complete.manifest.learned).toHaveLength(3);
  expect(complete.facts).toEqual(factsOf(1, 3 * PIECE_LENGTH));
  expect([...store.get(idOf(2))!.have]).toEqual([4]);
  expect(warnings).toEqual([]);
  await store.close();
});

test("after a crash a complete content is found by its SHA-256 at once, and complete when it was hashed", async () => {
  using dir = temporaryDir();
  const first = await openTestStore(dir.path);
  const content = await first.store.create(factsOf(1, PIECE_LENGTH));
  await putPiece(content, 1, 0);
  const sha256 = "a".repeat(64);
  await content.complete({ md5: "0".repeat(32), sha256 });
  await first.store.close();
  markUnclean(dir.path);

  const { store } = await openTestStore(dir.path);
  const found = store.findBySha256(sha256)!;
  await found.verify();

  expect(found.digests).toEqual({ md5: "0".repeat(32), sha256 });
  await store.close();
});

test("after a crash a piece counts only once it was hashed again", async () => {
  using dir = temporaryDir();
  const first = await openTestStore(dir.path);
  await putContent(first.store, 1, 4);
  await first.store.close();
  markUnclean(dir.path);
  const { store } = await openTestStore(dir.path);
  const content = store.get(idOf(1))!;

  expect(content.have.count).toBe(0);
  expect(content.digests).toBeNull();
  await content.verify();
  expect(content.have.isFull).toBe(true);
  expect(content.digests).not.toBeNull();
  await store.close();
});

test("the store hashes what is in doubt by itself and says when a content is ready to be shared", async () => {
  using dir = temporaryDir();
  const first = await openTestStore(dir.path);
  await putContent(first.store, 1, 4);
  await putContent(first.store, 2, 4);
  await first.store.close();
  markUnclean(dir.path);

  const verified: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const { store } = await openTestStore(dir.path, {
    onVerified: ({ facts, have }) => {
      if (have.isFull) verified.push(facts.contentId);
      if (verified.length === 2) resolve();
    },
  });
  await promise;

  expect(verified).toEqual([idOf(2), idOf(1)]);
  await store.close();
});

test("a store that is closed while it hashes leaves the rest in doubt, and nothing is lost", async () => {
  using dir = temporaryDir();
  const first = await openTestStore(dir.path);
  await putContent(first.store, 1, 40);
  await first.store.close();
  markUnclean(dir.path);
  const interrupted = await openTestStore(dir.path);
  await interrupted.store.close();

  const { store } = await openTestStore(dir.path);
  await store.get(idOf(1))!.verify();

  expect(store.get(idOf(1))!.have.isFull).toBe(true);
  expect(store.get(idOf(1))!.digests).not.toBeNull();
  await store.close();
});

test("a piece that was committed after the last transaction is found again, a hole is not", async () => {
  using dir = temporaryDir();
  const first = await openTestStore(dir.path);
  const written = await first.store.create(factsOf(1, 4 * PIECE_LENGTH));
  for (const index of [0, 2]) await putPiece(written, 1, index);
  written.addRow(3, rowOf(pieceBytes(1, 3)));
  await written.write(3 * PIECE_LENGTH, pieceBytes(1, 3, 100));
  await first.store.close();
  markUnclean(dir.path, "UPDATE contents SET have = x'01'");

  const { store, warnings } = await openTestStore(dir.path);
  const content = store.get(idOf(1))!;
  await content.verify();

  expect([...content.have]).toEqual([0, 2]);
  expect(warnings).toEqual([]);
  await store.close();
});

test("a bit that rotted is found before its piece is served, and only that piece is missing", async () => {
  using dir = temporaryDir();
  const first = await openTestStore(dir.path);
  const { dataPath } = await putContent(first.store, 1, 4);
  await first.store.close();
  flipByte(dataPath, 2 * PIECE_LENGTH + 17);

  const { store, warnings } = await openTestStore(dir.path);
  const content = store.get(idOf(1))!;
  expect(content.have.count).toBe(0);
  await content.verify();

  expect([...content.have]).toEqual([0, 1, 3]);
  expect(content.digests).toBeNull();
  expect(warnings).toEqual([expect.stringContaining("1 pieces on disk are wrong")]);
  await putPiece(content, 1, 2);
  await content.complete({ md5: "0".repeat(32), sha256: null });
  expect(await content.read(2 * PIECE_LENGTH, PIECE_LENGTH)).toEqual(pieceBytes(1, 2));
  await store.close();
});

test("a data file that was cut short keeps the pieces before the cut", async () => {
  using dir = temporaryDir();
  const first = await openTestStore(dir.path);
  const { dataPath } = await putContent(first.store, 1, 4);
  await first.store.close();
  truncateSync(dataPath, 2 * PIECE_LENGTH + 5);

  const { store } = await openTestStore(dir.path);
  const content = await store.create(factsOf(1, 4 * PIECE_LENGTH));

  expect([...content.have]).toEqual([0, 1]);
  await store.close();
});

test("a content whose file is gone is forgotten, and a file without a content is removed", async () => {
  using dir = temporaryDir();
  const first = await openTestStore(dir.path);
  const { dataPath } = await putContent(first.store, 1, 1);
  await first.store.close();
  await Bun.file(dataPath).delete();
  writeFileSync(join(dir.path, "contents", idOf(1).slice(0, 2), idOf(9)), "orphan");

  const { store, warnings } = await openTestStore(dir.path);

  expect(store.list()).toEqual([]);
  expect(warnings).toEqual([expect.stringContaining("data file is gone")]);
  expect(readdirSync(join(dir.path, "contents", idOf(1).slice(0, 2)))).toEqual([]);
  await store.close();
});

test.each([
  [
    "garbage",
    (path: string) => writeFileSync(path, "this is no database, whatever it is called".repeat(100)),
  ],
  ["cut in the middle", (path: string) => truncateSync(path, statSync(path).size - 5000)],
  [
    "overwritten in the middle",
    (path: string) => writeFileSync(path, new Uint8Array(9000).fill(7), { flag: "r+" }),
  ],
  [
    "from a newer version",
    (path: string) => {
      const index = new Database(path);
      index.run("PRAGMA user_version = 99");
      index.close();
    },
  ],
])(
  "an index that is %s is set aside with a warning, and the store starts empty",
  async (_, damage) => {
    using dir = temporaryDir();
    const first = await openTestStore(dir.path);
    await putContent(first.store, 1, 20);
    await first.store.close();
    const index = new Database(join(dir.path, "store.sqlite"));
    index.run("PRAGMA wal_checkpoint(TRUNCATE)");
    index.close();
    damage(join(dir.path, "store.sqlite"));

    for (const expectedWarnings of [1, 0]) {
      const { store, warnings } = await openTestStore(dir.path);
      expect(store.list()).toEqual([]);
      expect(warnings).toHaveLength(expectedWarnings);
      await store.close();
    }
    expect(readdirSync(dir.path).some((name) => name.includes(".unusable-"))).toBe(true);
  },
);

test("a second store on one directory is refused with a hint, until the first is closed", async () => {
  using dir = temporaryDir();
  const { store } = await openTestStore(dir.path);

  await expect(openTestStore(dir.path)).rejects.toMatchObject({
    code: "denied",
    hint: expect.stringContaining("--data-dir"),
  });
  await store.close();
  await (await openTestStore(dir.path)).store.close();
});

test("a directory that others may write to is refused with a hint", async () => {
  using dir = temporaryDir();
  chmodSync(dir.path, 0o770);

  await expect(openTestStore(dir.path)).rejects.toMatchObject({
    code: "denied",
    hint: `run: chmod go-w ${dir.path}`,
  });
});

test.skipIf(process.getuid?.() !== 0)(
  "a directory of another user is refused (needs root to make one)",
  async () => {
    using dir = temporaryDir();
    Bun.spawnSync(["chown", "12345", dir.path]);

    await expect(openTestStore(dir.path)).rejects.toMatchObject({
      code: "denied",
      message: expect.stringContaining("uid 12345"),
    });
  },
);

test("pieces beyond 4 GiB rest at their place in a sparse file", async () => {
  using dir = temporaryDir();
  const { store } = await openTestStore(dir.path);
  const pieceLength = 1 << 24;
  const index = 300;
  const content = await store.create(
    factsOf(1, (index + 1) * pieceLength, {
      layout: { length: (index + 1) * pieceLength, pieceLength },
    }),
  );
  const bytes = pieceBytes(1, index, 1000);

  await content.write(index * pieceLength + 12_345, bytes);

  expect(await content.read(index * pieceLength + 12_345, 1000)).toEqual(bytes);
  expect(await content.read(12_345 + ((index * pieceLength) % 2 ** 32), 1000)).toEqual(
    new Uint8Array(1000),
  );
  expect(statSync(content.dataPath).blocks * 512).toBeLessThan(1 << 20);
  await store.close();
});

test("a content the disk cannot hold is refused before its first byte, and others stay and go on", async () => {
  using dir = temporaryDir();
  const { store } = await openTestStore(dir.path);
  const other = await store.create(factsOf(2, 2 * PIECE_LENGTH));
  await putPiece(other, 2, 1);

  await expect(store.create(factsOf(1, 2 ** 50))).rejects.toMatchObject({
    code: "no-space",
    hint: expect.stringContaining("--data-dir"),
  });
  await putPiece(other, 2, 0);
  expect(store.list()).toEqual([other]);
  await store.close();
});

/** A small file system of its own, or null where this user may not mount one. */
function mountSmallDisk(path: string): (() => void) | null {
  const mounted = Bun.spawnSync([
    "mount",
    "-t",
    "tmpfs",
    "-o",
    "size=24m,mode=700",
    "df-test",
    path,
  ]);
  return mounted.success ? () => void Bun.spawnSync(["umount", "--lazy", path]) : null;
}

test("a disk that fills up fails the write with a hint, and what is there stays readable", async () => {
  using dir = temporaryDir();
  const unmount = mountSmallDisk(dir.path);
  if (unmount === null) {
    console.warn("SKIPPED: a full disk needs the right to mount a tmpfs (root)");
    return;
  }
  const { store, warnings } = await openTestStore(dir.path);
  try {
    const content = await store.create(factsOf(1, 4 * PIECE_LENGTH));
    await putPiece(content, 1, 0);
    fillUp(join(dir.path, "filler"));

    await expect(content.write(PIECE_LENGTH, pieceBytes(1, 1))).rejects.toMatchObject({
      code: "no-space",
      hint: expect.stringContaining("free some space"),
    });
    await expect(store.create(factsOf(2, 1))).rejects.toMatchObject({ code: "no-space" });
    expect(await content.read(0, PIECE_LENGTH)).toEqual(pieceBytes(1, 0));

    await Bun.file(join(dir.path, "filler")).delete();
    for (const index of [1, 2, 3]) await putPiece(content, 1, index);
    await content.complete({ md5: "0".repeat(32), sha256: null });
    expect(content.digests).not.toBeNull();
    expect(warnings.filter((warning) => !warning.includes("store index"))).toEqual([]);
  } finally {
    await store.close().finally(unmount);
  }
});

/** Writes until the disk takes no more. */
function fillUp(path: string): void {
  const fd = openSync(path, "w");
  try {
    for (;;) writeSync(fd, new Uint8Array(4096));
  } catch (error) {
    expect((error as { code: string }).code).toBe("ENOSPC");
  } finally {
    closeSync(fd);
  }
}

test("what the fleet signed survives a restart, and goes with its content", async () => {
  using dir = temporaryDir();
  const first = await openTestStore(dir.path);
  const content = await putContent(first.store, 1, 3);
  const [former, group, whole] = [1, 2, 3].map((mark) => new Uint8Array(64).fill(mark));
  content.addSignature(0, former!);
  content.addSignature(0, group!);
  content.noteWholeSignature(whole!);
  await first.store.close();

  const second = await openTestStore(dir.path);
  const kept = second.store.get(idOf(1))!;
  expect(kept.manifest.signedGroups).toEqual([0]);
  expect(kept.manifest.signature(0)).toEqual(group);
  expect(kept.wholeSignature).toEqual(whole ?? null);
  await second.store.delete(idOf(1));
  await putContent(second.store, 1, 3);
  await second.store.close();

  const { store } = await openTestStore(dir.path);
  expect(store.get(idOf(1))!.manifest.signedGroups).toEqual([]);
  expect(store.get(idOf(1))!.wholeSignature).toBeNull();
  await store.close();
});

test("what the source said of a content's use survives a restart", async () => {
  using dir = temporaryDir();
  const answer = {
    fields: { "cache-control": "max-age=60" },
    ...{ requestedAt: 1, receivedAt: 2, redirectSeconds: null },
  };
  const first = await openTestStore(dir.path);
  const content = await putContent(first.store, 1, 1);
  content.noteAnswer(answer);
  await first.store.close();

  const { store } = await openTestStore(dir.path);

  expect(store.get(idOf(1))!.facts.answer).toEqual(answer);
  await store.close();
});

test("an index from before answers were kept loses nothing", async () => {
  using dir = temporaryDir();
  const first = await openTestStore(dir.path);
  await putContent(first.store, 1, 1);
  await first.store.close();
  const index = new Database(join(dir.path, "store.sqlite"));
  index.run("DROP TABLE pins");
  index.run("ALTER TABLE contents DROP COLUMN answer");
  index.run("ALTER TABLE contents DROP COLUMN is_private");
  index.run("DROP TABLE signatures");
  index.run("ALTER TABLE contents DROP COLUMN whole_signature");
  for (const column of ["zstd_level", "plain_length", "nonce", "tag"])
    index.run(`ALTER TABLE pieces DROP COLUMN ${column}`);
  index.run("PRAGMA user_version = 1");
  index.close();

  const { store, warnings } = await openTestStore(dir.path);

  expect(store.get(idOf(1))).toMatchObject({
    facts: { answer: null },
    digests: { md5: expect.any(String) },
  });
  expect(warnings).toEqual([]);
  await store.close();
});
