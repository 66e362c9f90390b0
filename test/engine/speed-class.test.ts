// Speed classes are half octaves: monotonic, and four apart for hosts that differ by 3 to 5.3 times.

import { expect, test } from "bun:test";
import fc from "fast-check";

import { SPEED_CLASSES, speedClass } from "../../src/engine/core/speed-class.ts";

const speeds = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

test("a faster speed never has a lower class, and there are as many classes as columns", () => {
  fc.assert(
    fc.property(speeds, speeds, (a, b) => {
      expect(speedClass(Math.min(a, b))).toBeLessThanOrEqual(speedClass(Math.max(a, b)));
      expect(speedClass(a)).toBeLessThan(SPEED_CLASSES);
    }),
  );
});

test("an unknown speed has class 0", () => {
  expect(speedClass(0)).toBe(0);
});

test("hosts ten times as fast are at least six classes above", () => {
  fc.assert(
    fc.property(fc.integer({ min: 100_000, max: 1_000_000_000 }), (speed) => {
      expect(speedClass(speed * 10) - speedClass(speed)).toBeGreaterThanOrEqual(6);
    }),
  );
});
