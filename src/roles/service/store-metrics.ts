// The metrics of what a machine holds and of its disk: alike for peers and supernodes.

import type { StoreStatus } from "../../net/wire/local-api.ts";
import type { MetricSource } from "./metrics.ts";

export function storeMetrics(store: () => StoreStatus): MetricSource[] {
  return [
    { name: "store_contents", help: "contents held", read: () => store().contents },
    { name: "store_pinned_contents", help: "contents that stay", read: () => store().pinned },
    {
      name: "store_bytes",
      help: "bytes of contents held, and the quota where there is one",
      labels: ["state"],
      read: () => {
        const { usedBytes, quotaBytes } = store();
        const used = { labels: { state: "used" }, value: usedBytes };
        return quotaBytes === null
          ? [used]
          : [used, { labels: { state: "quota" }, value: quotaBytes }];
      },
    },
    {
      name: "disk_bytes",
      help: "of the disk that holds the contents, by everything on it",
      labels: ["state"],
      read: () => {
        const { usedBytes, freeBytes } = store().disk;
        return [
          { labels: { state: "used" }, value: usedBytes },
          { labels: { state: "free" }, value: freeBytes },
        ];
      },
    },
    {
      name: "disk_too_full",
      help: "1 while the disk is above its high mark and nothing more may go",
      read: () => Number(store().disk.isTooFull),
    },
  ];
}
