// npm run bench:wire: what compression and sealing do to time, traffic and CPU. One host behind a
// shaped link, cold supernodes and peers each time (every run is a URL of its own), variants in turn;
// then a swarm of shaped hosts. Needs root.

import { parseArgs } from "node:util";
import { startPeer, startSupernode } from "../harness/df-roles.ts";
import { provenance } from "../harness/machine.ts";
import { makePayload, type Payload } from "../harness/payload.ts";
import { Session } from "../harness/session.ts";
import { median, pairedRatios, rounded, summarize } from "../harness/statistics.ts";
import { parseBitRate, parseSize } from "../harness/units.ts";
import { createFleet, on, type Fleet } from "../swarm-real/network.ts";
import { startNginx } from "../swarm-real/nginx.ts";
import { startSealedFleet } from "./sealed-fleet.ts";
import { compareSwarms } from "./swarm-traffic.ts";
import { makeRootFilesTar } from "./root-files.ts";
import { runOnce, type WirePair, type WireRun } from "./wire-run.ts";

const USAGE = `npm run bench:wire -- [--size 200MB] [--random-size 100MB] [--sealed-size 400MB]
  [--pairs 5] [--host-rate 200Mbps] [--sealed-rate 1000Mbps] [--hosts 40] [--swarm-size 20MB]
  [--swarm-rate 10Mbps] [--parts compressible,random,sealed,swarm] [--json]`;

const PARTS = ["compressible", "random", "sealed", "swarm"] as const;
type Part = (typeof PARTS)[number];

interface Options {
  length: number;
  randomLength: number;
  sealedLength: number;
  pairs: number;
  hostBitsPerSec: number;
  sealedBitsPerSec: number;
  swarm: { hostCount: number; length: number; hostBitsPerSec: number };
  parts: readonly Part[];
  json: boolean;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      size: { type: "string", default: "200MB" },
      "random-size": { type: "string", default: "100MB" },
      "sealed-size": { type: "string", default: "400MB" },
      pairs: { type: "string", default: "5" },
      "host-rate": { type: "string", default: "200Mbps" },
      "sealed-rate": { type: "string", default: "1000Mbps" },
      hosts: { type: "string", default: "40" },
      "swarm-size": { type: "string", default: "20MB" },
      "swarm-rate": { type: "string", default: "10Mbps" },
      parts: { type: "string", default: PARTS.join(",") },
      json: { type: "boolean", default: false },
    },
  });
  const parts = values.parts.split(",").map((name) => {
    const part = PARTS.find((known) => known === name);
    if (part === undefined) throw new Error(`--parts ${name}\n${USAGE}`);
    return part;
  });
  return {
    length: parseSize(values.size),
    randomLength: parseSize(values["random-size"]),
    sealedLength: parseSize(values["sealed-size"]),
    pairs: Number(values.pairs),
    hostBitsPerSec: parseBitRate(values["host-rate"]),
    sealedBitsPerSec: parseBitRate(values["sealed-rate"]),
    swarm: {
      hostCount: Number(values.hosts),
      length: parseSize(values["swarm-size"]),
      hostBitsPerSec: parseBitRate(values["swarm-rate"]),
    },
    parts,
    json: values.json,
  };
}

/** One way to bring a payload, under the name by which its runs are printed. */
interface Variant {
  name: string;
  pair: WirePair;
  isSealed?: boolean;
}

/** Runs variants in turn, the order changing from round to round; a first round warms up and does not count. */
async function interleave(
  what: string,
  variants: readonly Variant[],
  { url, payload, rounds }: { url: string; payload: Payload; rounds: number },
): Promise<Map<string, WireRun[]>> {
  const runs = new Map<string, WireRun[]>(variants.map(({ name }) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    const order = round % 2 === 0 ? variants : variants.toReversed();
    for (const { name, pair, isSealed } of order) {
      const request = { url: `${url}?${what}-${name}-${round}`, isSealed };
      const done = await runOnce(pair, request, payload);
      if (round > 0) runs.get(name)!.push(done);
      const share = (done.pieceBytes / done.plainBytes).toFixed(3);
      console.error(
        `${what}, round ${round}, ${name}: ${done.seconds.toFixed(2)} s, ${share} × the bytes`,
      );
    }
  }
  return runs;
}

function compare(runs: Map<string, WireRun[]>, plain: string, other: string) {
  const [a, b] = [runs.get(other)!, runs.get(plain)!];
  const ratio = (read: (run: WireRun) => number) =>
    summarize(pairedRatios(a.map(read), b.map(read)));
  return {
    timeRatio: ratio(({ seconds }) => seconds).median,
    timeRatios: ratio(({ seconds }) => seconds),
    bytesRatio: rounded(median(a.map((run) => run.pieceBytes / run.plainBytes)), 4),
    seconds: { [plain]: secondsOf(b), [other]: secondsOf(a) },
    cpuSecondsPerGib: { [plain]: cpuPerGib(b), [other]: cpuPerGib(a) },
    lookShareOfSupernodeCpu: rounded(
      median(a.map((run) => run.lookSeconds / run.supernodeCpuSeconds)),
      4,
    ),
  };
}

function secondsOf(runs: readonly WireRun[]) {
  return summarize(runs.map(({ seconds }) => seconds));
}

function cpuPerGib(runs: readonly WireRun[]): { supernode: number; peer: number } {
  const perGib = (read: (run: WireRun) => number): number =>
    rounded(median(runs.map((run) => (read(run) * 2 ** 30) / run.plainBytes)), 2);
  return {
    supernode: perGib((run) => run.supernodeCpuSeconds),
    peer: perGib((run) => run.peerCpuSeconds),
  };
}

/** A supernode in the seed's place and a peer on the only host, one pair for each setting. */
async function startPair(
  session: Session,
  { seed, hosts }: Fleet,
  { compression, number }: { compression: "auto" | "off"; number: number },
): Promise<WirePair> {
  const [host] = hosts;
  const supernode = await startSupernode(session, {
    name: `supernode-${compression}`,
    host: seed.address,
    port: 8002 + 10 * number,
    wrap: (command) => on(seed, command),
    flags: ["--open", "--compression", compression],
  });
  const peer = await startPeer(session, {
    name: `peer-${compression}`,
    listen: `${host!.address}:${65002 + 10 * number}`,
    supernode: supernode.address,
    wrap: (command) => on(host!, command),
    flags: ["--open"],
  });
  return { supernode, peer, seed, statusEnvironment: [] };
}

async function benchCompression(options: Options, parts: readonly Part[]) {
  return Session.run("wire", async (session) => {
    const { hostBitsPerSec, pairs: rounds } = options;
    const random = await makePayload(session.folder, options.randomLength);
    const files = await makeRootFilesTar(random.root, options.length);
    const link = { hostBitsPerSec, seedBitsPerSec: 10 * hostBitsPerSec };
    const fleet = await createFleet(session, { hostCount: 1, ...link });
    const { root } = random;
    const source = await startNginx(session, { host: fleet.source, root, name: "source" });
    const off = await startPair(session, fleet, { compression: "off", number: 0 });
    const auto = await startPair(session, fleet, { compression: "auto", number: 1 });
    const variants = [
      { name: "plain", pair: off },
      { name: "compressed", pair: auto },
    ];
    const compared: Record<string, unknown> = {};
    for (const [part, payload] of [
      ["compressible", files],
      ["random", random],
    ] as const) {
      if (!parts.includes(part)) continue;
      const work = { url: source.url(payload.name), payload, rounds };
      compared[part] = compare(await interleave(part, variants, work), "plain", "compressed");
    }
    return compared;
  });
}

async function benchSealing(options: Options) {
  return Session.run("wire", async (session) => {
    const { sealedBitsPerSec, pairs: rounds } = options;
    // Random, so that sealing alone makes the difference.
    const payload = await makePayload(session.folder, options.sealedLength);
    const link = { hostBitsPerSec: sealedBitsPerSec, seedBitsPerSec: 10 * sealedBitsPerSec };
    const fleet = await createFleet(session, { hostCount: 1, ...link });
    const { root } = payload;
    const source = await startNginx(session, { host: fleet.source, root, name: "source" });
    const pair = await startSealedFleet(session, fleet);
    const variants = [
      { name: "plain", pair },
      { name: "sealed", pair, isSealed: true },
    ];
    const work = { url: source.url(payload.name), payload, rounds };
    return compare(await interleave("sealed", variants, work), "plain", "sealed");
  });
}

const options = readOptions();
const { parts } = options;
const result: Record<string, unknown> = {
  bench: "wire",
  ...provenance("bench:wire"),
  temperature: "cold supernode and peer: each run is a new content; page cache of the source warm",
};
if (parts.includes("compressible") || parts.includes("random"))
  Object.assign(result, await benchCompression(options, parts));
if (parts.includes("sealed")) result["sealed"] = await benchSealing(options);
if (parts.includes("swarm")) result["swarm"] = await compareSwarms(options.swarm);
console.log(options.json ? JSON.stringify(result) : Bun.inspect(result, { depth: 6 }));
