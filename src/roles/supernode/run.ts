// The supernode: wires the source worker, the store, the piece worker, the scheduler and the swarm
// channels together. Reads like a wiring diagram; the work is done in the parts.

import { version } from "../../../package.json";
import { Pacer } from "../../engine/bytes/pacing.ts";
import type { EgressPolicy } from "../../net/egress/egress-policy.ts";
import type { ZonedAddress } from "../../net/wire/fleet-api.ts";
import type { Settings } from "../../net/wire/fleet-settings.ts";
import { openStore } from "../../store/open-store.ts";
import type { PieceStore } from "../../store/piece-store.ts";
import { type HostIdentity, loadHostIdentity } from "../peer/host-identity.ts";
import { LiveSettings } from "../settings/live-settings.ts";
import { storeStatusOf } from "../status/store-status.ts";
import { type PieceService, startPieceService } from "../worker/piece-service.ts";
import { listenForPeers } from "./control-port.ts";
import { describeSeeding, savingsOf } from "./describe-seeding.ts";
import { type Hall, openHall } from "./hall.ts";
import { formatAddress, type ListenAddress } from "../command-line/listen-address.ts";
import { uploadLimits } from "./machine-limits.ts";
import type { SupernodeStatus } from "./status.ts";
import { SupernodeFleet } from "./supernode-fleet.ts";
import { givenSettings, type SupernodeOptions } from "./supernode-options.ts";

export interface RunningSupernode {
  /** "host:port" of the control port, and of the pieces. */
  readonly address: string;
  readonly pieceAddress: string;
  /** Where sources may be by now. */
  readonly egress: EgressPolicy;
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
  const stopped = new AbortController();
  try {
    const identity = loadHostIdentity(options.dataDir);
    const fleet = await enterFleet(options, identity, stopped.signal);
    let uploadedBytes = 0;
    const pieceHost = options.pieceListen ?? portAfter(listen);
    pieces = await startPieceService({
      ...pieceHost,
      ...{ limits: uploadLimits(settings.current), identity, onFault: onWarning },
      onUploads: (counts) => {
        uploadedBytes = counts.uploadedBytes;
        for (const contentId of counts.usedContentIds) store.get(contentId)?.noteRead();
      },
    });
    pieces.trust(fleet?.clusterKey ?? null);
    const opened = openHall(options, { store, pieces, identity, settings, diskPacer, fleet });
    hall = opened;
    const { desk, registry } = opened;
    const status = () => ({ ...statusOf(opened, store), hostId: identity.hostId, uploadedBytes });
    const server = listenForPeers({ listen, fleet }, opened, status);
    opened.listensOn(listenersOf(options, { control: server.port, pieces: pieces.port }));
    opened.cluster.start();
    const running = pieces;
    await fleet?.start(
      { advertised: advertisedBy(options), listen: { ...listen, port: server.port } },
      { status: server.status, peers: () => desk.peers },
      stopped.signal,
    );
    return {
      address: formatAddress(listen.hostname, server.port),
      pieceAddress: formatAddress(pieceHost.hostname, running.port),
      get egress() {
        return opened.sources.egress.policy;
      },
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

function enterFleet(
  options: SupernodeOptions,
  identity: HostIdentity,
  signal: AbortSignal,
): Promise<SupernodeFleet> | null {
  const { fleet, tls = "auto" } = options;
  return fleet === null ? null : SupernodeFleet.enter({ ...options, fleet, tls, identity }, signal);
}

/** Where this process is reached: no source may be there. */
function listenersOf(
  { listen, pieceListen, advertise, otherListeners = [] }: SupernodeOptions,
  ports: { control: number; pieces: number },
): ListenAddress[] {
  return [
    { hostname: listen.hostname, port: ports.control },
    { hostname: (pieceListen ?? listen).hostname, port: ports.pieces },
    ...advertise,
    ...otherListeners,
  ];
}

function portAfter({ hostname, port }: ListenAddress): ListenAddress {
  return { hostname, port: port === 0 ? 0 : port + 1 };
}

function advertisedBy({ advertise }: SupernodeOptions): ZonedAddress[] {
  return advertise.map(({ zone, hostname, port }) => {
    return { address: formatAddress(hostname, port), zone };
  });
}

function statusOf(
  { desk, registry, settings, sources }: Hall,
  store: PieceStore,
): Omit<SupernodeStatus, "hostId" | "uploadedBytes"> {
  return {
    version,
    peers: desk.peerCount,
    contents: [...registry.seedings].map(describeSeeding),
    wire: { ...savingsOf(registry.seedings), lookMs: Math.round(sources.lookMs) },
    store: storeStatusOf(store, settings.current.quota),
    sourceBytes: registry.sourceBytes,
    sourceReads: registry.sourceReads,
  };
}
