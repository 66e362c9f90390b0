// Syncs that begin before the end: one at a time, and no failure is ever forgotten.

import { expect, test } from "bun:test";
import { EarlySync } from "../../src/store/early-sync.ts";

test("the end waits for the sync under way and for one of its own", async () => {
  const order: string[] = [];
  const syncs = new EarlySync(async () => {
    order.push("begin");
    await Bun.sleep(0);
    order.push("end");
  }, 0);
  syncs.wrote();
  syncs.wrote();
  await syncs.finish();

  expect(order).toEqual(["begin", "end", "begin", "end"]);
});

test("a sync that failed on the way fails the end, though the last one succeeds", async () => {
  const failures = [new Error("the disk lost a page")];
  const syncs = new EarlySync(async () => {
    const failure = failures.pop();
    if (failure !== undefined) throw failure;
  }, 0);
  syncs.wrote();

  await expect(syncs.finish()).rejects.toThrow("the disk lost a page");
});
