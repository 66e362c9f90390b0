// `npm run bench:sim`: one simulated swarm, its finish times against the fluid limit.
//
//   bun bench/swarm-sim/main.ts --peers 7000 --size 200MB --host-rate 200Mbps --seed-rate 2Gbps --seeds 2 --json

import { pieceCountOf, pieceLengthFor } from "../../src/engine/core/piece-layout.ts";
import { UPLOAD_SLOTS } from "../../src/limits.ts";
import { parseCommandLine, parseCount, parseFleet, parseRate, parseSize } from "./options.ts";
import { Simulation } from "./simulation.ts";

/** Owner's time per assignment with decode and encode: see docs/architecture.md, "Scheduling". */
const CONTROL_US = 2.5;
const MESSAGE_US = 0;

const flags = readFlags();
const contentLength = parseSize(flags.size);
const peers = parseCount("--peers", flags.peers);
const seeds = parseCount("--seeds", flags.seeds);
const fleet = parseFleet(flags["host-rate"], peers);
const seedRate = parseRate(flags["seed-rate"]);
const pieceLength =
  flags["piece-length"] === undefined
    ? pieceLengthFor(contentLength)
    : parseSize(flags["piece-length"]);
const controlUs = flags["control-free"] ? 0 : Number(flags["control-us"] ?? CONTROL_US);
const messageUs = flags["control-free"] ? 0 : Number(flags["message-us"] ?? MESSAGE_US);
const peerRates = fleet.flatMap(({ rate, hosts }) => Array.from({ length: hosts }, () => rate));

const simulation = new Simulation({
  contentLength,
  pieceLength,
  peerRates,
  seedRates: Array.from({ length: seeds }, () => seedRate),
  peerSlots: Number(flags["peer-slots"] ?? UPLOAD_SLOTS),
  seedSlots: Number(flags["seed-slots"] ?? 128),
  downloadSlots: Number(flags["download-slots"] ?? UPLOAD_SLOTS),
  controlUs,
  messageUs,
  rttUs: Number(flags["rtt-us"]),
  requestUs: Number(flags["request-us"]),
  wireFactor: Number(flags["wire-factor"]),
  requestBytes: Number(flags["request-bytes"]),
  joinSpreadUs: Number(flags["join-spread-ms"]) * 1000,
  seed: Number(flags.seed),
  limitUs: 100 * 3600 * 1e6,
});
const startedMs = performance.now();
const result = simulation.run();

/** No host can end before: the seeds gave out every byte, its own link took them, all links together moved them. */
function limitOf(rate: number, hosts: number, uploadRate: number): number {
  const seedUp = seeds * seedRate;
  return Math.max(
    contentLength / seedUp,
    contentLength / rate,
    (hosts * contentLength) / (seedUp + uploadRate),
  );
}

const uploadRate = peerRates.reduce((sum, rate) => sum + rate, 0);
const slowest = Math.min(...fleet.map(({ rate }) => rate));
const limitSeconds = limitOf(slowest, peers, uploadRate);
const sorted = result.finishSeconds.toSorted((a, b) => a - b);
const last = sorted.at(-1)!;
const ratioByClass: Record<string, number> = {};
let first = 0;
for (const { label, rate, hosts } of fleet) {
  const lastOfClass = Math.max(...result.finishSeconds.slice(first, first + hosts));
  ratioByClass[label] = round(lastOfClass / limitOf(rate, hosts, uploadRate));
  first += hosts;
}

const report = {
  peers,
  size: contentLength,
  pieceLength,
  pieceCount: pieceCountOf(contentLength, pieceLength),
  control: controlUs === 0 && messageUs === 0 ? "free" : { controlUs, messageUs },
  seed: Number(flags.seed),
  lastSeconds: round(last),
  p50Seconds: round(sorted[sorted.length >> 1]!),
  p90Seconds: round(sorted[Math.floor(sorted.length * 0.9)]!),
  p99Seconds: round(sorted[Math.floor(sorted.length * 0.99)]!),
  limitSeconds: round(limitSeconds),
  ratio: round(last / limitSeconds),
  ratioByClass,
  sourceCopies: result.sourceCopies,
  seedCopies: round(result.bytesFromSeeds / contentLength),
  assignments: result.assignments,
  messages: result.messages,
  busyAnswers: result.busyAnswers,
  duplicateBytes: result.duplicateBytes,
  ownerBusyShare: round(result.ownerBusySeconds / last),
  microsPerAssignment: round(simulation.measureControl()),
  events: result.events,
  wallSeconds: round((performance.now() - startedMs) / 1000),
  residentMiB: Math.round(process.memoryUsage.rss() / 2 ** 20),
  traceDigest: result.traceDigest,
};
if (flags.json) console.log(JSON.stringify(report));
else console.log(report);

/** Ends the process with wget's code for a wrong command line. */
function readFlags(): ReturnType<typeof parseCommandLine> {
  try {
    return parseCommandLine(process.argv.slice(2));
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(2);
  }
}

function round(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}
