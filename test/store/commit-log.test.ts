// The commit log by itself: what a killed process left is found, and damage ends it.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CommitLog } from "../../src/store/commit-log.ts";
import { formedPiece, idOf, pieceBytes, rowOf, temporaryDir } from "./store-fixture.ts";

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

test("rows of any form are found as they were added, among plain ones", async () => {
  using dir = temporaryDir();
  const path = logOf(dir.path, 1);
  const rows = [
    (await formedPiece(1, 1)).row,
    rowOf(pieceBytes(1, 2)),
    (await formedPiece(1, 3, { key: null })).row,
    (await formedPiece(1, 4, { zstdLevel: 0 })).row,
  ];
  const log = new CommitLog(path);
  for (const [at, row] of rows.entries()) log.add(idOf(1), at + 1, row);
  log.close();

  expect(foundIn(path)).toEqual(
    [rowOf(pieceBytes(1, 0)), ...rows].map((row, index) => ({ contentId: idOf(1), index, row })),
  );
  const bytes = readFileSync(path);
  writeFileSync(path, bytes.subarray(0, bytes.length - 1));
  expect(foundIn(path)).toHaveLength(rows.length);
});

test("a log from before pieces had forms is read", () => {
  using dir = temporaryDir();
  const path = join(dir.path, "commits");
  const { wireLength, wireSha256 } = rowOf(pieceBytes(1, 5));
  const record = Buffer.alloc(76);
  record.write(idOf(1), 0, "hex");
  record.writeUInt32LE(5, 32);
  record.writeUInt32LE(wireLength, 36);
  record.set(wireSha256, 40);
  record.writeUInt32LE(Bun.hash.crc32(record.subarray(0, 72)), 72);
  writeFileSync(path, Buffer.concat([record, record]));

  const row = rowOf(pieceBytes(1, 5));
  expect(foundIn(path)).toEqual([0, 1].map(() => ({ contentId: idOf(1), index: 5, row })));
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

test("T-32: any bytes in its file are as if nothing was added after the last whole record", () => {
  using dir = temporaryDir();
  const path = logOf(dir.path, 2);
  const whole = readFileSync(path);

  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(whole.length), (bytes, keep) => {
      writeFileSync(path, Buffer.concat([whole.subarray(0, keep), bytes]));
      const kept = foundIn(path);
      expect(kept.slice(0, 2)).toEqual(
        [0, 1].slice(0, kept.length).map((index) => ({
          ...{ contentId: idOf(1), index, row: rowOf(pieceBytes(1, index)) },
        })),
      );
      writeFileSync(path, bytes);
      expect(foundIn(path)).toEqual([]);
    }),
    { numRuns: 200 },
  );
});
