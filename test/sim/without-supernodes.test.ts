// Swarms whose supernodes die in mid-download: the peers end from what they have and, rationed, from
// the source.

import { expect, test } from "bun:test";
import {
  fewOrphans,
  orphanedSwarm,
  READERS_PER_SEC,
} from "../../bench/swarm-sim/orphaned-swarm.ts";
import { overSeeds } from "./small-swarm.ts";

test("200 peers that lose their supernode at half end with few and short reads of the source", () => {
  overSeeds(2, (seed) => {
    const result = orphanedSwarm({ seed }).run();

    expect(result.finishSeconds.every(Number.isFinite)).toBe(true);
    expect(result.sourceReadsAtOnce).toBeGreaterThan(0);
    expect(result.sourceReadsAtOnce).toBeLessThanOrEqual(2 * READERS_PER_SEC);
    expect(result.bytesFromSource).toBeLessThanOrEqual(2 * 200 * 65_536);
  });
}, 60_000);

// Each read all that was missing before it knew of what the others had read.
test.each([2, 4, 10])(
  "%i peers that may all read the source read what is missing little more than once",
  (hosts) => {
    overSeeds(3, (seed) => {
      const result = fewOrphans(hosts, seed).run();

      expect(result.finishSeconds.every(Number.isFinite)).toBe(true);
      // Half of the content is missing.
      expect(result.bytesFromSource).toBeLessThanOrEqual(1.3 * 100 * 65_536);
    });
  },
  60_000,
);

test("the source is not read where the swarm has every piece", () => {
  overSeeds(2, (seed) => {
    const result = orphanedSwarm({
      seed,
      seedRates: [50e6],
      faults: [{ atUs: 8e6, kind: "supernodesDie" }],
    }).run();

    expect(result.finishSeconds.every(Number.isFinite)).toBe(true);
    expect(result.bytesFromSource).toBe(0);
  });
}, 60_000);

test("peers that may not read the source end where they have all pieces among them", () => {
  const faults = [{ atUs: 8e6, kind: "supernodesDie" } as const];

  const result = orphanedSwarm({ seedRates: [50e6], sourceReadersPerSec: 0, faults }).run();

  expect(result.finishSeconds.every(Number.isFinite)).toBe(true);
}, 60_000);

test("the same seed gives the same end", () => {
  const peerRates = Array.from({ length: 40 }, () => 10e6 / 8);

  const ends = [1, 1].map((seed) => orphanedSwarm({ seed, peerRates }).run().finishSeconds.join());

  expect(ends[0]).toBe(ends[1]);
}, 60_000);
