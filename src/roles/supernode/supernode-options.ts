// What a supernode is started with, and what of it no setting of the fleet changes.

import type { Secret } from "../../engine/bytes/secret.ts";
import type { Listener } from "../../net/egress/own-ports.ts";
import type { ProxyRules } from "../../net/egress/proxy-rules.ts";
import type { FleetAddress } from "../../net/fleet/membership.ts";
import type { Labels } from "../../net/wire/fleet-api.ts";
import type { Settings, SettingsInForce } from "../../net/wire/fleet-settings.ts";
import type { TlsMode } from "../command-line/tls-mode.ts";
import type { LogLevel } from "../service/log-line.ts";
import type { ClusterMembers } from "./cluster/cluster-members.ts";
import type { AdvertisedAddress, ListenAddress } from "../command-line/listen-address.ts";

export interface SupernodeOptions {
  listen: ListenAddress;
  /** @defaultValue the control port + 1 */
  pieceListen: ListenAddress | null;
  /**
   * Where peers reach the control port, each for the hosts of one zone or for all; the pieces are as
   * many ports further as here. Empty: as each peer reached us.
   */
  advertise: readonly AdvertisedAddress[];
  /** The fleet to take part in; null: none. */
  fleet: FleetAddress | null;
  labels: Labels;
  /** Whether the control port speaks TLS; pieces never do, private ones travel sealed. @defaultValue "auto" */
  tls?: TlsMode;
  /** Whether hosts without the fleet's credential are admitted too. */
  isOpen: boolean;
  dataDir: string;
  /** Bytes per second; null: no limit, whatever the fleet says; undefined: as it says. */
  sourceRate: number | null | undefined;
  uploadRate: number | null | undefined;
  diskRate: number | null | undefined;
  /** Bytes; null: only a full disk limits; undefined: as the fleet says. */
  quotaBytes: number | null | undefined;
  /** Patterns of sources that are read whatever their addresses are; empty: as the fleet says. */
  originAllow: readonly string[];
  /** @defaultValue as the fleet says, else private addresses are allowed */
  originPolicy?: SettingsInForce["originPolicy"] | undefined;
  /** Proxies by patterns of sources. @defaultValue as the fleet says, else none */
  sourceProxy?: Secret<ProxyRules> | undefined;
  /** PEM certificates of private CAs that sources have theirs from. @defaultValue none */
  sourceCa?: string | undefined;
  /** Shares of the disk in use; undefined: as the fleet says. */
  diskHighMark?: number | undefined;
  diskLowMark?: number | undefined;
  /** Undefined: as the fleet says. */
  logLevel?: LogLevel | undefined;
  /** Hears what counts now and whenever it changes. */
  onSettings?: (now: SettingsInForce) => void;
  /** Whose pieces are sealed. @defaultValue as the fleet says */
  encryption?: SettingsInForce["encryption"] | undefined;
  /** Undefined: as the fleet says. */
  compression?: SettingsInForce["compression"] | undefined;
  /** Patterns of sources whose contents are kept whatever their headers say. @defaultValue as the fleet says */
  cacheForce?: readonly string[];
  /** The supernodes of its cluster and of the upstream one. @defaultValue as the fleet says, else it is alone */
  members?: ClusterMembers;
  /** Peers of one content that it schedules itself; more are handed to members. @defaultValue CHILDREN_MAX */
  childrenMax?: number;
  /** Ports of this process that it does not open itself: no source is there. @defaultValue none */
  otherListeners?: readonly Listener[];
  onWarning: (message: string) => void;
  /** Hears of each content that comes and goes. */
  onNotice?: (message: string) => void;
  /** File to which every scheduler step is written, to be replayed. @defaultValue none */
  tracePath?: string;
}

/** What this machine was given itself: no setting of the fleet changes it. */
export function givenSettings({
  sourceRate,
  uploadRate,
  diskRate,
  quotaBytes,
  diskHighMark,
  diskLowMark,
  logLevel,
  encryption,
  compression,
  cacheForce,
  originAllow,
  originPolicy,
  sourceProxy,
}: Omit<SupernodeOptions, "onWarning">): Settings {
  const rules = cacheForce?.map((pattern) => [pattern, "force"] as const);
  const cacheRules = rules === undefined ? undefined : Object.fromEntries(rules);
  const origins = {
    originAllow: originAllow.length === 0 ? undefined : [...originAllow],
    ...{ originPolicy, sourceProxy: sourceProxy?.reveal() },
  };
  const marks = { diskHighMark, diskLowMark, encryption, compression };
  return {
    sourceRate,
    uploadRate,
    diskRate,
    quota: quotaBytes,
    ...marks,
    logLevel,
    cacheRules,
    ...origins,
  };
}
