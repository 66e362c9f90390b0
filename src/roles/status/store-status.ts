// What a peer's and a supernode's status say of their store and its disk.

import type { StoreStatus } from "../../net/wire/local-api.ts";
import type { PieceStore } from "../../store/piece-store.ts";
import { formatBytes } from "../get/progress.ts";

/** @param quotaBytes that counts now; null: only the disk limits */
export function storeStatusOf(store: PieceStore, quotaBytes: number | null): StoreStatus {
  const { usedBytes, freeBytes, marks, isTooFull } = store.disk;
  const contents = store.list();
  return {
    contents: contents.length,
    pinned: contents.filter(({ isPinned }) => isPinned).length,
    usedBytes: store.usedBytes,
    quotaBytes,
    disk: { usedBytes, freeBytes, highMark: marks.high, lowMark: marks.low, isTooFull },
  };
}

export function describeStore({
  contents,
  pinned,
  usedBytes,
  quotaBytes,
  disk,
}: StoreStatus): string {
  const quota = quotaBytes === null ? "" : ` of ${formatBytes(quotaBytes)}`;
  const kept = pinned === 0 ? "" : `, ${pinned} of them pinned`;
  const capacityBytes = disk.usedBytes + disk.freeBytes;
  const percent = (share: number): string => `${Math.round(share * 100)} %`;
  const use = capacityBytes === 0 ? "" : `${percent(disk.usedBytes / capacityBytes)} in use`;
  const marks = `contents go at ${percent(disk.highMark)}, down to ${percent(disk.lowMark)}`;
  return [
    `holds ${contents} contents${kept}, ${formatBytes(usedBytes)}${quota}`,
    `disk ${use}; ${marks}${disk.isTooFull ? "; TOO FULL: nothing more may go" : ""}`,
  ].join("\n");
}
