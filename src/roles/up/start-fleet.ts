// Wires a config service, a supernode and a peer of one process together, over the same sockets that
// three machines would use.

import { join } from "node:path";
import { messageOf } from "../../errors.ts";
import type { FleetAddress } from "../../net/fleet/membership.ts";
import { parseJoin } from "../command-line/fleet-flags.ts";
import { joinStringPath } from "../config/first-start.ts";
import { startConfig } from "../config/start-config.ts";
import type { PeerOptions } from "../peer/peer-options.ts";
import { startPeer } from "../peer/start-peer.ts";
import type { ProxyOptions } from "../proxy/proxy-options.ts";
import { type ListenAddress, parseListenAddress } from "../command-line/listen-address.ts";
import { startSupernode } from "../supernode/run.ts";

export interface FleetOptions {
  /** Each role has a folder in it. */
  dataDir: string;
  socketPath: string;
  configPort: number;
  /** The port after it serves the pieces. */
  supernodePort: number;
  peerPort: number;
  /** The peer's port for container engines; null: none. */
  proxy: ProxyOptions | null;
  /** Of the supernode, bytes per second; null: no limit; undefined: as the fleet says. */
  uploadRate: number | null | undefined;
  /** PEM certificates of private CAs that sources have theirs from; undefined: none. */
  sourceCa: string | undefined;
  onWarning: (message: string) => void;
  onNotice: (message: string) => void;
}

export interface RunningFleet {
  /** "host:port" of each API. */
  readonly config: string;
  readonly supernode: string;
  /** Null: it is not open. */
  readonly proxy: string | null;
  /** @param graceMs what engines get just now has so long to end, 0 by default */
  stop(graceMs?: number): Promise<void>;
}

const HOST = "127.0.0.1";
const LEASE_MS = 10_000;
const HEARTBEAT_MS = 2_000;

const listenerOf = (address: string): ListenAddress => parseListenAddress("address", address);

/** @throws {DfError} usage, denied (another process uses the folder), file-unwritable */
export async function startFleet(options: FleetOptions): Promise<RunningFleet> {
  const { dataDir, onNotice } = options;
  const warn = (role: string) => (message: string) => options.onWarning(`${role}: ${message}`);
  const undo = new AsyncDisposableStack();
  try {
    const config = await startConfig({
      listen: { hostname: HOST, port: options.configPort },
      dataDir: join(dataDir, "config"),
      databaseUrl: null,
      keysPath: null,
      isOpen: true,
      leaseMs: LEASE_MS,
      intervalMs: HEARTBEAT_MS,
      urls: [],
      isAdminTokenWanted: false,
      sourceCa: options.sourceCa,
      registryUpstreams: options.proxy?.registries.upstreams ?? {},
      onWarning: warn("config"),
    });
    undo.defer(() => config.stop());
    // The ports may be others than when the join string was made.
    const joinString = parseJoin("--join", `@${joinStringPath(join(dataDir, "config"))}`);
    const fleet = { ...joinString, urls: config.urls };
    const supernode = await startSupernode({
      listen: { hostname: HOST, port: options.supernodePort },
      pieceListen: null,
      advertise: [],
      fleet,
      labels: {},
      isOpen: false,
      dataDir: join(dataDir, "supernode"),
      uploadRate: options.uploadRate,
      sourceRate: undefined,
      diskRate: undefined,
      quotaBytes: undefined,
      originAllow: [],
      sourceCa: options.sourceCa,
      otherListeners: [
        listenerOf(config.address),
        { hostname: HOST, port: options.peerPort },
        ...(options.proxy !== null && "port" in options.proxy.listen ? [options.proxy.listen] : []),
      ],
      onWarning: warn("supernode"),
      onNotice,
    });
    undo.defer(() => supernode.stop());
    const listeners = [config.address, supernode.address, supernode.pieceAddress].map(listenerOf);
    const peer = await startPeer({
      ...peerOptionsOf(options, fleet, listeners),
      onWarning: warn("peer"),
      onNotice,
    });
    let graceMs = 0;
    undo.defer(() => peer.stop(graceMs));
    return {
      config: config.address,
      supernode: supernode.address,
      proxy: peer.status().proxy?.listen ?? null,
      stop: async (given = 0) => {
        graceMs = given;
        await undo.disposeAsync().catch((error: unknown) => warn("stop")(messageOf(error)));
      },
    };
  } catch (error) {
    await undo.disposeAsync();
    throw error;
  }
}

/** @param otherListeners of this process: no source is there */
function peerOptionsOf(
  { dataDir, socketPath, peerPort, proxy, sourceCa }: FleetOptions,
  fleet: FleetAddress,
  otherListeners: readonly ListenAddress[],
): PeerOptions {
  return {
    fleet,
    labels: {},
    supernodes: [],
    listen: { hostname: HOST, port: peerPort },
    advertise: null,
    socketPath,
    socketGroupId: null,
    dataDir: join(dataDir, "peer"),
    downloadRateBytesPerSec: undefined,
    uploadRateBytesPerSec: undefined,
    diskRateBytesPerSec: undefined,
    quotaBytes: undefined,
    uploadSlots: undefined,
    otherListeners,
    sourceCa,
    proxy,
    lingerMs: null,
  };
}
