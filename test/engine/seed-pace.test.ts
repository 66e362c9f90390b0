// A seed's uploads settle where more of them stop to gain throughput.

import { expect, test } from "bun:test";

import { SeedPace } from "../../src/engine/core/seed-pace.ts";

const PIECE_BYTES = 1 << 20;

/** A seed's link of `children` times a child's rate, always busy; returns the slots at the end. */
function settle(
  pace: SeedPace,
  { children, uploads }: { children: number; uploads: number },
): number {
  // One child alone takes 10 ms a piece; past `children` at once they share.
  let nowUs = 0;
  for (let i = 0; i < uploads; i++) {
    nowUs += Math.round(10_000 / Math.min(pace.slots, children));
    pace.uploadFinished(nowUs, PIECE_BYTES, true);
  }
  return pace.slots;
}

test.each([
  { children: 4, from: 4, to: 8 },
  { children: 20, from: 12, to: 36 },
  { children: 100, from: 60, to: 128 },
])("a link of $children child rates settles at $from to $to uploads", ({ children, from, to }) => {
  const slots = settle(new SeedPace(128), { children, uploads: 5_000 });

  expect(slots).toBeGreaterThanOrEqual(from);
  expect(slots).toBeLessThanOrEqual(to);
});

test("it stays within what the seed allows", () => {
  expect(settle(new SeedPace(10), { children: 100, uploads: 5_000 })).toBeLessThanOrEqual(10);
  expect(new SeedPace(2).slots).toBe(2);
});

test("uploads that found free slots say nothing about the link", () => {
  const pace = new SeedPace(128);
  for (let i = 1; i <= 100; i++) pace.uploadFinished(i * 50_000, PIECE_BYTES, false);

  expect(pace.slots).toBe(8);
});
