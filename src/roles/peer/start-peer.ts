// The composition root of `df peer`: store, piece worker, channels, downloads, local API.
//
//   df get ─ local API ─▶ Downloads ─▶ PeerDownload ─▶ supernode channel (work) ─┐
//                              ▲                                                 ▼
//   children ◀─ piece worker ◀─ store ◀─ ContentTransfer ◀─ PieceClient ◀─ parents

import { hostname as ownHostname } from "node:os";
import type { Hono } from "hono";
import packageJson from "../../../package.json" with { type: "json" };
import { Pacer } from "../../engine/bytes/pacing.ts";
import { messageOf } from "../../errors.ts";
import { bareHost } from "../../net/bare-host.ts";
import { type LocalApi, type LocalServer, serveLocalApi } from "../../net/local/local-server.ts";
import { PieceClient } from "../../net/piece/piece-client.ts";
import type { FleetMessage, HelloFields } from "../../net/swarm/swarm-client.ts";
import type { EgressPolicy } from "../../net/egress/egress-policy.ts";
import type { SettingKey, Settings, SettingsInForce } from "../../net/wire/fleet-settings.ts";
import { RequestSigner } from "../../net/wire/ticketed-request.ts";
import type { PeerStatus } from "../../net/wire/local-api.ts";
import { openStore } from "../../store/open-store.ts";
import type { PieceStore, StoredContent } from "../../store/piece-store.ts";
import { OwnPreheats } from "../commands/own-preheats.ts";
import { HostProxy } from "../proxy/host-proxy.ts";
import { LiveSettings, type LiveSettingsOptions } from "../settings/live-settings.ts";
import { settingsMemory } from "../settings/settings-memory.ts";
import { storeLimitsOf } from "../settings/store-limits.ts";
import { ClusterKey } from "../signatures/cluster-key.ts";
import { toldOf } from "../signatures/told-of.ts";
import { diskShare } from "../worker/disk-share.ts";
import { startPieceService, type PieceService } from "../worker/piece-service.ts";
import type { UploadCounts } from "../worker/piece-worker-messages.ts";
import { UnkeptContents } from "../freshness/unkept-contents.ts";
import { createSourceService } from "../worker/source-service.ts";
import { noDownloads } from "./download-counts.ts";
import { bringTask } from "./bring-task.ts";
import { Downloads } from "./downloads.ts";
import { FirstHandRows } from "./first-hand-rows.ts";
import { hostEgress } from "./host-egress.ts";
import { HostFleet } from "./host-fleet.ts";
import { loadHostIdentity } from "./host-identity.ts";
import { sourceLimitsOf, uploadLimitsOf } from "./host-limits.ts";
import { peerLocalApi } from "./peer-local-api.ts";
import { givenSettings, type PeerOptions } from "./peer-options.ts";
import { peerStatus } from "./peer-status.ts";
import { Linger } from "./linger.ts";
import { SharedContents } from "./shared-contents.ts";
import { admitGroup, clearSocket, removeSocket } from "./socket-file.ts";
import { SupernodesWords } from "./supernodes-words.ts";
import { toldAddress } from "./told-address.ts";
import { holdingsOf, knownOf, type ListedSupernode, Supernodes } from "./supernodes.ts";

export interface StartPeerOptions extends PeerOptions {
  onWarning: (message: string) => void;
  /** Hears what came of each request of an engine, and of each that a rule names. */
  onNotice?: ((message: string) => void) | undefined;
  /** Checks what was signed: Ed25519 SPKI, base64. @defaultValue as the fleet tells */
  clusterKey?: string;
  /** Hears what counts now and whenever it changes. */
  onSettings?: (now: SettingsInForce) => void;
  /** Called once `lingerMs` passed without readers and uploads. */
  onUnused?: () => void;
}

export interface RunningPeer {
  /** "host:port" of the piece server. */
  readonly listen: string;
  readonly socketPath: string;
  /** What the socket gives, for readers in this process. */
  readonly local: LocalApi;
  status(): PeerStatus;
  /** What monitors ask. */
  health(): Promise<Hono>;
  /** This machine's own settings were read again: those that may change while it runs count now. */
  give(settings: Settings): void;
  /** @param graceMs what engines get just now has so long to end, 0 by default */
  stop(graceMs?: number): Promise<void>;
}

/**
 * Starts a peer; returns when it serves.
 * @throws {DfError} usage (addresses), denied (data directory in use), file-unwritable
 */
export async function startPeer(options: StartPeerOptions): Promise<RunningPeer> {
  let peer: Peer | undefined;
  const diskPacer = new Pacer(null);
  const store = await openStore({
    onVerified: (content) => peer?.offer(content),
    onEvicted: () => peer?.withdrawEvicted(),
    dir: options.dataDir,
    quotaBytes: options.quotaBytes ?? null,
    onWarning: options.onWarning,
    diskPacer,
  });
  const undo: (() => Promise<void> | void)[] = [() => store.close()];
  try {
    // Outside a fleet nothing would ever take back what was remembered.
    const isMember = options.fleet !== null;
    const memory = isMember ? await settingsMemory(options.dataDir, options.onWarning) : {};
    const started = new Peer(options, { store, diskPacer, memory });
    peer = started;
    undo.push(() => started.stopTraffic());
    await started.start();
    return started;
  } catch (error) {
    for (const step of undo.toReversed()) await step();
    throw error;
  }
}

interface PeerParts {
  store: PieceStore;
  diskPacer: Pacer;
  memory: Pick<LiveSettingsOptions, "remembered" | "remember">;
}

class Peer implements RunningPeer {
  listen = "";
  readonly socketPath: string;
  readonly #options: StartPeerOptions;
  readonly #store: PieceStore;
  readonly #diskPacer: Pacer;
  readonly #hostPacer = new Pacer(null);
  readonly #firstHand = new FirstHandRows();
  readonly #clusterKey = new ClusterKey(
    () => this.#options.clusterKey ?? this.#fleet?.clusterKey ?? null,
  );
  readonly #settings: LiveSettings;
  readonly #supernodes: Supernodes;
  readonly #identity;
  readonly #words: SupernodesWords;
  #fleet: HostFleet | undefined;
  readonly #sources;
  #pieces: PieceService | undefined;
  #shared: SharedContents | undefined;
  #unkept: UnkeptContents | undefined;
  #downloads: Downloads | undefined;
  #preheats: OwnPreheats | undefined;
  #local: LocalApi | undefined;
  #server: LocalServer | undefined;
  #proxy: HostProxy | undefined;
  #health: Promise<Hono> | undefined;
  #uploads: UploadCounts | undefined;
  readonly #linger: Linger;

  constructor(options: StartPeerOptions, { store, diskPacer, memory }: PeerParts) {
    this.#options = options;
    this.#store = store;
    this.#diskPacer = diskPacer;
    this.socketPath = options.socketPath;
    this.#words = new SupernodesWords(options.onWarning);
    this.#linger = new Linger(options, () => {
      return this.#downloads!.readerCount > 0 || (this.#uploads?.activeUploads ?? 0) > 0;
    });
    this.#identity = loadHostIdentity(options.dataDir);
    this.#supernodes = new Supernodes({
      addresses: options.supernodes,
      ca: () => this.#fleet?.ca ?? null,
      hello: (address) => this.#hello(address),
      holdings: () => holdingsOf(this.#store),
      told: (address, message) => this.#told(address, message),
      refused: (address, reason) => this.#words.refused(address, reason),
    });
    this.#settings = new LiveSettings({
      ...memory,
      given: givenSettings(options),
      preferred: () => this.#supernodes.addresses,
    });
    this.#sources = createSourceService(
      sourceLimitsOf(this.#settings.current),
      this.#egress(this.#settings.current),
    );
  }

  async start(): Promise<void> {
    const { hostname, port } = this.#options.listen;
    const pieces = await startPieceService({
      hostname: bareHost(hostname),
      port,
      limits: uploadLimitsOf(this.#settings.current),
      identity: this.#identity,
      onUploads: (counts) => this.#uploaded(counts),
      onFault: this.#options.onWarning,
      rows: this.#teller((content, from) => this.#firstHand.frame(content, from)),
      signatures: this.#teller(toldOf),
    });
    this.#pieces = pieces;
    this.listen = `${hostname}:${pieces.port}`;
    this.#shared = new SharedContents(this.#store, pieces, (id) => this.#supernodes.drop(id));
    this.#unkept = new UnkeptContents({
      store: this.#store,
      settings: this.#settings,
      onDeleted: () => this.#shared?.withdrawGone(),
      onWarning: this.#options.onWarning,
    });
    const downloads = new Downloads({
      store: this.#store,
      client: new PieceClient(),
      signer: new RequestSigner(this.#identity),
      shared: this.#shared,
      firstHand: this.#firstHand,
      clusterKey: this.#clusterKey,
      sources: this.#sources,
      supernodes: this.#supernodes,
      hostPacer: this.#hostPacer,
      settings: this.#settings,
      onWarning: this.#options.onWarning,
      onIdle: () => this.#linger.used(),
    });
    this.#downloads = downloads;
    this.#preheats = new OwnPreheats({
      hostId: this.#identity.hostId,
      store: this.#store,
      bring: (task, told, signal) =>
        bringTask({ downloads, store: this.#store }, task, told, signal),
    });
    this.#settings.follow((now, changed) => this.#apply(now, changed));
    await this.#enterFleet();
    this.#supernodes.connect();
    await this.#serveLocalApi(downloads);
    await this.#openProxy();
    this.#linger.used();
  }

  async #enterFleet(): Promise<void> {
    const { fleet, labels, dataDir, onWarning } = this.#options;
    if (fleet === null) return;
    const onList = (list: readonly ListedSupernode[]): void => this.#supernodes.become(list);
    const onMember = (): void => {
      this.#pieces?.trust(this.#fleet?.clusterKey ?? null);
      this.#supernodes.believeAnew();
    };
    this.#fleet = new HostFleet({
      ...{ fleet, identity: this.#identity, labels, dataDir },
      ...{ onList, onMember, onWarning },
    });
    await this.#fleet.start();
  }

  status(): PeerStatus {
    return peerStatus({
      ...{ options: this.#options, peerId: this.#identity.hostId, listen: this.listen },
      ...{ supernodes: this.#supernodes, downloads: this.#downloads, store: this.#store },
      proxy: this.#proxy?.status ?? null,
      quotaBytes: this.#settings.current.quota,
      uploadedBytes: this.#uploads?.uploadedBytes ?? 0,
    });
  }

  give(settings: Settings): void {
    this.#settings.give(settings);
  }

  health(): Promise<Hono> {
    this.#health ??= import("./peer-health.ts").then(({ peerHealth }) =>
      peerHealth({
        status: () => this.status(),
        counts: () => this.#downloads?.counts ?? noDownloads(),
        mirrored: () => this.#proxy!.counts,
        forwarded: () => this.#proxy!.forwards,
      }),
    );
    return this.#health;
  }

  async stop(graceMs = 0): Promise<void> {
    // Their pieces still come through all the rest.
    if (graceMs > 0) await this.#proxy?.finish(graceMs);
    await this.stopTraffic();
    await this.#store.close();
  }

  async stopTraffic(): Promise<void> {
    this.#linger.stop();
    await this.#fleet?.stop();
    await this.#proxy?.stop();
    if (this.#server !== undefined) {
      await this.#server.stop();
      removeSocket(this.socketPath);
    }
    this.#preheats?.stop();
    this.#unkept?.stop();
    this.#downloads?.stop();
    this.#shared?.stop();
    this.#supernodes.stop();
    this.#sources.stop();
    await this.#pieces?.stop();
  }

  /** What neighbours are told of a content, if it is here. */
  #teller(tell: (content: StoredContent, from: number) => Uint8Array | null) {
    return (contentId: string, from: number): Uint8Array | null => {
      const content = this.#store.get(contentId);
      return content === undefined ? null : tell(content, from);
    };
  }

  async #serveLocalApi(downloads: Downloads): Promise<void> {
    this.#local = peerLocalApi({
      ...{ store: this.#store, settings: this.#settings, supernodes: this.#supernodes, downloads },
      shared: this.#shared!,
      credential: () => this.#fleet?.credential,
      status: () => this.status(),
      health: () => this.health(),
    });
    await clearSocket(this.socketPath);
    this.#server = serveLocalApi(this.socketPath, this.#local);
    const { socketGroupId } = this.#options;
    if (socketGroupId !== null) admitGroup(this.socketPath, socketGroupId);
  }

  async #openProxy(): Promise<void> {
    const { proxy = null } = this.#options;
    const policy = this.#egress(this.#settings.current);
    this.#proxy = new HostProxy({ ...this.#options, proxy, local: this.local, policy });
    await this.#proxy.start();
    this.#guard(this.#settings.current);
  }

  get local(): LocalApi {
    return this.#local!;
  }

  /** Where the sources of this host may be. */
  #guard(now: SettingsInForce): void {
    const policy = this.#egress(now);
    this.#proxy?.become(policy);
    const listeners = [...policy.listeners, ...(this.#proxy?.listeners ?? [])];
    this.#sources.setEgress({ ...policy, listeners });
  }

  #egress(now: SettingsInForce): EgressPolicy {
    return hostEgress(this.#options, now, this.#pieces?.port);
  }

  #hello(supernode: string): HelloFields {
    const { uploadSlots } = this.#settings.current;
    return {
      version: packageJson.version,
      capabilities: [],
      publicKey: this.#identity.publicKey,
      hostId: this.#identity.hostId,
      hostname: ownHostname().slice(0, 255),
      pieceAddress: toldAddress(this.#options, { listen: this.listen, supernode, uploadSlots }),
      uploadSlots,
      labels: this.#options.labels,
      zonedAddresses: [...(this.#options.zonedAddresses ?? [])],
      ...this.#fleet?.shown(),
    };
  }

  #told(supernode: string, message: FleetMessage): void {
    switch (message.type) {
      case "settings":
        this.#settings.hear(supernode, message.version, message.settings);
        break;
      case "command":
        this.#preheats?.take(message.command, (result) => {
          const teller = this.#supernodes.all.find(({ address }) => address === supernode);
          teller?.answer(result);
        });
        break;
      case "routes":
        this.#fleet?.routesChanged(message.version);
        break;
      case "notice":
        this.#words.noticed(supernode, message.text);
        break;
    }
  }

  #apply(now: SettingsInForce, changed: ReadonlySet<SettingKey>): void {
    this.#hostPacer.setRate(now.downloadRate);
    this.#diskPacer.setRate(diskShare(now.diskRate));
    this.#sources.setLimits(sourceLimitsOf(now));
    this.#guard(now);
    this.#pieces?.setLimits(uploadLimitsOf(now));
    this.#store
      .setLimits(storeLimitsOf(now))
      .catch((error: unknown) => this.#options.onWarning(messageOf(error)));
    this.#options.onSettings?.(now);
    // A supernode learns of upload slots from the hello.
    if (changed.has("uploadSlots")) this.#supernodes.greetAnew();
  }

  /** The store dropped contents by itself: nobody is sent here for them any more. */
  withdrawEvicted(): void {
    this.#shared?.withdrawGone();
  }

  /** Tells the supernodes of a content that can be shared from now on. */
  offer(content: StoredContent): void {
    if (content.have.count > 0) this.#supernodes.hold([knownOf(content)]);
  }

  #uploaded(counts: UploadCounts): void {
    this.#uploads = counts;
    for (const contentId of counts.usedContentIds) this.#store.get(contentId)?.noteRead();
    this.#linger.used();
  }
}
