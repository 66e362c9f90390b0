// A fleet's status in words: its supernodes by cluster, and how many hosts it has.

import type { Supernode } from "../../net/wire/admin-api.ts";
import { formatBytes } from "../get/progress.ts";

export interface FleetStatus {
  supernodes: Supernode[];
  /** How many are known. */
  hosts: number;
}

export function describeFleet({ supernodes, hosts }: FleetStatus): string {
  const clusters = [...new Set(supernodes.map(({ cluster }) => cluster))].toSorted();
  const alive = supernodes.filter(({ state }) => state === "alive").length;
  return [
    `fleet  ${alive} of ${supernodes.length} supernodes alive, ${hosts} hosts`,
    ...clusters.flatMap((name) => [
      `cluster ${name}`,
      ...supernodes.filter(({ cluster }) => cluster === name).map(describeSupernode),
    ]),
  ].join("\n");
}

function describeSupernode({ addresses, hostname, state, report, version }: Supernode): string {
  const address = addresses[0]?.address ?? hostname;
  const head = `  ${address}  ${state}  df ${version}`;
  if (report === null) return head;
  const { load, disk, contents } = report;
  const quota = disk.quotaBytes === null ? "" : ` of ${formatBytes(disk.quotaBytes)}`;
  const rates = `up ${formatBytes(load.uploadBytesPerSec)}/s, source ${formatBytes(load.sourceBytesPerSec)}/s`;
  const held = `${contents} contents, ${formatBytes(disk.usedBytes)}${quota}, ${formatBytes(disk.freeBytes)} free`;
  return `${head}  ${load.peers} peers, ${load.downloads} in swarms, ${rates}  ${held}`;
}
