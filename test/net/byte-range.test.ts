// Which bytes a Range field asks for (RFC 9110 §14.1.2).

import { expect, test } from "bun:test";
import fc from "fast-check";
import { chooseRange, contentRangeOf } from "../../src/net/byte-range.ts";

test.each([
  ["bytes=0-0", { from: 0, to: 1 }],
  ["bytes=0-9", { from: 0, to: 10 }],
  ["bytes=0-", { from: 0, to: 10 }],
  ["bytes=9-", { from: 9, to: 10 }],
  ["bytes=5-99", { from: 5, to: 10 }],
  ["bytes=-3", { from: 7, to: 10 }],
  ["bytes=-99", { from: 0, to: 10 }],
  ["bytes=10-", "beyond"],
  ["bytes=10-20", "beyond"],
  ["bytes=-0", "beyond"],
  ["bytes=5-3", null],
  ["bytes=0-1,3-4", null],
  ["bytes=", null],
  ["bytes=-", null],
  ["items=0-1", null],
  ["bytes=a-b", null],
  ["bytes=+1-2", null],
  ["", null],
  [undefined, null],
] as const)("of ten bytes %p means %p", (field, expected) => {
  expect(chooseRange(field, 10)).toEqual(expected);
});

test("no range is within nothing", () => {
  expect(chooseRange("bytes=0-", 0)).toBe("beyond");
  expect(chooseRange("bytes=-1", 0)).toBe("beyond");
});

test("offsets beyond 2^32 are exact", () => {
  const length = 40 * 2 ** 30;

  expect(chooseRange(`bytes=${length - 1}-`, length)).toEqual({ from: length - 1, to: length });
  expect(contentRangeOf({ from: 2 ** 33, to: 2 ** 33 + 1 }, length)).toBe(
    "bytes 8589934592-8589934592/42949672960",
  );
});

test("a chosen range is never empty and lies within the content", () => {
  const field = fc.oneof(
    fc.string(),
    fc.tuple(fc.nat(), fc.nat()).map(([first, last]) => `bytes=${first}-${last}`),
    fc.nat().map((count) => `bytes=-${count}`),
  );
  fc.assert(
    fc.property(field, fc.nat(), (field, length) => {
      const range = chooseRange(field, length);
      if (range === null || range === "beyond") return;
      expect(range.from).toBeGreaterThanOrEqual(0);
      expect(range.to).toBeGreaterThan(range.from);
      expect(range.to).toBeLessThanOrEqual(length);
    }),
  );
});
