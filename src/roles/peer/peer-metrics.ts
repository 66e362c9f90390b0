// What a peer tells Prometheus: what it brought and from where, what it gave, what it holds.

import type { Registry } from "prom-client";
import packageJson from "../../../package.json" with { type: "json" };
import type { BytesBySource, PeerStatus } from "../../net/wire/local-api.ts";
import { createMetrics } from "../service/metrics.ts";
import { storeMetrics } from "../service/store-metrics.ts";
import type { DownloadCounts } from "./download-counts.ts";

export interface PeerReadings {
  status: () => PeerStatus;
  counts: () => DownloadCounts;
}

const SOURCES = [
  "source",
  "supernode",
  "peers",
  "cache",
] as const satisfies (keyof BytesBySource)[];

export function peerMetrics({ status, counts }: PeerReadings): Registry {
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
    ...storeMetrics(() => status().store),
  ]);
}
