// `npm run bench:predict`: runs the real fleet of bench:swarm and the simulator over the same
// swarm, and compares the last host's finish time. Needs root, for the shaped links.
//
//   npm run bench:predict -- --hosts 40 --size 20MB --host-rate 10Mbps --seed-rate 100Mbps --json
//   npm run bench:predict -- --real bench/results/….json     compares with a run that was kept
//
// Its output is kept as bench/results/predict-40.json; test/sim/prediction.test.ts holds the
// simulator to it.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { provenance } from "./harness/machine.ts";
import { run } from "./harness/session.ts";
import { median, rounded, summarize } from "./harness/statistics.ts";
import { parseBitRate, parseSize } from "./harness/units.ts";
import {
  REQUEST_BYTES,
  simulateShaped,
  type ShapedFleet,
  WIRE_FACTOR,
} from "./swarm-sim/shaped-fleet.ts";

/** How far the prediction may be off. */
const TOLERANCE = 0.1;

/** Chance decides in a small swarm: the prediction is the median over so many seeds. */
const SIMULATED_SEEDS = 9;

interface RealReport {
  results: { contender: string; lastSeconds: { median: number }; limitSeconds: number }[];
}

const { values: flags } = parseArgs({
  options: {
    hosts: { type: "string", default: "40" },
    size: { type: "string", default: "20MB" },
    "host-rate": { type: "string", default: "10Mbps" },
    "seed-rate": { type: "string", default: "100Mbps" },
    runs: { type: "string", default: "3" },
    real: { type: "string" },
    json: { type: "boolean", default: false },
  },
});

const fleet: ShapedFleet = {
  hosts: Number(flags.hosts),
  sizeBytes: parseSize(flags.size),
  hostBytesPerSec: parseBitRate(flags["host-rate"]) / 8,
  seedBytesPerSec: parseBitRate(flags["seed-rate"]) / 8,
};

async function realRun(): Promise<RealReport["results"][number]> {
  const text =
    flags.real === undefined
      ? await run([
          ...[process.execPath, `${import.meta.dir}/swarm-real/main.ts`],
          ...["--hosts", flags.hosts, "--size", flags.size, "--host-rate", flags["host-rate"]],
          ...["--seed-rate", flags["seed-rate"], "--runs", flags.runs, "--json"],
        ])
      : readFileSync(flags.real, "utf8");
  const report = JSON.parse(text) as RealReport;
  const ours = report.results.find(({ contender }) => contender.startsWith("df"));
  if (ours === undefined) throw new Error("the real run has no result of df");
  return ours;
}

const real = await realRun();
const simulated = Array.from({ length: SIMULATED_SEEDS }, (_, i) => simulateShaped(fleet, i + 1));

const measuredSeconds = real.lastSeconds.median;
const error = median(simulated) / measuredSeconds - 1;
const isWithin = Math.abs(error) <= TOLERANCE;
const report = {
  bench: "predict",
  ...provenance("bench:predict"),
  fleet,
  wireFactor: rounded(WIRE_FACTOR),
  requestBytes: REQUEST_BYTES,
  limitSeconds: real.limitSeconds,
  measuredLastSeconds: real.lastSeconds,
  simulatedLastSeconds: summarize(simulated),
  measuredRatio: rounded(measuredSeconds / real.limitSeconds),
  simulatedRatio: rounded(median(simulated) / real.limitSeconds),
  errorShare: rounded(error),
  toleranceShare: TOLERANCE,
  verdict: isWithin ? "within" : "outside",
};
console.log(flags.json ? JSON.stringify(report) : report);
if (!isWithin) process.exitCode = 1;
