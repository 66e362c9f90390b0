// High and low marks of a disk: nothing below the high one, down to the low one above it.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { excessOf } from "../../src/engine/core/disk-marks.ts";

const MARKS = { high: 0.9, low: 0.8 };

test.each([
  { used: 800, promised: 0, needed: 100, must: 0, may: 0, why: "exactly at the high mark" },
  { used: 800, promised: 0, needed: 101, must: 1, may: 101, why: "one byte above it" },
  { used: 950, promised: 0, needed: 0, must: 50, may: 150, why: "others filled the disk" },
  { used: 700, promised: 200, needed: 50, must: 50, may: 150, why: "downloads will fill it" },
])("$why: $must bytes must go, $may may", ({ used, promised, needed, must, may }) => {
  const use = { usedBytes: used, freeBytes: 1000 - used, promisedBytes: promised };

  expect(excessOf(use, MARKS, needed)).toEqual({ mustBytes: must, mayBytes: may });
});

test("after the bytes that may go went, the disk is at the low mark; after those that must, at the high one", () => {
  const byteCount = fc.integer({ min: 0, max: 1e15 });
  const share = fc.double({ min: 0.05, max: 1, noNaN: true });
  fc.assert(
    fc.property(byteCount, byteCount, byteCount, byteCount, share, share, (...values) => {
      const [usedBytes, freeBytes, promisedBytes, needed, high, low] = values;
      const { mustBytes, mayBytes } = excessOf(
        { usedBytes, freeBytes, promisedBytes },
        { high, low },
        needed,
      );
      const wanted = usedBytes + promisedBytes + needed;
      const capacity = usedBytes + freeBytes;

      expect(wanted - mustBytes).toBeLessThanOrEqual(Math.ceil(high * capacity));
      if (mustBytes === 0) expect(mayBytes).toBe(0);
      else expect(wanted - mayBytes).toBeLessThanOrEqual(Math.ceil(low * capacity));
      expect(mayBytes).toBeGreaterThanOrEqual(mustBytes);
    }),
  );
});
