// When the kernel wakes the receiver of a body: never for more than is still to come.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { thresholdFor } from "../../src/net/piece/receive-threshold.ts";

test("an unknown or slow rate is woken by every packet", () => {
  expect(thresholdFor(0, 65_536)).toBe(1);
  expect(thresholdFor(0.04, 65_536)).toBe(1);
});

test("a third of a 10 Mb/s link is woken every few packets, and for the end of the body", () => {
  expect(thresholdFor(416, 65_536)).toBe(16_384);
  expect(thresholdFor(416, 1_000)).toBe(1_000);
  expect(thresholdFor(416, 0)).toBe(1);
});

test("no body waits for more bytes than it still has, nor for more than 40 ms of its rate", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e7, noNaN: true }), fc.nat(1 << 24), (rate, left) => {
      const threshold = thresholdFor(rate, left);
      expect(Number.isInteger(threshold) && threshold >= 1).toBe(true);
      expect(threshold <= Math.max(1, left)).toBe(true);
      expect(threshold <= Math.max(1, rate * 40)).toBe(true);
    }),
  );
});
