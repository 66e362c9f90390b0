// What counts as a fault of a source when several connections read it.

import { expect, test } from "bun:test";
import { transientFault } from "../../../src/net/source/source-fault.ts";
import { RetryGate } from "../../../src/net/source/retry-gate.ts";

const signal = new AbortController().signal;
const policy = { attemptsMax: 3, baseDelayMs: 1, delayMsMax: 1, retryAfterMsMax: 1 };
const reset = () => transientFault("network", "read the source: reset");

// The wait after the first reset was drawn so short that it was over when the others were seen:
// one reset of four connections counted as four, and now and then used up every try.
test("one reset of many connections is one fault, however short the wait after it", async () => {
  const gate = new RetryGate(policy);
  const starts = await Promise.all([1, 2, 3, 4, 5, 6].map(() => gate.ready(signal)));

  for (const startedAtMs of starts) {
    gate.failed(reset(), startedAtMs);
    await Bun.sleep(3);
  }

  expect(await gate.ready(signal)).toBeGreaterThan(starts[0]!);
});

test("exchanges that fail one after another use up the tries", async () => {
  const gate = new RetryGate(policy);
  let exchanges = 0;

  const read = gate.retrying(signal, async () => {
    exchanges++;
    await Bun.sleep(1);
    throw reset();
  });

  await expect(read).rejects.toThrow("reset");
  expect(exchanges).toBe(3);
});
