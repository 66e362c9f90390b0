// What the fleet tells a supernode beside its members: settings and commands, its own and those of
// the hosts that are connected here.

import { messageOf } from "../../errors.ts";
import type { FleetLink } from "../../net/fleet/fleet-link.ts";
import type { CommandResult } from "../../net/wire/command.ts";
import type { Labels } from "../../net/wire/fleet-api.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { PieceStore } from "../../store/piece-store.ts";
import { OwnPreheats } from "../commands/own-preheats.ts";
import type { LiveSettings } from "../settings/live-settings.ts";
import { storeLimitsOf } from "../settings/store-limits.ts";
import { bringTask } from "./bring-task.ts";
import type { ConnectedPeer } from "./connected-peer.ts";
import { HostCommands } from "./host-commands.ts";
import { HostSettings } from "./host-settings.ts";
import type { Seeding } from "./seeding.ts";
import type { SwarmDesk } from "./swarm-desk.ts";

export interface FleetOrdersOptions {
  hostId: string;
  labels: Labels;
  /** Null: this supernode is in no fleet. */
  link: FleetLink | null;
  settings: LiveSettings;
  store: PieceStore;
  desk: Pick<SwarmDesk, "peers" | "isConfidential">;
  resolve: (task: TaskRequest) => Promise<Seeding>;
  onWarning: (message: string) => void;
}

export class FleetOrders {
  readonly #settings: HostSettings;
  readonly #commands: HostCommands;
  readonly #preheats: OwnPreheats;

  constructor(options: FleetOrdersOptions) {
    const { hostId, link, store, desk, settings, onWarning } = options;
    const peers = (): Iterable<ConnectedPeer> => desk.peers;
    const isConfidential = (peer: ConnectedPeer): boolean => desk.isConfidential(peer);
    const report = (result: CommandResult): void => link?.report(result);
    this.#settings = new HostSettings({ ...options, peers });
    this.#commands = new HostCommands({ peers, isConfidential, report });
    this.#preheats = new OwnPreheats({
      ...{ hostId, store },
      bring: (task, told, signal) => bringTask(options.resolve, task, told, signal),
    });
    link?.onSettings((layers) => this.#settings.take(layers));
    link?.onCommand((command) => {
      if (command.hosts === null) this.#preheats.take(command, report);
      else this.#commands.take(command);
    });
    settings.follow((now) => {
      store
        .setLimits(storeLimitsOf(now))
        .catch((error: unknown) => onWarning(`keep to the quota: ${messageOf(error)}`));
    });
  }

  /** A peer said hello: it is told what counts for it and what it has not answered. */
  arrived(peer: ConnectedPeer): void {
    this.#settings.tell(peer);
    this.#commands.arrived(peer);
  }

  answered(peer: ConnectedPeer, result: CommandResult): void {
    this.#commands.answered(peer, result);
  }

  stop(): void {
    this.#preheats.stop();
  }
}
