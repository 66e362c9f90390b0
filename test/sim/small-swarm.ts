// A small simulated swarm with overrides only, and runs over many seeds that name the failing one.

import { PLAIN_FLEET } from "../../bench/swarm-sim/plain-fleet.ts";
import type { SimulationOptions } from "../../bench/swarm-sim/simulation-options.ts";
import { Simulation } from "../../bench/swarm-sim/simulation.ts";

/** Forty hosts at 10 Mb/s, one seed at 100 Mb/s, 40 pieces of 64 KiB: what the real bench runs. */
export function smallSwarm(overrides: Partial<SimulationOptions>): Simulation {
  const rate = 10e6 / 8;
  return new Simulation({
    ...PLAIN_FLEET,
    contentLength: 40 * 65_536 - 1_000,
    pieceLength: 65_536,
    peerRates: Array.from({ length: 40 }, () => rate),
    seedRates: [rate * 10],
    limitUs: 120e6,
    ...overrides,
  });
}

/** Runs `check` for each seed; the first line of a failure says how to see it again. */
export function overSeeds(count: number, check: (seed: number) => void): void {
  const only = process.env["SEED"];
  const seeds =
    only === undefined ? Array.from({ length: count }, (_, seed) => seed) : [Number(only)];
  for (const seed of seeds) {
    try {
      check(seed);
    } catch (error) {
      throw new Error(`SEED=${seed} bun test test/sim\n${String(error)}`, { cause: error });
    }
  }
}
