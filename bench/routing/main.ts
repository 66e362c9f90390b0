// npm run bench:routing: how many hosts one core of `df config` tells their supernodes, how long one
// waits, and what ten thousand hosts that follow their lists cost it. The real executable, pinned to
// one core; the hosts are sockets of this process, on another.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { DF } from "../harness/df-roles.ts";
import { freePortPair } from "../harness/free-port.ts";
import { provenance } from "../harness/machine.ts";
import { processUsage } from "../harness/process-usage.ts";
import { Session, waitUntil } from "../harness/session.ts";
import { quantile, rounded } from "../harness/statistics.ts";
import { BenchFleet, type BenchHost, eachOf } from "./fleet.ts";
import { HttpConnection, requestOf } from "./http-connection.ts";

const { values } = parseArgs({
  options: {
    hosts: { type: "string", default: "10000" },
    supernodes: { type: "string", default: "100" },
    clusters: { type: "string", default: "20" },
    rules: { type: "string", default: "1000" },
    connections: { type: "string", default: "8" },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "5" },
    refresh: { type: "string", default: "60" },
    json: { type: "boolean", default: false },
  },
});
const hostCount = Number(values.hosts);
const clusterCount = Number(values.clusters);
const supernodeCount = Number(values.supernodes);
const SEED = 1;

interface Round {
  requestsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  /** Of one core. */
  cpuShare: number;
  /** What a whole core answers; does not depend on who else has the machine. */
  requestsPerCpuSecond: number;
}

/** Hosts ask one after another, over so many connections, as fast as they are answered. */
async function measureRound(port: number, pid: number, hosts: BenchHost[]): Promise<Round> {
  const requests = hosts.map(({ request, credential }) => requestOf("routes", request, credential));
  const connections = await Promise.all(
    Array.from({ length: Number(values.connections) }, () => HttpConnection.open(port)),
  );
  const waitedMs: number[] = [];
  const before = processUsage(pid)!;
  const startedMs = performance.now();
  const untilMs = startedMs + 1_000 * Number(values.seconds);
  let next = 0;
  await Promise.all(
    connections.map(async (connection) => {
      while (performance.now() < untilMs) {
        const request = requests[next++ % requests.length]!;
        const askedMs = performance.now();
        const { status, body } = await connection.ask(request);
        waitedMs.push(performance.now() - askedMs);
        if (status !== 200) throw new Error(`df config answered ${status}: ${body}`);
      }
    }),
  );
  const seconds = (performance.now() - startedMs) / 1_000;
  const cpuSeconds = processUsage(pid)!.cpuSeconds - before.cpuSeconds;
  for (const connection of connections) connection.close();
  return {
    requestsPerSecond: Math.round(waitedMs.length / seconds),
    p50Ms: rounded(quantile(waitedMs, 0.5)),
    p99Ms: rounded(quantile(waitedMs, 0.99)),
    cpuShare: rounded(cpuSeconds / seconds),
    requestsPerCpuSecond: Math.round(waitedMs.length / cpuSeconds),
  };
}

/**
 * Every host holds a request, and asks again whenever it is answered. In the middle a supernode comes,
 * so that all lists change.
 */
async function measureRefresh(port: number, pid: number, hosts: BenchHost[], fleet: BenchFleet) {
  const connections: HttpConnection[] = [];
  await eachOf(hosts.length, 64, async (i) => {
    connections[i] = await HttpConnection.open(port);
  });
  let answers = 0;
  let isOver = false;
  const versions = new Float64Array(hosts.length);
  const follow = async (i: number): Promise<void> => {
    const { request, credential } = hosts[i]!;
    while (!isOver) {
      const known = {
        ...request,
        knownVersion: versions[i]!,
        waitSeconds: versions[i]! > 0 ? 50 : 0,
      };
      const { status, body } = await connections[i]!.ask(requestOf("routes", known, credential));
      if (status !== 200) throw new Error(`df config answered ${status}: ${body}`);
      answers++;
      versions[i] = (JSON.parse(body) as { version: number }).version;
    }
  };
  const failures: unknown[] = [];
  for (const i of hosts.keys()) void follow(i).catch((error: unknown) => failures.push(error));
  await waitUntil("every host has a list", () => versions.every((version) => version > 0), 60_000);
  await Bun.sleep(2_000);

  const before = { ...processUsage(pid)!, answers, version: versions[0]! };
  const startedMs = performance.now();
  await Bun.sleep((1_000 * Number(values.refresh)) / 3);
  const changedMs = performance.now();
  await fleet.startSupernodes(1, clusterCount, supernodeCount);
  const isNew = (): boolean => versions.every((version) => version > before.version);
  await waitUntil("every list is new", () => failures.length > 0 || isNew(), 60_000);
  const newWithinSeconds = (performance.now() - changedMs) / 1_000;
  await Bun.sleep(Math.max(0, startedMs + 1_000 * Number(values.refresh) - performance.now()));
  const seconds = (performance.now() - startedMs) / 1_000;
  const after = processUsage(pid)!;
  isOver = true;
  for (const connection of connections) connection.close();
  if (failures.length > 0) throw failures[0];
  return {
    hosts: hosts.length,
    seconds: rounded(seconds, 1),
    answers: answers - before.answers,
    /** From the supernode's first heartbeat until the last host had the new list. */
    newListWithinSeconds: rounded(newWithinSeconds, 2),
    cpuShare: rounded((after.cpuSeconds - before.cpuSeconds) / seconds),
    residentMB: Math.round(after.residentBytes / 1e6),
  };
}

async function main(session: Session): Promise<void> {
  const port = await freePortPair();
  const dataDir = join(session.folder, "config");
  const logPath = join(session.folder, "config.log");
  const flags = ["--listen", `127.0.0.1:${port}`, "--data-dir", dataDir];
  const { pid } = session.start(["taskset", "-c", "0", DF, "config", ...flags], { logPath });
  await waitUntil("df config", () =>
    fetch(`http://127.0.0.1:${port}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
  const adminToken = readFileSync(join(dataDir, "admin-token"), "utf8").trim();
  const fleet = new BenchFleet(port, adminToken, SEED);
  session.defer(() => fleet.stop());
  await fleet.prepare({ clusterCount, ruleCount: Number(values.rules) });
  await fleet.startSupernodes(supernodeCount, clusterCount);
  const hosts = await fleet.joinHosts(hostCount);

  // Each credential's signature is checked once; hosts of a fleet that runs have shown theirs before.
  const cold = await measureRound(port, pid, hosts);
  const rounds: Round[] = [];
  for (let i = 0; i < Number(values.rounds); i++) rounds.push(await measureRound(port, pid, hosts));
  const refresh = await measureRefresh(port, pid, hosts, fleet);

  const median = (of: (round: Round) => number): number => rounded(quantile(rounds.map(of), 0.5));
  const result = {
    requestsPerSecond: Math.round(median((round) => round.requestsPerSecond)),
    requestsPerCpuSecond: Math.round(median((round) => round.requestsPerCpuSecond)),
    p50Ms: median((round) => round.p50Ms),
    p99Ms: median((round) => round.p99Ms),
    fleet: { supernodes: supernodeCount, clusters: clusterCount, rules: Number(values.rules) },
    connections: Number(values.connections),
    cold,
    rounds,
    refresh,
    ...{ seed: SEED, ...provenance("bench:routing") },
  };
  console.log(values.json ? JSON.stringify(result, null, 2) : describe(result));
}

function describe(result: {
  requestsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  refresh: Awaited<ReturnType<typeof measureRefresh>>;
}): string {
  const { requestsPerSecond, p50Ms, p99Ms, refresh } = result;
  return [
    `${requestsPerSecond} lists per second on one core, p50 ${p50Ms} ms, p99 ${p99Ms} ms`,
    `${refresh.hosts} hosts that follow their lists, all changed once in ${refresh.seconds} s: ` +
      `${Math.round(100 * refresh.cpuShare)} % of a core, the last new after ` +
      `${refresh.newListWithinSeconds} s, ${refresh.residentMB} MB`,
  ].join("\n");
}

await Session.run("routing", main);
process.exit();
