// Simulated swarms with the real scheduler, downloads and frames: every run is under the checkers
// (each piece verified once per host, no parent above its slots, the source read once, every child
// ends), with and without faults.

import { expect, test } from "bun:test";

import type { Fault } from "../../bench/swarm-sim/simulation-options.ts";
import { Prng } from "../../src/engine/core/prng.ts";
import { overSeeds, smallSwarm } from "./small-swarm.ts";

/** Seeds are host 0 …; the peers follow. */
const FIRST_PEER = 1;

test("the same seed gives the same trace, another seed another one", () => {
  const digests = [1, 1, 2].map((seed) => smallSwarm({ seed }).run().traceDigest);

  expect(digests[0]).toBe(digests[1]);
  expect(digests[0]).not.toBe(digests[2]);
});

test("every host ends near the fluid limit and nothing is carried twice", () => {
  overSeeds(20, (seed) => {
    const result = smallSwarm({ seed }).run();

    const limit = (40 * 65_536 * 8) / 10e6;
    expect(Math.max(...result.finishSeconds) / limit).toBeLessThan(1.5);
    expect(result.busyAnswers).toBe(0);
    expect(result.sourceCopies).toBe(1);
  });
});

test.each([1, 2, 3])("a swarm of %d hosts ends, whatever the number of pieces", (hosts) => {
  const peerRates = Array.from({ length: hosts }, () => 1e6);
  for (const contentLength of [1, 65_535, 65_536, 65_537, 200_000]) {
    const result = smallSwarm({ peerRates, contentLength }).run();

    expect(result.finishSeconds.every((seconds) => seconds < 5)).toBe(true);
  }
});

test("hosts that only download are fed by the others", () => {
  overSeeds(5, (seed) => {
    const result = smallSwarm({ seed, peerSlots: 0 }).run();

    expect(result.bytesFromPeers).toBe(0);
    expect(result.bytesFromSeeds).toBeGreaterThan(0);
  });
});

test("the hosts that live end when a third of them dies in mid-transfer", () => {
  overSeeds(20, (seed) => {
    const prng = new Prng(seed);
    const faults = Array.from({ length: 13 }, (): Fault => {
      return { atUs: prng.below(2_500_000), kind: "peerDies", host: FIRST_PEER + prng.below(40) };
    });
    const dead = new Set(faults.map(({ kind, ...fault }) => ("host" in fault ? fault.host : kind)));

    const result = smallSwarm({ seed, faults }).run();

    const living = result.finishSeconds.filter((_, peer) => !dead.has(FIRST_PEER + peer));
    expect(living.every(Number.isFinite)).toBe(true);
  });
});

test("parents that give wrong bytes are quarantined once the owner has seen it itself, and everyone ends", () => {
  overSeeds(20, (seed) => {
    const liars = [FIRST_PEER + 3, FIRST_PEER + 17, FIRST_PEER + 30];
    const faults = liars.map((host): Fault => ({ atUs: 100_000, kind: "turnsCorrupt", host }));

    const result = smallSwarm({ seed, faults }).run();

    expect(result.quarantined.every((host) => liars.includes(host))).toBe(true);
    expect(result.quarantined.length).toBeGreaterThan(0);
    expect(result.finishSeconds.every(Number.isFinite)).toBe(true);
  });
});

test("busy parents only cost time", () => {
  overSeeds(20, (seed) => {
    const faults = Array.from({ length: 20 }, (_, i): Fault => {
      return { atUs: 0, kind: "turnsBusy", host: FIRST_PEER + i * 2 };
    });

    const result = smallSwarm({ seed, faults }).run();

    expect(result.busyAnswers).toBeGreaterThan(0);
    expect(result.finishSeconds.every(Number.isFinite)).toBe(true);
  });
});

test("pieces stuck at a stalled parent are taken from a second one", () => {
  overSeeds(10, (seed) => {
    const faults = [5, 6, 7].map((host): Fault => ({ atUs: 500_000, kind: "stalls", host }));

    const result = smallSwarm({ seed, faults }).run();

    // Without hedging they would wait for the reservations' time, 30 s and more.
    expect(Math.max(...result.finishSeconds)).toBeLessThan(10);
  });
});

test("an owner that lost its books learns the swarm from its peers' bitmaps", () => {
  overSeeds(20, (seed) => {
    const faults: Fault[] = [{ atUs: 1_000_000, kind: "ownerRestarts", downUs: 500_000 }];

    const result = smallSwarm({ seed, faults }).run();

    expect(result.finishSeconds.every(Number.isFinite)).toBe(true);
    expect(result.sourceCopies).toBe(1);
  });
});

test("fast hosts do not wait for slow ones, and slow ones still end in time", () => {
  overSeeds(5, (seed) => {
    const peerRates = Array.from({ length: 40 }, (_, i) => (i < 20 ? 10e6 / 8 : 100e6 / 8));
    const contentLength = 300 * 65_536;

    const result = smallSwarm({ seed, peerRates, seedRates: [1e9 / 8], contentLength }).run();

    const lastSlow = Math.max(...result.finishSeconds.slice(0, 20));
    const lastFast = Math.max(...result.finishSeconds.slice(20));
    expect(lastSlow / ((contentLength * 8) / 10e6)).toBeLessThan(1.2);
    expect(lastFast / ((contentLength * 8) / 100e6)).toBeLessThan(1.8);
  });
});
