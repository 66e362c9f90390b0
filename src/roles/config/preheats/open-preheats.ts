// Wires the preheats of `df config`: jobs, the registries that images are looked up at, the clock that makes
// jobs go on, what travels with heartbeats, and the routes.

import type { Listener } from "../../../net/egress/own-ports.ts";
import type { FleetDatabase } from "../../../store/fleet-database/fleet-database.ts";
import { isLoopback } from "../../command-line/listen-address.ts";
import type { Resource } from "../config-app.ts";
import type { HeartbeatPart } from "../config-parts.ts";
import type { Transport } from "../config-server.ts";
import type { FleetKeys } from "../fleet-keys.ts";
import type { SettingsBook } from "../settings/settings-book.ts";
import type { ConfigOptions } from "../start-config.ts";
import { harborResource } from "./harbor-routes.ts";
import { OpenedJobs } from "./opened-jobs.ts";
import { PreheatClock } from "./preheat-clock.ts";
import { PreheatJobs } from "./preheat-jobs.ts";
import { preheatPart } from "./preheat-part.ts";
import { preheatsResource } from "./preheat-routes.ts";
import { PushedImages } from "./pushed-images.ts";
import { Registries } from "./registries.ts";

export interface PreheatsOptions extends Pick<
  ConfigOptions,
  "listen" | "sourceCa" | "registryUpstreams" | "onWarning"
> {
  database: FleetDatabase;
  keys: FleetKeys;
  settings: SettingsBook;
  transport: Transport;
}

export interface OpenPreheats {
  readonly heartbeatPart: HeartbeatPart;
  readonly resources: readonly Resource[];
  /** Its port is known: no registry is there. */
  listensOn(listeners: readonly Listener[]): void;
  /** Lets another replica go on at once. */
  stop(): Promise<void>;
}

export function openPreheats(options: PreheatsOptions): OpenPreheats {
  const { database, keys, settings, listen, onWarning } = options;
  const { isTls, isProxied } = options.transport;
  const isAlone = isLoopback(listen.hostname) && !isProxied;
  const registries = new Registries({
    ...{ settings, isPrivate: isAlone, sourceCa: options.sourceCa },
    upstreams: options.registryUpstreams ?? {},
  });
  const isConfidential = isTls || isProxied || isAlone;
  const opened = new OpenedJobs({ keys, registries, isConfidential });
  const jobs = new PreheatJobs({ database, keys, registries, opened });
  const clock = new PreheatClock({ database, jobs, onWarning });
  clock.start();
  const pushed = new PushedImages(jobs, onWarning);
  return {
    heartbeatPart: preheatPart({ database, jobs }),
    resources: [preheatsResource({ database, jobs }), harborResource({ database, jobs, pushed })],
    listensOn: (listeners) => registries.listensOn(listeners),
    stop() {
      pushed.stop();
      registries.stop();
      return clock.stop();
    },
  };
}
