// Wires scheduler, registry, desk and cluster together: the part of a supernode that decides.

import { hostname } from "node:os";
import { version } from "../../../package.json";
import { Pacer } from "../../engine/bytes/pacing.ts";
import { Secret } from "../../engine/bytes/secret.ts";
import type { HelloFields } from "../../net/swarm/swarm-client.ts";
import { privateKeyOf } from "../../net/wire/key-proof.ts";
import type { EgressPolicy } from "../../net/egress/egress-policy.ts";
import type { Listener } from "../../net/egress/own-ports.ts";
import type { PieceStore } from "../../store/piece-store.ts";
import { UnkeptContents } from "../freshness/unkept-contents.ts";
import type { HostIdentity } from "../peer/host-identity.ts";
import type { LiveSettings } from "../settings/live-settings.ts";
import { ClusterKey } from "../signatures/cluster-key.ts";
import { diskShare } from "../worker/disk-share.ts";
import type { PieceService } from "../worker/piece-service.ts";
import type { SourceService } from "../worker/source-service.ts";
import { Cluster } from "./cluster/cluster.ts";
import { fleetMembers, listedMembers } from "./cluster/cluster-members.ts";
import { warnOfEncryption } from "./encryption-warning.ts";
import { FleetOrders } from "./fleet-orders.ts";
import { openGuardedSources } from "./guarded-sources.ts";
import { SEED_SLOTS_MAX, sourceLimits, uploadLimits } from "./machine-limits.ts";
import { pieceAddressFor } from "./piece-address.ts";
import { SchedulerDriver, type SchedulerDriverOptions } from "./scheduler-driver.ts";
import { openTrace } from "./scheduler-trace.ts";
import { seedingEvents } from "./seeding-events.ts";
import type { SupernodeFleet } from "./supernode-fleet.ts";
import type { SupernodeOptions } from "./supernode-options.ts";
import { SwarmDesk } from "./swarm-desk.ts";
import { TicketOffice } from "./ticket-office.ts";
import { TaskAdmission } from "./task-admission.ts";
import { TaskRegistry } from "./task-registry.ts";

const ALONE = listedMembers("", { members: [], upstream: [] });

export interface Hall {
  desk: SwarmDesk;
  registry: TaskRegistry;
  cluster: Cluster;
  settings: LiveSettings;
  sources: SourceService;
  /** Its ports are known: no source is there. */
  readonly listensOn: (listeners: readonly Listener[]) => void;
  stop(): void;
}

export interface HallParts {
  store: PieceStore;
  pieces: PieceService;
  identity: HostIdentity;
  settings: LiveSettings;
  diskPacer: Pacer;
  fleet: SupernodeFleet | null;
}

/** Wires scheduler, registry and desk: the part that decides. */
export function openHall(options: SupernodeOptions, parts: HallParts): Hall {
  const { store, pieces, identity, settings, fleet } = parts;
  const { onWarning: warned } = options;
  const guarded = openGuardedSources(options, settings);
  const { sources, proofs, listensOn } = guarded;
  const { driver, stop: stopDriver } = openDriver(options.tracePath, {
    perform: (effect) => desk.perform(effect),
    broke: (error) => {
      warned(`${error.message}; the scheduler starts anew`);
      desk.restart(registry.seedings);
    },
  });
  const { tickets, signingKey, contentSecret } = clusterPowers(fleet, identity);
  const seedAddress = pieceAddressFor(options, pieces.port);
  const policy = (): EgressPolicy => guarded.policy;
  const admission = new TaskAdmission({ settings, policy, proofs, contentSecret });
  const registry = new TaskRegistry({
    ...{ store, sources, settings, admission, contentSecret },
    suppliers: { supplierOf: (wanted) => cluster.suppliers.supplierOf(wanted) },
    events: seedingEvents(options, pieces, { desk: () => desk, cluster: () => cluster }),
    signingKey,
  });
  const helloWith = (pieceAddress: string): HelloFields => helloOf(identity, pieceAddress);
  const desk: SwarmDesk = new SwarmDesk({
    hello: (origin) => helloWith(seedAddress(origin)),
    seedAddress,
    seedSlots: SEED_SLOTS_MAX,
    identify: (task, isConfidential) => admission.admit(task, isConfidential),
    isTls: fleet !== null && fleet.tls !== null,
    resolve: (asked, hops) => registry.resolve(asked, hops),
    held: (asked) => registry.heldFor(asked),
    cluster: () => cluster,
    seeding: (contentId) => registry.seeding(contentId),
    tickets,
    childLeft: (seeding) => registry.childLeft(seeding),
    step: (event) => driver.step(event),
    arrived: (peer) => {
      fleet?.arrived(peer);
      orders.arrived(peer);
      cluster.arrived(peer);
    },
    answered: (peer, result) => orders.answered(peer, result),
    departed: (peer) => fleet?.departed(peer),
    admit: fleet?.admit ?? null,
    warned,
  });
  const swarmPacer = new Pacer(settings.current.downloadRate);
  const cluster = joinCluster(options, {
    ...{ store, identity, fleet, registry, desk, tickets, pacer: swarmPacer },
    // Whoever hears of all addresses takes the one that this channel comes from.
    hello: () => helloWith(seedAddress({ remoteAddress: "", reachedAs: "0.0.0.0" })),
  });
  const orders = new FleetOrders({
    ...{ hostId: identity.hostId, labels: options.labels, settings, store },
    ...{ link: fleet?.link ?? null, desk, onWarning: warned },
    resolve: (task) => registry.bring(task),
  });
  followSettings(options, { ...parts, swarmPacer, sources, canSeal: contentSecret !== null });
  desk.start();
  const unkept = new UnkeptContents({ store, settings, onDeleted() {}, onWarning: warned });
  const stop = (): void => {
    orders.stop();
    cluster.stop();
    tickets?.stop();
    stopDriver();
    unkept.stop();
    guarded.stop();
  };
  return { desk, registry, cluster, settings, sources, listensOn, stop };
}

/** What the fleet's secrets let this supernode do; without a fleet nothing. */
function clusterPowers(fleet: SupernodeFleet | null, identity: HostIdentity) {
  const secrets = fleet?.secrets ?? null;
  if (secrets === null) return { tickets: null, signingKey: null, contentSecret: null };
  const { clusterPrivateKey, contentSecret } = secrets;
  return {
    tickets: new TicketOffice(new Secret(clusterPrivateKey), identity),
    signingKey: privateKeyOf(clusterPrivateKey),
    contentSecret: new Secret(new Uint8Array(Buffer.from(contentSecret, "base64"))),
  };
}

function helloOf({ hostId, publicKey }: HostIdentity, pieceAddress: string): HelloFields {
  return {
    ...{ hostId, publicKey, hostname: hostname(), pieceAddress, uploadSlots: SEED_SLOTS_MAX },
    ...{ version, capabilities: [], labels: {} },
  };
}

function followSettings(
  { onSettings, onWarning }: SupernodeOptions,
  parts: Pick<HallParts, "settings" | "pieces" | "diskPacer"> & {
    swarmPacer: Pacer;
    sources: SourceService;
    canSeal: boolean;
  },
): void {
  const { settings, pieces, diskPacer, swarmPacer, sources, canSeal } = parts;
  warnOfEncryption(settings, canSeal, onWarning);
  settings.follow((now) => {
    diskPacer.setRate(diskShare(now.diskRate));
    swarmPacer.setRate(now.downloadRate);
    sources.setLimits(sourceLimits(now));
    pieces.setLimits(uploadLimits(now));
    onSettings?.(now);
  });
}

/** Traced where a file is named for it. */
function openDriver(
  tracePath: string | undefined,
  ears: Pick<SchedulerDriverOptions, "perform" | "broke">,
): { driver: SchedulerDriver; stop: () => void } {
  const seed = Date.now() >>> 0;
  const trace = tracePath === undefined ? null : openTrace(tracePath, seed);
  const traced = trace === null ? {} : { trace: trace.write };
  const driver = new SchedulerDriver({ seed, ...ears, ...traced });
  const stop = (): void => {
    driver.stop();
    trace?.end();
  };
  return { driver, stop };
}

/** This supernode among the others: as flags say, else the fleet. */
function joinCluster(
  { members, childrenMax, onWarning }: SupernodeOptions,
  parts: Pick<HallParts, "store" | "identity" | "fleet"> & {
    registry: TaskRegistry;
    desk: SwarmDesk;
    tickets: TicketOffice | null;
    pacer: Pacer;
    hello: () => HelloFields;
  },
): Cluster {
  const { store, identity, fleet, registry, desk, tickets, pacer, hello } = parts;
  return new Cluster({
    hostId: identity.hostId,
    members: members ?? (fleet === null ? ALONE : fleetMembers(fleet.link, () => fleet.ca)),
    hello: () => ({
      ...hello(),
      role: "supernode",
      ...fleet?.shown(),
    }),
    credential: () => fleet?.credential,
    store,
    pacer,
    authorise: (facts) => tickets?.authorise(facts),
    clusterKey: new ClusterKey(() => fleet?.clusterKey ?? null),
    ownSwarm: desk.ownParts,
    current: (taskId) => registry.current(taskId),
    held: (taskId) => registry.held(taskId),
    takePart: (task) => registry.bring(task),
    mayHearSecrets: (peer) =>
      fleet?.isSupernode(peer.channel) === true && desk.isConfidential(peer),
    peers: () => desk.peers,
    childrenMax,
    onWarning,
  });
}
