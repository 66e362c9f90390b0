// Back-off, Retry-After and the shared budget.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { Retry, RetryBudget, type RetryPolicy } from "../../src/engine/core/retry.ts";

const policy: RetryPolicy = {
  attemptsMax: 5,
  baseDelayMs: 100,
  delayMsMax: 500,
  retryAfterMsMax: 10_000,
};
const almostOne = 1 - Number.EPSILON;

test("delays double up to their limit, and after the last attempt it gives up", () => {
  const retry = new Retry(policy);

  expect([1, 2, 3, 4, 5].map(() => retry.failed(almostOne))).toEqual([99, 199, 399, 499, null]);
});

test("jitter is full: any delay from nothing to the ceiling", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: almostOne, noNaN: true }), (random) => {
      const delayMs = new Retry(policy).failed(random)!;
      expect(delayMs).toBeGreaterThanOrEqual(0);
      expect(delayMs).toBeLessThan(policy.baseDelayMs);
    }),
  );
});

test("Retry-After is waited out in full, spread a little, and cut to its limit", () => {
  expect(new Retry(policy).failed(0, 3_000)).toBe(3_000);
  expect(new Retry(policy).failed(0.5, 3_000)).toBe(3_050);
  expect(new Retry(policy).failed(0, 86_400_000)).toBe(10_000);
});

test("progress makes the next failure count as the first", () => {
  const retry = new Retry(policy);
  for (let i = 0; i < 4; i++) retry.failed(0);
  retry.succeeded();

  expect(retry.failed(almostOne)).toBe(99);
});

test("a budget that many operations share stops the retries of all of them", () => {
  const budget = new RetryBudget();
  const delays = Array.from({ length: 30 }, () => new Retry(policy, budget).failed(0));

  expect(delays.filter((delay) => delay !== null)).toHaveLength(20);
  for (let i = 0; i < 10; i++) new Retry(policy, budget).succeeded();
  expect(new Retry(policy, budget).failed(0)).toBe(0);
  expect(new Retry(policy, budget).failed(0)).toBeNull();
});
