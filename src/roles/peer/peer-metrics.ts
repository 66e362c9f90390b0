// What a peer tells Prometheus: what it brought and from where, what it gave, what it holds.

import type { Registry } from "prom-client";
import packageJson from "../../../package.json" with { type: "json" };
import type { BytesBySource, PeerStatus } from "../../net/wire/local-api.ts";
import { FORWARD_RESULTS, type ForwardCounts } from "../proxy/forward-counts.ts";
import { MIRROR_RESULTS, type MirrorCounts } from "../proxy/mirror-counts.ts";
import { createMetrics } from "../service/metrics.ts";
import { storeMetrics } from "../service/store-metrics.ts";
import type { DownloadCounts } from "./download-counts.ts";

export interface PeerReadings {
  status: () => PeerStatus;
  counts: () => DownloadCounts;
  /** What the registry mirror did. */
  mirrored: () => MirrorCounts;
  /** What became of requests that the proxy forwards. */
  forwarded: () => ForwardCounts;
}

const SOURCES = [
  "source",
  "supernode",
  "peers",
  "cache",
] as const satisfies (keyof BytesBySource)[];

export function peerMetrics({ status, counts, mirrored, forwarded }: PeerReadings): Registry {
  return createMetrics({ name: "peer", version: packageJson.version }, [
    {
      name: "supernodes_connected",
      help: "supernodes with an open channel",
      read: () => status().supernodes.filter(({ connected }) => connected).length,
    },
    {
      name: "downloads_running",
      help: "downloads under way",
      read: () => status().downloads.length,
    },
    {
      name: "downloads_total",
      help: "downloads that ended, by result",
      labels: ["result"],
      read: () =>
        (["done", "failed"] as const).map((result) => ({
          labels: { result },
          value: counts()[result],
        })),
    },
    {
      name: "download_bytes_total",
      help: "bytes of contents, by where they came from",
      labels: ["from"],
      read: () => SOURCES.map((from) => ({ labels: { from }, value: counts().bytes[from] })),
    },
    {
      name: "upload_bytes_total",
      help: "bytes of pieces given to other peers",
      read: () => status().uploadedBytes,
    },
    {
      name: "mirror_requests_total",
      help: "requests of container engines, by who answered them or why nobody did",
      labels: ["result"],
      read: () =>
        MIRROR_RESULTS.map((result) => ({
          labels: { result },
          value: mirrored().requests[result],
        })),
    },
    {
      name: "mirror_bytes_total",
      help: "bytes of blobs and manifests given to container engines, by who had them",
      labels: ["from"],
      read: () =>
        (["swarm", "registry"] as const).map((from) => ({
          labels: { from },
          value: mirrored().bytes[from],
        })),
    },
    {
      name: "proxy_requests_total",
      help: "requests that the proxy forwards, by who answered them",
      labels: ["result"],
      read: () =>
        FORWARD_RESULTS.map((result) => ({ labels: { result }, value: forwarded()[result] })),
    },
    ...storeMetrics(() => status().store),
  ]);
}
