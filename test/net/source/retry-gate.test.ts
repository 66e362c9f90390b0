// What counts as a fault of a source when several connections read it.

import { expect, test } from "bun:test";
import { DfError } from "../../../src/errors.ts";
import { SourceFault, transientFault } from "../../../src/net/source/source-fault.ts";
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

test("who has little patience is told at once that a source wants to be left alone, and waits for all else", async () => {
  const gate = new RetryGate({
    attemptsMax: 3,
    baseDelayMs: 1,
    delayMsMax: 1,
    retryAfterMsMax: 60_000,
  });
  const busy = new DfError("source-busy", "read the source: 429", {
    refusal: { status: 429, holdsForSeconds: 60 },
  });
  const exchanges: string[] = [];
  const ask = (name: string, fault: SourceFault) => () => {
    exchanges.push(name);
    return Promise.reject(fault);
  };

  const later = new SourceFault(busy, { isTransient: true, retryAfterMs: 60_000 });
  await expect(gate.retrying(signal, ask("later", later), 1_000)).rejects.toBe(busy);
  await expect(gate.retrying(signal, ask("reset", reset()), 1_000)).rejects.toThrow("reset");

  expect(exchanges).toEqual(["later", "reset", "reset", "reset"]);
});

// Of a registry that drops packets three tries were made: an engine waited 20 s for each of its questions.
test("who has little patience asks a silent source no more once it is over", async () => {
  const gate = new RetryGate(policy);
  const faults = [reset(), transientFault("timeout", "read the source: silent")];

  for (const fault of faults) {
    let exchanges = 0;
    const ask = async (): Promise<never> => {
      exchanges++;
      await Bun.sleep(5);
      throw fault;
    };
    await expect(gate.retrying(signal, ask, 1)).rejects.toBe(fault.error);
    expect(exchanges).toBe(1);
  }
});

test("who has little patience does not wait for a try that would begin after it", async () => {
  const gate = new RetryGate({ ...policy, baseDelayMs: 1e9, delayMsMax: 1e9 });
  const refused = reset();

  await expect(gate.retrying(signal, () => Promise.reject(refused), 50)).rejects.toBe(
    refused.error,
  );
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
