// When the journal writes, and when it leaves an index that cannot be written alone.

import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { join } from "node:path";
import { JOURNAL_INTERVAL_MS } from "../../src/limits.ts";
import { Journal, type ContentState } from "../../src/store/journal.ts";
import {
  factsOf,
  formedPiece,
  idOf,
  openTestStore,
  PIECE_LENGTH,
  putPiece,
  temporaryDir,
} from "./store-fixture.ts";

// Once many bytes had gathered behind a failed transaction, every further piece tried it again.
test("a failed transaction is not tried again for every piece that follows", async () => {
  using dir = temporaryDir();
  const path = join(dir.path, "store.sqlite");
  const warnings: string[] = [];
  const journal = new Journal(path, (message) => warnings.push(message));
  const have = new Uint8Array(2);
  const state: ContentState = {
    ...{
      length: 16,
      have,
      digests: null,
      wholeSignature: null,
      dataStamp: null,
      answer: null,
      usedAt: 1,
    },
  };
  journal.insert(factsOf(1, 16), state, 1);
  const blocker = new Database(path);
  blocker.run("BEGIN IMMEDIATE");
  journal.noteChange(idOf(1), () => state);
  await until(() => warnings.length > 0);

  // Less time in all than a failed transaction waits for its next try.
  for (let piece = 0; piece < 3; piece++) {
    journal.noteChange(idOf(1), () => state);
    await Bun.sleep(JOURNAL_INTERVAL_MS);
  }

  expect(warnings.length).toBe(1);
  blocker.run("COMMIT");
  blocker.close();
  journal.close();
});

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await Bun.sleep(10);
}

test("what still comes of a deleted content does not keep the journal from others", async () => {
  using dir = temporaryDir();
  const first = await openTestStore(dir.path);
  const gone = await first.store.create(factsOf(1, 2 * PIECE_LENGTH));
  const other = await first.store.create(factsOf(2, PIECE_LENGTH));
  const piece = await formedPiece(1, 0);
  await first.store.delete(idOf(1));

  gone.addRow(0, piece.row);
  gone.commitPiece(0);
  gone.addSignature(0, new Uint8Array(64));
  await putPiece(other, 2, 0);
  await first.store.close();

  const { store } = await openTestStore(dir.path);
  expect(first.warnings).toEqual([]);
  expect(store.get(idOf(2))!.have.has(0)).toBe(true);
  await store.close();
});
