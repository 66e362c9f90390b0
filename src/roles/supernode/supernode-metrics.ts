// What a supernode tells Prometheus: who takes part, what was read from sources and what was given.

import type { Registry } from "prom-client";
import { version } from "../../../package.json";
import { createMetrics } from "../service/metrics.ts";
import { storeMetrics } from "../service/store-metrics.ts";
import type { SupernodeStatus } from "./status.ts";

const STATES = ["reading", "complete", "failed"] as const;

export function supernodeMetrics(status: () => SupernodeStatus): Registry {
  return createMetrics({ name: "supernode", version }, [
    { name: "peers_connected", help: "peers with an open channel", read: () => status().peers },
    {
      name: "contents",
      help: "contents that the swarm knows, by state",
      labels: ["state"],
      read: () => {
        const { contents } = status();
        return STATES.map((state) => ({
          labels: { state },
          value: contents.filter((content) => content.state === state).length,
        }));
      },
    },
    {
      name: "children",
      help: "peers in the swarms of its contents, also those that are done",
      read: () => status().contents.reduce((sum, { children }) => sum + children, 0),
    },
    {
      name: "source_bytes_total",
      help: "body bytes read from sources",
      read: () => status().sourceBytes,
    },
    { name: "source_reads_total", help: "source reads begun", read: () => status().sourceReads },
    {
      name: "upload_bytes_total",
      help: "bytes of pieces given to peers",
      read: () => status().uploadedBytes,
    },
    {
      name: "content_plain_bytes",
      help: "bytes of the pieces of its contents",
      read: () => status().wire.plainBytes,
    },
    {
      name: "content_wire_bytes",
      help: "bytes of the same pieces as they travel and rest",
      read: () => status().wire.wireBytes,
    },
    {
      name: "content_saved_bytes",
      help: "bytes that compression spares each copy of its contents",
      read: () => status().wire.savedBytes,
    },
    {
      name: "form_look_seconds_total",
      help: "time spent to find out which pieces shrink",
      read: () => status().wire.lookMs / 1_000,
    },
    ...storeMetrics(() => status().store),
  ]);
}
