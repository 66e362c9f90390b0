// When the journal writes, and when it leaves an index that cannot be written alone.

import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { join } from "node:path";
import { JOURNAL_INTERVAL_MS } from "../../src/limits.ts";
import { Journal, type ContentState } from "../../src/store/journal.ts";
import { factsOf, idOf, temporaryDir } from "./store-fixture.ts";

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
