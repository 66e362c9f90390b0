// The fleet as this replica answers from: clusters, living supernodes, rules and what was revoked, in
// memory. It is read anew when the database's version of the routes has changed; while the database
// is away it stays as it was, and hosts go on being served.

import { parseAddressBlock } from "../../net/fleet/address-words.ts";
import { FleetRouting, type RoutingRule } from "../../engine/core/routing.ts";
import type { ClusterRow } from "../../store/fleet-database/clusters.ts";
import { listClusters } from "../../store/fleet-database/clusters.ts";
import { listRevokedCredentials } from "../../store/fleet-database/credentials.ts";
import type { FleetDatabase } from "../../store/fleet-database/fleet-database.ts";
import { readFleet } from "../../store/fleet-database/fleet-row.ts";
import { listRoutingRules, type RoutingRuleRow } from "../../store/fleet-database/routing-rules.ts";
import { listSupernodes, type SupernodeRow } from "../../store/fleet-database/supernodes.ts";
import { isOnUpstreamCycle } from "./upstream-cycle.ts";

export interface FleetViewListener {
  /** Lists of supernodes may differ from now on. */
  routesChanged(): void;
  /** @param ids of all credentials that are no longer believed */
  revocationsChanged(ids: readonly string[]): void;
}

export class FleetView {
  readonly #database: FleetDatabase;
  readonly #listener: FleetViewListener;
  #version = 0;
  #routing = new FleetRouting({ supernodes: [], rules: [] });
  #clusters: ReadonlyMap<string, ClusterRow> = new Map();
  #alive: readonly SupernodeRow[] = [];
  #revoked: readonly string[] = [];
  #refreshing: Promise<void> | null = null;
  #isRefreshWanted = false;

  constructor(database: FleetDatabase, listener: FleetViewListener) {
    this.#database = database;
    this.#listener = listener;
  }

  /** Equal versions give one host equal lists. */
  get version(): number {
    return this.#version;
  }

  get routing(): FleetRouting {
    return this.#routing;
  }

  /** IDs of credentials that are no longer believed. */
  get revoked(): readonly string[] {
    return this.#revoked;
  }

  get alive(): readonly SupernodeRow[] {
    return this.#alive;
  }

  aliveIn(cluster: string): SupernodeRow[] {
    return this.#alive.filter((supernode) => supernode.cluster === cluster);
  }

  /** The cluster from which this one gets contents; null also for one that leads back to itself. */
  upstreamOf(cluster: string): string | null {
    const upstream = this.#clusters.get(cluster)?.upstream ?? null;
    return upstream === null || isOnUpstreamCycle(cluster, [...this.#clusters.values()])
      ? null
      : upstream;
  }

  /**
   * Looks at the database now; a call during a look waits for one that began after it.
   * @throws {Error} the database's
   */
  async refresh(): Promise<void> {
    if (this.#refreshing !== null) {
      this.#isRefreshWanted = true;
      return this.#refreshing;
    }
    this.#refreshing = this.#look();
    return this.#refreshing;
  }

  async #look(): Promise<void> {
    try {
      do {
        this.#isRefreshWanted = false;
        await this.#readRevoked();
        const { routesVersion } = await readFleet(this.#database);
        if (routesVersion !== this.#version) await this.#read(routesVersion);
      } while (this.#isRefreshWanted);
    } finally {
      // Here, in the turn of the last question: a call after it would else be answered by this look.
      this.#refreshing = null;
    }
  }

  async #readRevoked(): Promise<void> {
    const ids = await listRevokedCredentials(this.#database, Date.now());
    if (Bun.deepEquals(ids, this.#revoked)) return;
    this.#revoked = ids;
    this.#listener.revocationsChanged(ids);
  }

  async #read(version: number): Promise<void> {
    const [clusters, rules, supernodes] = await Promise.all([
      listClusters(this.#database),
      listRoutingRules(this.#database),
      listSupernodes(this.#database),
    ]);
    const { routesVersion } = await readFleet(this.#database);
    // Changed while it was read: what was read belongs to no version.
    if (routesVersion !== version) return this.#read(routesVersion);
    this.#clusters = new Map(clusters.map((cluster) => [cluster.name, cluster]));
    this.#alive = supernodes.filter(({ state }) => state === "alive");
    this.#routing = new FleetRouting({
      supernodes: this.#alive.map((supernode) => ({
        ...supernode,
        labels: { ...this.#clusters.get(supernode.cluster)?.labels, ...supernode.labels },
      })),
      rules: rules.map(compile),
    });
    this.#version = version;
    this.#listener.routesChanged();
  }
}

function compile({ priority, conditions, clusters }: RoutingRuleRow): RoutingRule {
  const { cidrs, labels, hostname } = conditions;
  const blocks = cidrs?.map(parseAddressBlock).filter((block) => block !== null);
  return { priority, blocks, labels, hostname, clusters };
}
