// A supernode's status in words.

import { formatBytes } from "../get/progress.ts";
import type { SupernodeStatus } from "../supernode/status.ts";

export function describeSupernode(address: string, status: SupernodeStatus): string {
  const { store, contents } = status;
  const quota = store.quotaBytes === null ? "" : ` of ${formatBytes(store.quotaBytes)}`;
  const full = store.isDiskTooFull ? "  (the disk is above its high mark)" : "";
  return [
    `supernode ${address}  df ${status.version}  ${status.peers} peers`,
    `holds ${store.contents} contents, ${formatBytes(store.usedBytes)}${quota}${full}`,
    `read ${formatBytes(status.sourceBytes)} from sources in ${status.sourceReads} reads, uploaded ${formatBytes(status.uploadedBytes)}`,
    ...contents.map(({ url, state, pieces, seededPieces, children, length }) => {
      const whole = length === null ? "?" : formatBytes(length);
      const share = state === "reading" ? ` ${seededPieces}/${pieces ?? "?"} pieces` : "";
      return `${state}${share}  ${url}  ${whole}  ${children} downloading`;
    }),
  ].join("\n");
}
