// Which machines a preheat is for: chosen once, from those that are registered then, and for the same
// request among the same hosts the same ones.

import { digestNow } from "../../../engine/bytes/digest.ts";
import { isSelected, ROLE_LABEL } from "../../../net/wire/fleet-settings.ts";
import type { PreheatScope } from "../../../net/wire/preheat-api.ts";
import type { FleetDatabase } from "../../../store/fleet-database/fleet-database.ts";
import { channelsOf, type HostRow, listHosts } from "../../../store/fleet-database/hosts.ts";
import { listSupernodes } from "../../../store/fleet-database/supernodes.ts";

export interface ChosenMachine {
  hostId: string;
  role: "supernode" | "peer";
}

export interface Choice {
  scope: PreheatScope;
  /** Empty: all. */
  clusters: readonly string[];
  /** Decides which hosts a share takes. */
  seed: string;
}

/** A host that did not ask for its supernodes for so long is not expected back. */
const ABSENT_AFTER_MS = 86_400_000;

const HOSTS_PAGE = 1_000;

/** By host ID. */
export async function chooseMachines(
  database: FleetDatabase,
  choice: Choice,
): Promise<ChosenMachine[]> {
  return choice.scope.kind === "supernodes"
    ? chooseSupernodes(database, choice)
    : choosePeers(database, choice.scope, choice);
}

/** The given share of hosts, at least one of them: those whose digest with the seed is lowest. */
export function takeShare(hostIds: readonly string[], percent: number, seed: string): string[] {
  const count = Math.ceil((hostIds.length * percent) / 100);
  return hostIds
    .map((hostId) => ({ hostId, rank: digestNow("sha256", `${seed} ${hostId}`) }))
    .toSorted((a, b) => Buffer.compare(a.rank, b.rank))
    .slice(0, count)
    .map(({ hostId }) => hostId)
    .toSorted();
}

async function chooseSupernodes(
  database: FleetDatabase,
  { clusters }: Choice,
): Promise<ChosenMachine[]> {
  const supernodes = await listSupernodes(database);
  return supernodes
    .filter(({ state }) => state === "alive")
    .filter(({ cluster }) => clusters.length === 0 || clusters.includes(cluster))
    .map(({ hostId }) => ({ hostId, role: "supernode" }));
}

async function choosePeers(
  database: FleetDatabase,
  { selector, percent }: Extract<PreheatScope, { kind: "peers" }>,
  { clusters, seed }: Choice,
): Promise<ChosenMachine[]> {
  const supernodes = await listSupernodes(database);
  const clusterOf = new Map(supernodes.map(({ hostId, cluster }) => [hostId, cluster]));
  const registered: string[] = [];
  const filter = { seenSince: Date.now() - ABSENT_AFTER_MS };
  for (let after = ""; ;) {
    const page = await listHosts(database, filter, { after, rowsMax: HOSTS_PAGE });
    const selected = page.filter(({ labels }) =>
      isSelected(selector, { ...labels, [ROLE_LABEL]: "peer" }),
    );
    registered.push(...(await inClusters(database, selected, { clusters, clusterOf })));
    if (page.length < HOSTS_PAGE) break;
    after = page.at(-1)!.hostId;
  }
  return takeShare(registered, percent, seed).map((hostId) => ({ hostId, role: "peer" }));
}

/** A host without a cluster of its own belongs where its channels lead. */
async function inClusters(
  database: FleetDatabase,
  hosts: readonly HostRow[],
  { clusters, clusterOf }: { clusters: readonly string[]; clusterOf: ReadonlyMap<string, string> },
): Promise<string[]> {
  if (clusters.length === 0) return hosts.map(({ hostId }) => hostId);
  const channels = await channelsOf(
    database,
    hosts.map(({ hostId }) => hostId),
  );
  const isInside = ({ hostId, cluster }: HostRow): boolean => {
    if (cluster !== null) return clusters.includes(cluster);
    return (channels.get(hostId) ?? []).some((id) => clusters.includes(clusterOf.get(id) ?? ""));
  };
  return hosts.filter(isInside).map(({ hostId }) => hostId);
}
