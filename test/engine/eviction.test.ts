// The choice of what to evict: order, need, leases.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { chooseEvictions, type EvictionCandidate } from "../../src/engine/core/eviction.ts";

const candidate = fc.record({
  bytes: fc.nat(1000),
  lastUsedAt: fc.nat(50),
  isPinned: fc.boolean(),
});

test("the least recently used go first, and only as many as are needed", () => {
  const candidates: EvictionCandidate[] = [
    { bytes: 10, lastUsedAt: 3, isPinned: false },
    { bytes: 10, lastUsedAt: 1, isPinned: false },
    { bytes: 10, lastUsedAt: 2, isPinned: false },
  ];

  expect(chooseEvictions(candidates, 11)).toEqual([1, 2]);
  expect(chooseEvictions(candidates, 0)).toEqual([]);
  expect(chooseEvictions(candidates, 1_000)).toEqual([1, 2, 0]);
});

test("a leased content stays however old it is and however great the need", () => {
  fc.assert(
    fc.property(fc.array(candidate), fc.nat(5000), (candidates, need) => {
      const chosen = chooseEvictions(candidates, need);

      expect(chosen.some((index) => candidates[index]!.isPinned)).toBe(false);
      expect(new Set(chosen).size).toBe(chosen.length);
    }),
  );
});

test("enough is freed whenever that is possible, and nothing younger goes while something older stays", () => {
  fc.assert(
    fc.property(fc.array(candidate), fc.nat(5000), (candidates, need) => {
      const chosen = new Set(chooseEvictions(candidates, need));
      const free = (kept: (index: number) => boolean) =>
        candidates.reduce(
          (sum, { bytes, isPinned }, index) => sum + (!isPinned && kept(index) ? bytes : 0),
          0,
        );
      const freed = free((index) => chosen.has(index));

      expect(freed).toBeGreaterThanOrEqual(
        Math.min(
          need,
          free(() => true),
        ),
      );
      for (const index of chosen) {
        for (const [other, { lastUsedAt, isPinned, bytes }] of candidates.entries()) {
          if (isPinned || bytes === 0 || chosen.has(other)) continue;
          expect(lastUsedAt).toBeGreaterThanOrEqual(candidates[index]!.lastUsedAt);
        }
      }
    }),
  );
});
