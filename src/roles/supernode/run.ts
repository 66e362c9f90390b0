// The supernode: wires the source worker, the store, the piece worker, the scheduler and the swarm
// channels together. Reads like a wiring diagram; the work is done in the parts.

import { hostname } from "node:os";
import { version } from "../../../package.json";
import { Pacer } from "../../engine/bytes/pacing.ts";
import { DfError, messageOf } from "../../errors.ts";
import { PeerChannel, swarmSockets, type ChannelOrigin } from "../../net/swarm/swarm-server.ts";
import type { Hello } from "../../net/wire/swarm-messages.ts";
import type { Settings, SettingsInForce } from "../../net/wire/fleet-settings.ts";
import { openStore } from "../../store/open-store.ts";
import type { PieceStore } from "../../store/piece-store.ts";
import type { FleetAddress } from "../../net/fleet/membership.ts";
import type { Labels } from "../../net/wire/fleet-api.ts";
import type { LogLevel } from "../service/service-log.ts";
import { loadHostIdentity } from "../peer/host-identity.ts";
import { LiveSettings } from "../settings/live-settings.ts";
import { diskShare } from "../worker/disk-share.ts";
import { type PieceService, startPieceService } from "../worker/piece-service.ts";
import type { UploadLimits } from "../worker/piece-worker-messages.ts";
import { UnkeptContents } from "../freshness/unkept-contents.ts";
import { createSourceService } from "../worker/source-service.ts";
import type { SourceLimits } from "../worker/source-worker-messages.ts";
import { Cluster } from "./cluster/cluster.ts";
import { fleetMembers, listedMembers, type ClusterMembers } from "./cluster/cluster-members.ts";
import { bracketed } from "./connected-peer.ts";
import { FleetOrders } from "./fleet-orders.ts";
import {
  type AdvertisedAddress,
  formatAddress,
  isLoopback,
  isUnspecified,
  type ListenAddress,
} from "./listen-address.ts";
import { SchedulerDriver } from "./scheduler-driver.ts";
import { openTrace } from "./scheduler-trace.ts";
import type { Seeding, SeedingEvents } from "./seeding.ts";
import { wordsOfSeeding } from "./task-freshness.ts";
import { supernodeRoutes, type SupernodeStatus } from "./status.ts";
import { SupernodeFleet } from "./supernode-fleet.ts";
import { SwarmDesk } from "./swarm-desk.ts";
import { TaskRegistry } from "./task-registry.ts";

/** Pieces a supernode uploads at once at most; the scheduler finds the number below it that its link carries. */
const SEED_SLOTS_MAX = 64;

const ALONE = listedMembers("", { members: [], upstream: [] });

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
  /** Whether hosts without the fleet's credential are admitted too. */
  isOpen: boolean;
  dataDir: string;
  /** Bytes per second; null: no limit, whatever the fleet says; undefined: as it says. */
  sourceRate: number | null | undefined;
  uploadRate: number | null | undefined;
  diskRate: number | null | undefined;
  /** Bytes; null: only a full disk limits; undefined: as the fleet says. */
  quotaBytes: number | null | undefined;
  /** "host" or "host:port" of local sources that are allowed though others can reach us. */
  originAllow: readonly string[];
  /** Shares of the disk in use; undefined: as the fleet says. */
  diskHighMark?: number | undefined;
  diskLowMark?: number | undefined;
  /** Undefined: as the fleet says. */
  logLevel?: LogLevel | undefined;
  /** Hears what counts now and whenever it changes. */
  onSettings?: (now: SettingsInForce) => void;
  /** Patterns of sources whose contents are kept whatever their headers say. @defaultValue as the fleet says */
  cacheForce?: readonly string[];
  /** The supernodes of its cluster and of the upstream one. @defaultValue as the fleet says, else it is alone */
  members?: ClusterMembers;
  /** Peers of one content that it schedules itself; more are handed to members. @defaultValue CHILDREN_MAX */
  childrenMax?: number;
  onWarning: (message: string) => void;
  /** Hears of each content that comes and goes. */
  onNotice?: (message: string) => void;
  /** File to which every scheduler step is written, to be replayed. @defaultValue none */
  tracePath?: string;
}

export interface RunningSupernode {
  /** "host:port" of the control port, and of the pieces. */
  readonly address: string;
  readonly pieceAddress: string;
  status(): SupernodeStatus;
  /** This machine's own settings were read again: those that may change while it runs count now. */
  give(settings: Settings): void;
  /** Takes no new work, ends the channels, keeps what was read. */
  stop(): Promise<void>;
}

/** @throws {DfError} usage (address in use), denied (directory in use), file-unwritable */
export async function startSupernode(options: SupernodeOptions): Promise<RunningSupernode> {
  const { listen, onWarning } = options;
  const settings = new LiveSettings({ given: givenSettings(options) });
  const diskPacer = new Pacer(null);
  let hall: Hall | undefined;
  const store = await openStore({
    dir: options.dataDir,
    quotaBytes: settings.current.quota,
    onWarning,
    diskPacer,
    onEvicted: () => hall?.registry.dropEvicted(),
  });
  let pieces: PieceService | undefined;
  let fleet: SupernodeFleet | null = null;
  const stopped = new AbortController();
  try {
    const identity = loadHostIdentity(options.dataDir);
    if (options.fleet !== null) {
      const parts = { ...options, fleet: options.fleet, identity };
      fleet = await SupernodeFleet.enter(parts, stopped.signal);
    }
    let uploadedBytes = 0;
    const pieceHost = options.pieceListen ?? {
      hostname: listen.hostname,
      port: listen.port === 0 ? 0 : listen.port + 1,
    };
    pieces = await startPieceService({
      ...pieceHost,
      limits: uploadLimits(settings.current),
      onUploads: (counts) => {
        uploadedBytes = counts.uploadedBytes;
        for (const contentId of counts.usedContentIds) store.get(contentId)?.noteRead();
      },
    });
    const opened = openHall(options, { store, pieces, identity, settings, diskPacer, fleet });
    hall = opened;
    const { desk, registry } = opened;
    const server = listenForPeers(listen, opened, () => ({
      version,
      hostId: identity.hostId,
      peers: desk.peerCount,
      contents: [...registry.seedings].map(describeSeeding),
      store: {
        contents: store.list().length,
        usedBytes: store.usedBytes,
        quotaBytes: settings.current.quota,
        isDiskTooFull: store.disk.isTooFull,
      },
      sourceBytes: registry.sourceBytes,
      sourceReads: registry.sourceReads,
      uploadedBytes,
    }));
    opened.cluster.start();
    const running = pieces;
    await fleet?.start(
      {
        advertised: options.advertise.map(({ zone, ...at }) => ({
          address: formatAddress(at.hostname, at.port),
          zone,
        })),
        listen: { hostname: listen.hostname, port: server.port },
      },
      { status: server.status, peers: () => desk.peers },
      stopped.signal,
    );
    return {
      address: formatAddress(listen.hostname, server.port),
      pieceAddress: formatAddress(pieceHost.hostname, running.port),
      status: server.status,
      give: (given) => settings.give(given),
      async stop() {
        server.close();
        await fleet?.stop();
        desk.closeAll();
        await registry.stop();
        opened.stop();
        await running.stop();
        await server.stop();
        await store.close();
      },
    };
  } catch (error) {
    stopped.abort();
    hall?.stop();
    await pieces?.stop();
    await store.close();
    throw error;
  }
}

interface Hall {
  desk: SwarmDesk;
  registry: TaskRegistry;
  cluster: Cluster;
  stop(): void;
}

interface HallParts {
  store: PieceStore;
  pieces: PieceService;
  identity: { hostId: string; publicKey: string };
  settings: LiveSettings;
  diskPacer: Pacer;
  fleet: SupernodeFleet | null;
}

/** Wires scheduler, registry and desk: the part that decides. */
function openHall(options: SupernodeOptions, parts: HallParts): Hall {
  const { store, pieces, identity, settings, diskPacer, fleet } = parts;
  const { listen, onWarning: warned, originAllow: allowed } = options;
  const pieceHostname = (options.pieceListen ?? listen).hostname;
  const sources = createSourceService(sourceLimits(settings.current));
  const seed = Date.now() >>> 0;
  const trace = options.tracePath === undefined ? null : openTrace(options.tracePath, seed);
  const driver = new SchedulerDriver({
    seed,
    perform: (effect) => desk.perform(effect),
    broke: (error) => {
      warned(`${error.message}; the scheduler starts anew`);
      desk.restart(registry.seedings);
    },
    ...(trace === null ? {} : { trace: trace.write }),
  });
  const seedAddress = (origin: ChannelOrigin): string => {
    const advertise = advertisedTo(origin, options.advertise);
    if (advertise !== undefined) {
      // A forwarder moves both ports alike.
      const moved = listen.port === 0 || advertise.port === 0 ? 0 : advertise.port - listen.port;
      return formatAddress(advertise.hostname, pieces.port + moved);
    }
    if (isUnspecified(pieceHostname)) return `${origin.reachedAs}:${pieces.port}`;
    return formatAddress(pieceHostname, pieces.port);
  };
  const registry = new TaskRegistry({
    store,
    sources,
    suppliers: { supplierOf: (wanted) => cluster.suppliers.supplierOf(wanted) },
    settings,
    policy: { allowsLocal: isLoopback(listen.hostname) && isLoopback(pieceHostname), allowed },
    events: seedingEvents(options, pieces, { desk: () => desk, cluster: () => cluster }),
  });
  const helloWith = (pieceAddress: string): Omit<Hello, "type" | "protocol"> => ({
    version,
    capabilities: [],
    publicKey: identity.publicKey,
    hostId: identity.hostId,
    hostname: hostname(),
    pieceAddress,
    uploadSlots: SEED_SLOTS_MAX,
    labels: {},
  });
  const desk: SwarmDesk = new SwarmDesk({
    hello: (origin) => helloWith(seedAddress(origin)),
    seedAddress,
    seedSlots: SEED_SLOTS_MAX,
    taskIdOf: (task) => registry.idOf(task),
    resolve: (task, hops) => registry.resolve(task, hops),
    held: (taskId) => registry.held(taskId),
    cluster: {
      placeOf: (join) => cluster.placeOf(join),
      isMember: (hostId) => cluster.isMember(hostId),
      childJoined: (seeding, task) => cluster.childJoined(seeding, task),
    },
    seeding: (contentId) => registry.seeding(contentId),
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
  const cluster: Cluster = new Cluster({
    hostId: identity.hostId,
    members: options.members ?? (fleet === null ? ALONE : fleetMembers(fleet.link)),
    // Whoever hears of all addresses takes the one that this channel comes from.
    hello: () => ({
      ...helloWith(seedAddress({ remoteAddress: "", reachedAs: "0.0.0.0" })),
      role: "supernode",
      ...(fleet === null ? {} : { credential: fleet.credential }),
    }),
    store,
    pacer: swarmPacer,
    ownSwarm: desk.ownParts,
    current: (taskId) => registry.current(taskId),
    held: (taskId) => registry.held(taskId),
    takePart: (task) => registry.resolve(task),
    peers: () => desk.peers,
    childrenMax: options.childrenMax,
    onWarning: warned,
  });
  const orders = new FleetOrders({
    ...{ hostId: identity.hostId, labels: options.labels, settings, store },
    link: fleet?.link ?? null,
    peers: () => desk.peers,
    resolve: (task) => registry.resolve(task),
    onWarning: warned,
  });
  settings.follow((now) => {
    diskPacer.setRate(diskShare(now.diskRate));
    swarmPacer.setRate(now.downloadRate);
    sources.setLimits(sourceLimits(now));
    pieces.setLimits(uploadLimits(now));
    options.onSettings?.(now);
  });
  desk.start();
  const onDeleted = (): void => {};
  const unkept = new UnkeptContents({ store, settings, onDeleted, onWarning: warned });
  const stop = (): void => {
    orders.stop();
    cluster.stop();
    driver.stop();
    trace?.end();
    unkept.stop();
    sources.stop();
  };
  return { desk, registry, cluster, stop };
}

/** The address under which the peer reached us, else the one for all. */
function advertisedTo(
  { reachedAs }: ChannelOrigin,
  advertise: readonly AdvertisedAddress[],
): AdvertisedAddress | undefined {
  return (
    advertise.find(({ hostname }) => bracketed(hostname) === reachedAs) ??
    advertise.find(({ zone }) => zone === undefined) ??
    advertise[0]
  );
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
  cacheForce,
}: Omit<SupernodeOptions, "onWarning">): Settings {
  const rules = cacheForce?.map((pattern) => [pattern, "force"] as const);
  const cacheRules = rules === undefined ? undefined : Object.fromEntries(rules);
  const marks = { diskHighMark, diskLowMark };
  return { sourceRate, uploadRate, diskRate, quota: quotaBytes, ...marks, logLevel, cacheRules };
}

/** The upload slots of settings are those of hosts: here the scheduler finds their number. */
function uploadLimits({ uploadRate, diskRate }: SettingsInForce): UploadLimits {
  return {
    uploadSlots: SEED_SLOTS_MAX,
    uploadRateBytesPerSec: uploadRate,
    diskRateBytesPerSec: diskShare(diskRate),
  };
}

function sourceLimits({ sourceRate, diskRate }: SettingsInForce): SourceLimits {
  return { sourceRateBytesPerSec: sourceRate, diskRateBytesPerSec: diskShare(diskRate) };
}

/** What happens to a content is told to the piece worker first: no one is sent to a piece that is not served. */
function seedingEvents(
  { onWarning, onNotice }: SupernodeOptions,
  pieces: PieceService,
  { desk, cluster }: { desk: () => SwarmDesk; cluster: () => Cluster },
): SeedingEvents {
  /** Each content's bitmap as last shown to the piece worker. */
  const served = new WeakMap<Seeding, Uint32Array>();
  const serve = (seeding: Seeding): void => {
    served.set(seeding, seeding.stored.have.words);
    pieces.serve(seeding.stored);
  };
  return {
    opened(seeding) {
      const { contentId, url, layout } = seeding.stored.facts;
      onNotice?.(`content ${contentId}: ${url}, ${layout.length ?? "unknown"} bytes`);
      serve(seeding);
      desk().seedingOpened(seeding);
    },
    pieceSeeded(seeding, piece) {
      if (served.get(seeding) !== seeding.stored.have.words) serve(seeding);
      desk().pieceSeeded(seeding, piece);
    },
    lengthKnown(seeding) {
      serve(seeding);
      desk().lengthKnown(seeding);
    },
    dropped(seeding) {
      const { contentId } = seeding.stored.facts;
      onNotice?.(`content ${contentId}: no longer shared`);
      pieces.remove(contentId);
      desk().seedingDropped(seeding);
      cluster().dropped(seeding);
    },
    warned: onWarning,
  };
}

function listenForPeers(listen: ListenAddress, hall: Hall, status: () => SupernodeStatus) {
  let isReady = true;
  const app = supernodeRoutes({
    status,
    isReady: () => isReady,
    holdingOf: (taskId) => hall.cluster.holdingOf(taskId),
    freshnessOf: (task) => hall.registry.freshnessOf(task),
  });
  const serve = () =>
    Bun.serve<PeerChannel>({
      hostname: listen.hostname,
      port: listen.port,
      development: false,
      // Bun shares a port between processes unless it is told not to.
      reusePort: false,
      websocket: swarmSockets,
      fetch(request, server) {
        const url = new URL(request.url);
        if (url.pathname !== "/v1/swarm" || !isReady) return app.fetch(request);
        const remoteAddress = server.requestIP(request)?.address ?? "";
        const origin = { remoteAddress, reachedAs: url.hostname || bracketed(remoteAddress) };
        const data = new PeerChannel(hall.desk, origin);
        if (server.upgrade(request, { data })) return undefined;
        const message = "open a swarm channel: this is no WebSocket request";
        return Response.json({ error: { code: "usage", message } }, { status: 426 });
      },
    });
  try {
    const server = serve();
    return {
      port: server.port ?? listen.port,
      status,
      close: () => {
        isReady = false;
      },
      stop: () => server.stop(true),
    };
  } catch (cause) {
    const address = formatAddress(listen.hostname, listen.port);
    throw new DfError("usage", `listen on ${address}: ${messageOf(cause)}`, {
      cause,
      hint: "another process may listen there; choose another port with --listen",
    });
  }
}

function describeSeeding(seeding: Seeding): SupernodeStatus["contents"][number] {
  const { facts, have } = seeding.stored;
  return {
    contentId: facts.contentId,
    taskId: facts.taskId,
    url: facts.url,
    length: facts.layout.length,
    pieces: seeding.pieceCount,
    seededPieces: have.count,
    state: seeding.state.kind,
    children: seeding.childCount,
    freshness: wordsOfSeeding(seeding).why,
  };
}
