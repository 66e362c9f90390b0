// A supernode's status in words.

import { formatBytes } from "../get/progress.ts";
import { describeStore } from "./store-status.ts";
import type { SupernodeStatus } from "../supernode/status.ts";

export function describeSupernode(address: string, status: SupernodeStatus): string {
  const { store, contents } = status;
  return [
    `supernode ${address}  df ${status.version}  ${status.peers} peers`,
    describeStore(store),
    `read ${formatBytes(status.sourceBytes)} from sources in ${status.sourceReads} reads, uploaded ${formatBytes(status.uploadedBytes)}`,
    ...contents.map(({ url, state, pieces, seededPieces, children, length }) => {
      const whole = length === null ? "?" : formatBytes(length);
      const share = state === "reading" ? ` ${seededPieces}/${pieces ?? "?"} pieces` : "";
      return `${state}${share}  ${url}  ${whole}  ${children} in its swarm`;
    }),
  ].join("\n");
}
