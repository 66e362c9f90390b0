// The commit log by itself: what a killed process left is found, and damage ends it.

import { expect, test } from "bun:test";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CommitLog } from "../../src/store/commit-log.ts";
import { idOf, pieceBytes, rowOf, temporaryDir } from "./store-fixture.ts";

function logOf(dir: string, pieces: number): string {
  const path = join(dir, "commits");
  const log = new CommitLog(path);
  for (let index = 0; index < pieces; index++) {
    log.add(idOf(1), index, rowOf(pieceBytes(1, index)));
  }
  log.close();
  return path;
}

function foundIn(path: string) {
  const log = new CommitLog(path);
  log.close();
  return log.found;
}

test("what was added is found by the next process, until the journal has it", () => {
  using dir = temporaryDir();
  const path = logOf(dir.path, 3);

  expect(foundIn(path)).toEqual(
    [0, 1, 2].map((index) => ({ contentId: idOf(1), index, row: rowOf(pieceBytes(1, index)) })),
  );
  const log = new CommitLog(path);
  log.clear();
  log.close();
  expect(foundIn(path)).toEqual([]);
});

test("a record that is cut off or damaged ends the log", () => {
  using dir = temporaryDir();
  const path = logOf(dir.path, 3);

  appendFileSync(path, "half a record");
  expect(foundIn(path).length).toBe(3);
  const bytes = readFileSync(path);
  bytes[80]! ^= 1;
  writeFileSync(path, bytes);
  expect(foundIn(path).map(({ index }) => index)).toEqual([0]);
});
