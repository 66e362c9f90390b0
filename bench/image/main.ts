// npm run bench:image: one container image to many hosts, through the mirror of each and by pulls from the
// registry itself; what the registry sent is read from its own log. Needs root and Debian's docker-registry.
//
//   swarm     N hosts with light clients behind slow links, the registry behind a slower one
//   direct    the same hosts without `df`, once: it takes minutes
//   alone     one fast host, nobody to share with: what the way through `df` costs it
//   engines   Docker, containerd and podman on three of those hosts

import { parseArgs } from "node:util";
import { provenance } from "../harness/machine.ts";
import { Session } from "../harness/session.ts";
import { median, pairedRatios, rounded, summarize } from "../harness/statistics.ts";
import { parseBitRate, parseSize } from "../harness/units.ts";
import { createFleet } from "../swarm-real/network.ts";
import { startBenchRegistry } from "./bench-registry.ts";
import { ENGINES, pullByEngines } from "./engine-pulls.ts";
import { MIRROR, startImageSwarm } from "./image-swarm.ts";
import { pullOnEveryHost, type LightPulls } from "./light-pulls.ts";

const USAGE = `npm run bench:image -- --hosts N [--parts swarm,direct,alone,engines] [--runs K] [--json]
  [--layers 6MB,3MB,1MB] [--host-rate 10Mbps] [--seed-rate 100Mbps] [--registry-rate 12.5Mbps]
  [--alone-size 200MB] [--alone-rate 200Mbps] [--pairs K]`;

const PARTS = ["swarm", "direct", "alone", "engines"] as const;
type Part = (typeof PARTS)[number];

interface Options {
  hostCount: number;
  parts: readonly Part[];
  layers: number[];
  hostBitsPerSec: number;
  seedBitsPerSec: number;
  registryBitsPerSec: number;
  /** Of the swarm. */
  runs: number;
  aloneLength: number;
  aloneBitsPerSec: number;
  pairs: number;
  json: boolean;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      hosts: { type: "string", default: "40" },
      parts: { type: "string", default: PARTS.join(",") },
      layers: { type: "string", default: "6MB,3MB,1MB" },
      "host-rate": { type: "string", default: "10Mbps" },
      "seed-rate": { type: "string", default: "100Mbps" },
      "registry-rate": { type: "string", default: "12.5Mbps" },
      runs: { type: "string", default: "5" },
      "alone-size": { type: "string", default: "200MB" },
      "alone-rate": { type: "string", default: "200Mbps" },
      pairs: { type: "string", default: "5" },
      json: { type: "boolean", default: false },
    },
  });
  const parts = values.parts.split(",") as Part[];
  if (!parts.every((part) => PARTS.includes(part))) throw new Error(USAGE);
  return {
    hostCount: Number(values.hosts),
    parts,
    layers: values.layers.split(",").map(parseSize),
    hostBitsPerSec: parseBitRate(values["host-rate"]),
    seedBitsPerSec: parseBitRate(values["seed-rate"]),
    registryBitsPerSec: parseBitRate(values["registry-rate"]),
    runs: Number(values.runs),
    aloneLength: parseSize(values["alone-size"]),
    aloneBitsPerSec: parseBitRate(values["alone-rate"]),
    pairs: Number(values.pairs),
    json: values.json,
  };
}

/** Seconds in which the last of N hosts can have the image at best, were bytes a fluid. */
function fluidLimitSeconds(options: Options, hostCount: number, imageBytes: number): number {
  const bits = imageBytes * 8;
  const { seedBitsPerSec: seed, hostBitsPerSec: host, registryBitsPerSec: registry } = options;
  return Math.max(
    ...[registry, seed, host].map((rate) => bits / rate),
    (hostCount * bits) / (seed + hostCount * host),
  );
}

/** The same network for the swarm and for the direct pull, with a registry that nobody asked yet. */
async function shapedFleet(session: Session, options: Options, hostCount: number) {
  const { hostBitsPerSec, seedBitsPerSec, registryBitsPerSec } = options;
  const fleet = await createFleet(session, {
    ...{ hostCount, hostBitsPerSec, seedBitsPerSec, sourceBitsPerSec: registryBitsPerSec },
  });
  return { fleet, registry: await startBenchRegistry(session, fleet.source, options.layers) };
}

const lastOf = ({ finishSeconds }: LightPulls): number => Math.max(...finishSeconds);

function benchDirect(options: Options) {
  return Session.run("image", async (session) => {
    const { fleet, registry } = await shapedFleet(session, options, options.hostCount);
    const target = { base: `http://${registry.address}` };
    const pulls = await pullOnEveryHost(session, fleet.hosts, target, registry.imageBytes);
    console.error(`direct: last of ${options.hostCount} hosts after ${lastOf(pulls).toFixed(1)} s`);
    const egressCopies = rounded(await registry.egressCopies(), 2);
    return { hosts: options.hostCount, seconds: rounded(lastOf(pulls)), egressCopies };
  });
}

function benchThroughMirrors(options: Options) {
  return Session.run("image", async (session) => {
    const { fleet, registry } = await shapedFleet(session, options, options.hostCount);
    const swarm = await startImageSwarm(session, fleet, { registry: registry.address, name: "df" });
    const before = swarm.cpuSeconds();
    const target = { base: `http://${MIRROR}`, query: `?ns=${registry.address}` };
    const pulls = await pullOnEveryHost(session, fleet.hosts, target, registry.imageBytes);
    const after = swarm.cpuSeconds();
    const limitSeconds = fluidLimitSeconds(options, options.hostCount, registry.imageBytes);
    const run = {
      lastSeconds: lastOf(pulls),
      medianSeconds: median(pulls.finishSeconds),
      limitSeconds,
      imageBytes: registry.imageBytes,
      egressCopies: await registry.egressCopies(),
      cpuSeconds: {
        supernode: after.supernode - before.supernode,
        peers: after.peers - before.peers,
        clients: pulls.cpuSeconds,
      },
    };
    const ratio = run.lastSeconds / limitSeconds;
    console.error(
      `through mirrors: last after ${run.lastSeconds.toFixed(2)} s, ${ratio.toFixed(2)} × the limit, ${run.egressCopies.toFixed(4)} copies`,
    );
    return run;
  });
}

async function benchSwarm(options: Options) {
  const runs: Awaited<ReturnType<typeof benchThroughMirrors>>[] = [];
  for (let i = 0; i < options.runs; i++) runs.push(await benchThroughMirrors(options));
  const lasts = runs.map(({ lastSeconds }) => lastSeconds);
  const middle = (read: (run: (typeof runs)[number]) => number): number =>
    rounded(median(runs.map(read)));
  const { limitSeconds, imageBytes } = runs[0]!;
  return {
    hosts: options.hostCount,
    imageBytes,
    limitSeconds: rounded(limitSeconds),
    lastSeconds: summarize(lasts),
    medianSeconds: middle(({ medianSeconds }) => medianSeconds),
    /** The worst of all runs. */
    egressCopies: rounded(Math.max(...runs.map(({ egressCopies }) => egressCopies)), 4),
    ratio: rounded(median(lasts) / limitSeconds),
    cpuSeconds: {
      supernode: middle(({ cpuSeconds }) => cpuSeconds.supernode),
      peers: middle(({ cpuSeconds }) => cpuSeconds.peers),
      clients: middle(({ cpuSeconds }) => cpuSeconds.clients),
    },
  };
}

/** Each run has a supernode and a peer that know nothing; the order in a pair alternates. */
function benchAlone({ aloneLength, aloneBitsPerSec, pairs }: Options) {
  return Session.run("image", async (session) => {
    const link = { hostBitsPerSec: aloneBitsPerSec, seedBitsPerSec: 10 * aloneBitsPerSec };
    const fleet = await createFleet(session, { hostCount: 1, ...link });
    const layers = [0.6, 0.3, 0.1].map((share) => Math.round(share * aloneLength));
    const registry = await startBenchRegistry(session, fleet.source, layers);
    const { hosts } = fleet;
    const measureDirect = async (): Promise<number> => {
      const target = { base: `http://${registry.address}` };
      return lastOf(await pullOnEveryHost(session, hosts, target, registry.imageBytes));
    };
    const measureDf = async (name: string): Promise<number> => {
      const swarm = await startImageSwarm(session, fleet, { registry: registry.address, name });
      const target = { base: `http://${MIRROR}`, query: `?ns=${registry.address}` };
      const pulls = await pullOnEveryHost(session, hosts, target, registry.imageBytes);
      await swarm.stop();
      return lastOf(pulls);
    };
    const df: number[] = [];
    const direct: number[] = [];
    for (let pair = 0; pair < pairs; pair++) {
      if (pair % 2 === 1) direct.push(await measureDirect());
      df.push(await measureDf(`pair-${pair}`));
      if (pair % 2 === 0) direct.push(await measureDirect());
      console.error(
        `alone, pair ${pair + 1}: df ${df[pair]!.toFixed(2)} s, direct ${direct[pair]!.toFixed(2)} s`,
      );
    }
    return {
      imageBytes: registry.imageBytes,
      dfSeconds: summarize(df),
      directSeconds: summarize(direct),
      ratio: summarize(pairedRatios(df, direct)),
    };
  });
}

function benchEngines(options: Options) {
  return Session.run("image", async (session) => {
    const { fleet, registry } = await shapedFleet(session, options, ENGINES.length);
    const { hosts } = fleet;
    const common = { registry: registry.address, image: registry.image };
    const direct = await pullByEngines(session, hosts, { ...common, isThroughMirror: false });
    await registry.forget();
    await startImageSwarm(session, fleet, { registry: registry.address, name: "df" });
    const throughMirror = await pullByEngines(session, hosts, { ...common, isThroughMirror: true });
    const seconds = (pulls: Record<string, number>) =>
      Object.fromEntries(
        Object.entries(pulls).map(([engine, value]) => [engine, rounded(value, 2)]),
      );
    const result = {
      limitSeconds: rounded(fluidLimitSeconds(options, ENGINES.length, registry.imageBytes)),
      egressCopies: rounded(await registry.egressCopies(), 4),
      seconds: seconds(throughMirror),
      directSeconds: seconds(direct),
    };
    console.error(`engines: ${JSON.stringify(result)}`);
    return result;
  });
}

const options = readOptions();
const result: Record<string, unknown> = {
  bench: "image",
  ...provenance("bench:image"),
  temperature:
    "cold supernode and peers, page cache of the registry warm; light clients keep nothing",
};
const { parts } = options;
const swarm = parts.includes("swarm") ? await benchSwarm(options) : null;
const direct = parts.includes("direct") ? await benchDirect(options) : null;
if (swarm !== null) result["swarm"] = swarm;
if (direct !== null) result["direct"] = direct;
if (swarm !== null && direct !== null)
  result["speedup"] = rounded(direct.seconds / swarm.lastSeconds.median, 1);
if (parts.includes("alone")) result["alone"] = await benchAlone(options);
if (parts.includes("engines")) result["engines"] = await benchEngines(options);
console.log(options.json ? JSON.stringify(result) : Bun.inspect(result, { depth: 6 }));
