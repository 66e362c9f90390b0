// A supernode's status in words.

import { formatBytes } from "../get/progress.ts";
import { describeStore } from "./store-status.ts";
import type { SupernodeStatus, WireSavings } from "../supernode/status.ts";

export function describeSupernode(address: string, status: SupernodeStatus): string {
  const { store, contents, wire } = status;
  return [
    `supernode ${address}  df ${status.version}  ${status.peers} peers`,
    describeStore(store),
    `read ${formatBytes(status.sourceBytes)} from sources in ${status.sourceReads} reads, uploaded ${formatBytes(status.uploadedBytes)}`,
    ...(wire.savedBytes === 0 ? [] : [`its contents travel as ${describeSavings(wire)}`]),
    ...contents.map(({ url, state, pieces, seededPieces, children, length, wire: savings }) => {
      const whole = length === null ? "?" : formatBytes(length);
      const share = state === "reading" ? ` ${seededPieces}/${pieces ?? "?"} pieces` : "";
      const travels = savings.savedBytes === 0 ? "" : ` as ${describeSavings(savings)}`;
      return `${state}${share}  ${url}  ${whole}${travels}  ${children} in its swarm`;
    }),
  ].join("\n");
}

function describeSavings({ plainBytes, wireBytes, savedBytes }: WireSavings): string {
  const share = Math.round((100 * wireBytes) / plainBytes);
  return `${formatBytes(wireBytes)} (${share}%, ${formatBytes(savedBytes)} saved)`;
}
