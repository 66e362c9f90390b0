// What the routes of `df config` work with. start-config.ts makes it; each resource takes what it needs.

import type { JoinString } from "../../net/fleet/join-string.ts";
import type { Heartbeat, HeartbeatAnswer } from "../../net/wire/fleet-api.ts";
import type { FleetDatabase } from "../../store/fleet-database/fleet-database.ts";
import type { FleetAuthority } from "./fleet-authority.ts";
import type { FleetKeys } from "./fleet-keys.ts";
import type { FleetView } from "./fleet-view.ts";
import type { HostRegistrations } from "./host-registrations.ts";
import type { LeaseKeeper } from "./lease-keeper.ts";
import type { RouteWaits } from "./route-waits.ts";

export interface ConfigParts {
  database: FleetDatabase;
  keys: FleetKeys;
  authority: FleetAuthority;
  view: FleetView;
  waits: RouteWaits;
  hosts: HostRegistrations;
  leases: LeaseKeeper;
  /** Told to supernodes with every heartbeat. */
  leaseSeconds: number;
  intervalSeconds: number;
  /** Where machines reach this fleet's replicas, for join strings. */
  places: () => Pick<JoinString, "urls" | "isProxied">;
  /** What else travels with heartbeats: settings, commands and their results. */
  heartbeatParts: readonly HeartbeatPart[];
}

/** One thing that travels with heartbeats, both ways. */
export interface HeartbeatPart {
  /**
   * Takes what the heartbeat brings for it and gives its part of the answer.
   * @throws {Error} the whole heartbeat then failed: the supernode sends it again
   */
  answer(
    heartbeat: Heartbeat,
    supernode: { hostId: string; cluster: string },
  ): Promise<Partial<Pick<HeartbeatAnswer, "settings" | "commands">>>;
}
