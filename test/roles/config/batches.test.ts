// What spares the database and the event loop: rows written together, held requests let go in turn.

import { expect, test } from "bun:test";
import { RouteWaits } from "../../../src/roles/config/route-waits.ts";
import { WriteBatch } from "../../../src/roles/config/write-batch.ts";

interface Row {
  key: string;
  value: number;
}

function batchFixture(write: (rows: readonly Row[]) => Promise<void>): WriteBatch<Row> {
  return new WriteBatch({ keyOf: ({ key }) => key, rowsMax: 2, write });
}

test("a batch writes the latest row of each key, some in each statement", async () => {
  const statements: number[][] = [];
  const batch = batchFixture(async (rows) => {
    statements.push(rows.map(({ value }) => value));
  });
  for (const [key, value] of [
    ["a", 1],
    ["b", 2],
    ["a", 3],
    ["c", 4],
  ] as const) {
    batch.add({ key, value });
  }

  await batch.flush();
  await batch.flush();

  expect(statements).toEqual([[2, 3], [4]]);
});

test("rows of a write that failed wait for the next, unless newer ones came", async () => {
  const written: Row[] = [];
  let isAway = true;
  const batch = batchFixture(async (rows) => {
    if (isAway) {
      batch.add({ key: "a", value: 2 });
      throw new Error("away");
    }
    written.push(...rows);
  });
  batch.add({ key: "a", value: 1 });
  batch.add({ key: "b", value: 1 });

  const failure = await batch.flush().catch(String);
  isAway = false;
  await batch.flush();

  expect(failure).toContain("away");
  expect(new Map(written.map(({ key, value }) => [key, value]))).toEqual(
    new Map([
      ["a", 2],
      ["b", 1],
    ]),
  );
});

test("many who wait for the same change are let go in turn, and all are", async () => {
  const waits = new RouteWaits();
  const { signal } = new AbortController();
  let ended = 0;
  const all = Array.from({ length: 100 }, () =>
    waits.wait(60_000, signal).then(() => {
      ended++;
    }),
  );

  waits.release();
  await Promise.race(all);
  const endedFirst = ended;
  await Promise.all(all);

  expect(endedFirst).toBeLessThan(100);
  expect(waits.count).toBe(0);
});

test("who leaves or waits too long is not held, and nobody is once the service stops", async () => {
  const waits = new RouteWaits();
  const caller = new AbortController();
  const left = waits.wait(60_000, caller.signal);
  const patient = waits.wait(60_000, new AbortController().signal);

  caller.abort();
  await left;
  await waits.wait(1, new AbortController().signal);
  const { count } = waits;
  waits.stop();
  await patient;
  await waits.wait(60_000, new AbortController().signal);

  expect([count, waits.count]).toEqual([1, 0]);
});
