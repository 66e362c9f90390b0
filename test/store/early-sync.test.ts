// Syncs that begin before the end: one at a time, and no failure is ever forgotten.

import { expect, test } from "bun:test";
import { EarlySync } from "../../src/store/early-sync.ts";

const EAGER = { intervalMs: 0, bytesMin: 1 };

test("the end waits for the sync under way and for one of its own", async () => {
  const order: string[] = [];
  const syncs = new EarlySync(async () => {
    order.push("begin");
    await Bun.sleep(0);
    order.push("end");
  }, EAGER);
  syncs.wrote(1);
  syncs.wrote(1);
  await syncs.finish();

  expect(order).toEqual(["begin", "end", "begin", "end"]);
});

test("a sync that failed on the way fails the end, though the last one succeeds", async () => {
  const failures = [new Error("the disk lost a page")];
  const syncs = new EarlySync(async () => {
    const failure = failures.pop();
    if (failure !== undefined) throw failure;
  }, EAGER);
  syncs.wrote(1);

  await expect(syncs.finish()).rejects.toThrow("the disk lost a page");
});

test("few bytes are left to the sync at the end", async () => {
  let count = 0;
  const syncs = new EarlySync(async () => void count++, { intervalMs: 0, bytesMin: 100 });

  syncs.wrote(60);
  const before = count;
  syncs.wrote(60);

  expect([before, count]).toEqual([0, 1]);
  await syncs.finish();
  expect(count).toBe(2);
});
