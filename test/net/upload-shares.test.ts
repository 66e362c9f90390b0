// Who finds a place at a parent whose slots are taken.

import { expect, test } from "bun:test";
import { UploadShares } from "../../src/net/piece/upload-shares.ts";

const SLOTS = 3;

function at(address: string, port: number): { address: string; port: number } {
  return { address, port };
}

test("within the slots everybody is admitted", () => {
  const shares = new UploadShares();

  const admitted = [1, 2, 3].map((pending) =>
    shares.admits(at("a", pending), { pending, slots: SLOTS, nowMs: 0 }),
  );

  expect(admitted).toEqual([true, true, true]);
});

test("T-28: a host that holds every slot keeps itself out, not the others", () => {
  const shares = new UploadShares();
  for (const port of [1, 2, 3]) {
    shares.admits(at("slow", port), { pending: port, slots: SLOTS, nowMs: 0 });
  }

  const now = { slots: SLOTS, nowMs: 10 };
  const slowAgain = shares.admits(at("slow", 4), { pending: 4, ...now });
  const honest = shares.admits(at("honest", 1), { pending: 4, ...now });
  const honestTwice = shares.admits(at("honest", 2), { pending: 5, ...now });
  const honestNext = shares.admits(at("honest", 1), { pending: 4, ...now });

  expect({ slowAgain, honest, honestTwice, honestNext }).toEqual({
    slowAgain: false,
    honest: true,
    honestTwice: false,
    honestNext: true,
  });
});

test("however many hosts come, the places have an end, and none are given where there are no slots", () => {
  const shares = new UploadShares();
  const admitted = Array.from({ length: 40 }, (_, i) =>
    shares.admits(at(`host-${i}`, 1), { pending: Math.min(i + 1, 13), slots: SLOTS, nowMs: 0 }),
  );

  expect(admitted.filter(Boolean)).toHaveLength(12);
  expect(shares.admits(at("new", 1), { pending: 1, slots: 0, nowMs: 0 })).toBe(false);
});

test("a host that went away is forgotten", () => {
  const shares = new UploadShares();
  for (const port of [1, 2, 3]) {
    shares.admits(at("gone", port), { pending: port, slots: SLOTS, nowMs: 100_000 });
  }

  expect(shares.admits(at("gone", 9), { pending: 4, slots: SLOTS, nowMs: 161_000 })).toBe(true);
});
