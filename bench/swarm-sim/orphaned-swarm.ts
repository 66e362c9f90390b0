// `bun bench/swarm-sim/orphaned-swarm.ts [--json]`: 200 hosts whose supernode dies for good when it
// has given out half of the content. They end from neighbours and, rationed, from the source; then the
// same with 4 hosts, which may all read a source that is as fast as they are.

import { PLAIN_FLEET } from "./plain-fleet.ts";
import type { SimulationOptions } from "./simulation-options.ts";
import { Simulation } from "./simulation.ts";

const HOSTS = 200;
const FEW = 4;
const HOST_RATE = 10e6 / 8;
const SEED_RATE = 4 * HOST_RATE;
const PIECE_LENGTH = 65_536;
const CONTENT_LENGTH = 200 * PIECE_LENGTH;

/** B: peers that begin to read the source per second. */
export const READERS_PER_SEC = 10;

/** A swarm that loses its supernode at half. */
export function orphanedSwarm(overrides: Partial<SimulationOptions> = {}): Simulation {
  const halfUs = ((CONTENT_LENGTH / 2) * 1e6) / SEED_RATE;
  return new Simulation({
    ...PLAIN_FLEET,
    contentLength: CONTENT_LENGTH,
    pieceLength: PIECE_LENGTH,
    peerRates: Array.from({ length: HOSTS }, () => HOST_RATE),
    seedRates: [SEED_RATE],
    limitUs: 600e6,
    sourceRate: 10 * HOST_RATE,
    sourceReadersPerSec: READERS_PER_SEC,
    faults: [{ atUs: halfUs, kind: "supernodesDie" }],
    ...overrides,
  });
}

/** Hosts so few that the ration is for all of them, on links on which each could read everything at once. */
export function fewOrphans(hosts: number, seed: number): Simulation {
  const seedRate = 10e6 / 8;
  const halfUs = ((CONTENT_LENGTH / 2) * 1e6) / seedRate;
  return orphanedSwarm({
    seed,
    peerRates: Array.from({ length: hosts }, () => 1e9 / 8),
    seedRates: [seedRate],
    sourceRate: 10e9 / 8,
    faults: [{ atUs: halfUs, kind: "supernodesDie" }],
  });
}

if (import.meta.main) {
  const seeds = [1, 2, 3, 4, 5];
  const swarms = [
    ...seeds.map((seed) => ({ hosts: HOSTS, seed, swarm: orphanedSwarm({ seed }) })),
    ...seeds.map((seed) => ({ hosts: FEW, seed, swarm: fewOrphans(FEW, seed) })),
  ];
  const runs = swarms.map(({ hosts, seed, swarm }) => {
    const result = swarm.run();
    return {
      hosts,
      seed,
      lastSeconds: Math.round(Math.max(...result.finishSeconds) * 10) / 10,
      sourceReadsAtOnce: result.sourceReadsAtOnce,
      sourceCopies: Math.round((result.bytesFromSource / CONTENT_LENGTH) * 1000) / 1000,
      busyAnswers: result.busyAnswers,
    };
  });
  const report = { size: CONTENT_LENGTH, readersPerSec: READERS_PER_SEC, runs };
  if (process.argv.includes("--json")) console.log(JSON.stringify(report));
  else console.table(runs);
}
