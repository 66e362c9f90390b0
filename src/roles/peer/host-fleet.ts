// A host's part in its fleet: what makes it a member, and the list of supernodes that the fleet has
// for it, handed to the channels whenever it changes.

import { hostname } from "node:os";
import { join } from "node:path";
import { version } from "../../../package.json";
import { enterFleet, type FleetAddress, type Membership } from "../../net/fleet/membership.ts";
import { addressTowards, ownAddresses } from "../../net/fleet/own-addresses.ts";
import { RoutesWatch } from "../../net/fleet/routes-watch.ts";
import type { Labels } from "../../net/wire/fleet-api.ts";
import type { HostIdentity } from "./host-identity.ts";
import type { ListedSupernode } from "./supernodes.ts";

export interface HostFleetOptions {
  fleet: FleetAddress;
  identity: HostIdentity;
  labels: Labels;
  dataDir: string;
  onList: (list: readonly ListedSupernode[]) => void;
  onWarning: (message: string) => void;
}

export class HostFleet {
  readonly #membership: Membership;
  readonly #routes: RoutesWatch;

  private constructor(membership: Membership, routes: RoutesWatch) {
    this.#membership = membership;
    this.#routes = routes;
  }

  /**
   * Joins the fleet, or takes up the membership that is there.
   * @throws {DfError} what enterFleet throws
   */
  static async enter(options: HostFleetOptions, signal: AbortSignal): Promise<HostFleet> {
    const { fleet, identity, labels, dataDir, onList, onWarning } = options;
    const { hostId, publicKey } = identity;
    const host = { hostId, hostname: hostname().slice(0, 255), version };
    const membership = await enterFleet(
      fleet,
      { machine: { ...host, role: "peer", publicKey }, path: join(dataDir, "membership.json") },
      signal,
    );
    const towardsConfig = await addressTowards(fleet.urls, signal);
    const routes = new RoutesWatch({
      membership,
      host: () => ({ ...host, labels, addresses: ownAddresses(towardsConfig) }),
      path: join(dataDir, "supernodes.json"),
      onList: (list) =>
        onList(list.map(({ hostId, address, cluster }) => ({ key: hostId, address, cluster }))),
      onWarning,
    });
    return new HostFleet(membership, routes);
  }

  /** Shown to supernodes. */
  get credential(): string {
    return this.#membership.credential;
  }

  /** Returns with a list of supernodes, kept or fresh, or after some patience without one. */
  start(): Promise<void> {
    return this.#routes.start();
  }

  /** A supernode says that the fleet's lists changed. */
  routesChanged(version: number): void {
    this.#routes.changed(version);
  }

  stop(): Promise<void> {
    return this.#routes.stop();
  }
}
