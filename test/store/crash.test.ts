// A process that is killed at any moment: what the next one finds was verified, and nothing wrong counts.

import { expect, test } from "bun:test";
import { join } from "node:path";
import {
  factsOf,
  idOf,
  KEY,
  openTestStore,
  PIECE_LENGTH,
  pieceBytes,
  putPiece,
  temporaryDir,
} from "./store-fixture.ts";

const PIECES = 400;

/** Starts a process that brings pieces into a store without end, killed after so many were committed. */
async function killAfter(dir: string, committedCount: number): Promise<number> {
  const child = Bun.spawn(
    [process.execPath, join(import.meta.dir, "crashing-writer.ts"), dir, String(PIECES)],
    {
      stdout: "pipe",
      stderr: "inherit",
    },
  );
  let seen = 0;
  for await (const chunk of child.stdout) {
    seen += chunk.length;
    if (seen >= committedCount) break;
  }
  child.kill("SIGKILL");
  await child.exited;
  return seen;
}

test("whenever a process is killed, no wrong piece counts, committed pieces survive and the rest can be fetched", async () => {
  using dir = temporaryDir();
  let atLeast = 0;

  for (const committedCount of [1, 3, 20, 60, 150]) {
    const seen = await killAfter(dir.path, committedCount);
    const { store } = await openTestStore(dir.path);
    const content = store.get(idOf(1));
    expect(content).toBeDefined();
    await content!.verify();
    content!.unlock(KEY);

    for (const index of content!.have) {
      const onDisk = await content!.read(index * PIECE_LENGTH, PIECE_LENGTH);
      expect(onDisk.toHex()).toBe(pieceBytes(1, index).toHex());
    }
    expect(content!.have.count).toBeGreaterThanOrEqual(Math.max(atLeast, seen));
    atLeast = content!.have.count;
    await store.close();
  }

  const { store } = await openTestStore(dir.path);
  const content = await store.create(factsOf(1, PIECES * PIECE_LENGTH));
  for (let index = 0; index < PIECES; index++)
    if (!content.have.has(index)) await putPiece(content, 1, index);
  await content.complete({ md5: "0".repeat(32), sha256: null });
  expect(content.have.isFull).toBe(true);
  await store.close();
});

test("a crash loses only what the last journal interval brought", async () => {
  using dir = temporaryDir();
  const seen = await killAfter(dir.path, PIECES);

  const { store } = await openTestStore(dir.path);
  const content = await store.create(factsOf(1, PIECES * PIECE_LENGTH));

  expect(seen).toBe(PIECES);
  expect(content.have.count).toBe(PIECES);
  await store.close();
});
