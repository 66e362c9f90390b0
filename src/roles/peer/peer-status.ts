// What a peer says of itself to `df status`.

import packageJson from "../../../package.json" with { type: "json" };
import type { PeerStatus } from "../../net/wire/local-api.ts";
import type { PieceStore } from "../../store/piece-store.ts";
import { storeStatusOf } from "../status/store-status.ts";
import type { Downloads } from "./downloads.ts";
import type { PeerOptions } from "./peer-options.ts";
import type { Supernodes } from "./supernodes.ts";

export interface PeerStatusParts {
  options: Pick<PeerOptions, "fleet">;
  peerId: string;
  listen: string;
  supernodes: Supernodes;
  /** Where engines are served, and what came of it; null: nowhere. */
  proxy: PeerStatus["proxy"] | null;
  /** Undefined: it is only starting. */
  downloads: Downloads | undefined;
  store: PieceStore;
  quotaBytes: number | null;
  uploadedBytes: number;
}

export function peerStatus(parts: PeerStatusParts): PeerStatus {
  const { options, proxy, downloads } = parts;
  return {
    version: packageJson.version,
    peerId: parts.peerId,
    pid: process.pid,
    listen: parts.listen,
    supernodes: parts.supernodes.all.map(({ address, isOpen }) => ({ address, connected: isOpen })),
    ...(options.fleet === null ? {} : { configService: [...options.fleet.urls] }),
    ...(proxy ? { proxy } : {}),
    downloads: downloads?.status ?? [],
    store: storeStatusOf(parts.store, parts.quotaBytes),
    uploadedBytes: parts.uploadedBytes,
    downloadedBytes: downloads?.downloadedBytes ?? 0,
    savedBytes: downloads?.savedBytes ?? 0,
  };
}
