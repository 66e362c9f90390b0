// npm run bench:swarm: brings one file to many hosts with shaped links, by `df` and by what people
// use today, and compares the last host's finish time with the fluid limit. Needs root.

import { parseArgs } from "node:util";
import { provenance } from "../harness/machine.ts";
import { makePayload } from "../harness/payload.ts";
import { Session } from "../harness/session.ts";
import { median, quantile, rounded, summarize } from "../harness/statistics.ts";
import { parseBitRate, parseSize } from "../harness/units.ts";
import { aria2c } from "./aria2c.ts";
import type { Contender, ContenderRun } from "./contender.ts";
import { curl } from "./curl.ts";
import { dfSwarm } from "./df-swarm.ts";
import { createFleet, type FleetOptions } from "./network.ts";

const USAGE = `npm run bench:swarm -- --hosts N --size 20MB --host-rate 10Mbps --seed-rate 100Mbps
  [--against curl,aria2c] [--only] [--via api|get] [--runs K] [--json]`;

const BASELINES: Record<string, Contender> = { curl, aria2c };

interface Options extends FleetOptions {
  length: number;
  contenders: Contender[];
  runs: number;
  json: boolean;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      hosts: { type: "string", default: "40" },
      size: { type: "string", default: "20MB" },
      "host-rate": { type: "string", default: "10Mbps" },
      "seed-rate": { type: "string", default: "100Mbps" },
      against: { type: "string", default: "" },
      /** Runs the baselines alone. */
      only: { type: "boolean", default: false },
      via: { type: "string", default: "api" },
      runs: { type: "string", default: "1" },
      json: { type: "boolean", default: false },
    },
  });
  if (values.via !== "api" && values.via !== "get") throw new Error(`--via: api or get\n${USAGE}`);
  const baselines = values.against
    .split(",")
    .filter((name) => name !== "")
    .map((name) => {
      const baseline = BASELINES[name];
      if (baseline === undefined) throw new Error(`--against ${name}: curl or aria2c\n${USAGE}`);
      return baseline;
    });
  return {
    hostCount: Number(values.hosts),
    hostBitsPerSec: parseBitRate(values["host-rate"]),
    seedBitsPerSec: parseBitRate(values["seed-rate"]),
    length: parseSize(values.size),
    contenders: values.only ? baselines : [dfSwarm(values.via), ...baselines],
    runs: Number(values.runs),
    json: values.json,
  };
}

/** Seconds in which the last of N hosts can have the file at best, were bytes a fluid. */
function fluidLimitSeconds(options: Options): number {
  const bits = options.length * 8;
  const { seedBitsPerSec: seed, hostBitsPerSec: host, hostCount } = options;
  return Math.max(bits / seed, bits / host, (hostCount * bits) / (seed + hostCount * host));
}

/** One run in a fleet of its own: no contender inherits another's connections or caches. */
function runOnce(contender: Contender, options: Options): Promise<ContenderRun> {
  return Session.run("swarm", async (session) => {
    const payload = await makePayload(session.folder, options.length);
    const fleet = await createFleet(session, options);
    return contender.run(session, fleet, payload);
  });
}

function report(name: string, runs: ContenderRun[], limitSeconds: number): Record<string, unknown> {
  const lasts = runs.map(({ finishSeconds }) => Math.max(...finishSeconds));
  const medians = runs.map(({ finishSeconds }) => median(finishSeconds));
  const last = runs.at(-1)!;
  return {
    contender: name,
    runs: runs.length,
    lastSeconds: summarize(lasts),
    medianSeconds: summarize(medians),
    p99Seconds: rounded(median(runs.map(({ finishSeconds }) => quantile(finishSeconds, 0.99)))),
    limitSeconds: rounded(limitSeconds),
    ratio: rounded(median(lasts) / limitSeconds),
    lastOverMedian: rounded(median(lasts.map((value, i) => value / medians[i]!))),
    source: last.source,
    bytesBySource: last.bytesBySource,
    tailMsMax: last.tailMsMax,
    cpuSeconds: last.cpuSeconds,
  };
}

const options = readOptions();
const limitSeconds = fluidLimitSeconds(options);
const runs = new Map<Contender, ContenderRun[]>();
for (let round = 0; round < options.runs; round++) {
  for (const contender of options.contenders) {
    const done = await runOnce(contender, options);
    runs.set(contender, [...(runs.get(contender) ?? []), done]);
    const last = Math.max(...done.finishSeconds);
    console.error(
      `round ${round + 1}, ${contender.name}: last of ${options.hostCount} hosts after ${last.toFixed(2)} s, ${(last / limitSeconds).toFixed(2)} × the limit`,
    );
  }
}
const results = [...runs].map(([contender, done]) => report(contender.name, done, limitSeconds));
const whole = { bench: "swarm-real", ...provenance("bench:swarm"), results };
console.log(options.json ? JSON.stringify(whole) : Bun.inspect(whole, { depth: 6 }));
