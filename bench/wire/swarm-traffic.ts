// All traffic of a swarm of shaped hosts, with compression and without: what their interfaces counted.

import type { Payload } from "../harness/payload.ts";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { run, Session } from "../harness/session.ts";
import { rounded } from "../harness/statistics.ts";
import { dfSwarm } from "../swarm-real/df-swarm.ts";
import { createFleet, type Host, on } from "../swarm-real/network.ts";
import { makeRootFilesTar } from "./root-files.ts";

export interface SwarmSize {
  hostCount: number;
  length: number;
  hostBitsPerSec: number;
}

interface SwarmRun {
  lastSeconds: number;
  /** That all hosts received, headers and retransmissions included. */
  receivedBytes: number;
  cpuSeconds: Record<string, number> | undefined;
}

/** One run each: the verdict is on counted bytes, which hardly vary. */
export async function compareSwarms(size: SwarmSize) {
  const plain = await runSwarm(size, "off");
  const compressed = await runSwarm(size, "auto");
  return {
    hosts: size.hostCount,
    trafficRatio: rounded(compressed.receivedBytes / plain.receivedBytes, 4),
    timeRatio: rounded(compressed.lastSeconds / plain.lastSeconds),
    plain,
    compressed,
  };
}

function runSwarm(size: SwarmSize, compression: "auto" | "off"): Promise<SwarmRun> {
  return Session.run("wire-swarm", async (session) => {
    const payload = await payloadOf(session, size.length);
    const { hostCount, hostBitsPerSec } = size;
    const link = { hostBitsPerSec, seedBitsPerSec: 10 * hostBitsPerSec };
    const fleet = await createFleet(session, { hostCount, ...link });
    const swarm = dfSwarm("api", ["--compression", compression]);
    const before = await receivedBytes(fleet.hosts);
    const done = await swarm.run(session, fleet, payload);
    const lastSeconds = Math.max(...done.finishSeconds);
    const received = (await receivedBytes(fleet.hosts)) - before;
    console.error(`swarm, ${compression}: last host after ${lastSeconds.toFixed(2)} s`);
    return {
      lastSeconds: rounded(lastSeconds),
      receivedBytes: received,
      cpuSeconds: done.cpuSeconds,
    };
  });
}

async function payloadOf(session: Session, length: number): Promise<Payload> {
  const root = join(session.folder, "root");
  await mkdir(root);
  return makeRootFilesTar(root, length);
}

async function receivedBytes(hosts: readonly Host[]): Promise<number> {
  let total = 0;
  for (const host of hosts) {
    total += Number(await run(on(host, ["cat", "/sys/class/net/eth0/statistics/rx_bytes"])));
  }
  return total;
}
