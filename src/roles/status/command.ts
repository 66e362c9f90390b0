// `df status`: what the peer on this host is doing, asked over its local API.

import { type CommandDef, defineCommand } from "citty";
import { DfError } from "../../errors.ts";
import { LocalClient } from "../../net/local-client.ts";
import type { PeerStatus } from "../../net/wire/local-api.ts";
import type { Flag, ParsedFlags } from "../command-line/flags.ts";
import { findPeer } from "../get/background-peer.ts";
import { formatBytes } from "../get/progress.ts";

export const FLAGS: readonly Flag[] = [
  { name: "socket", value: "PATH", help: "local API of the peer (DRAGONFLY_PEER_SOCKET)" },
  { name: "json", help: "the whole status as one JSON object" },
];

const command: CommandDef = defineCommand({
  meta: { name: "status", description: "Show what the peer on this host is doing." },
  run: ({ data }) => showStatus(data as ParsedFlags),
});
export default command;

async function showStatus(flags: ParsedFlags): Promise<void> {
  const socket = flags.values.get("socket")?.at(-1) ?? process.env["DRAGONFLY_PEER_SOCKET"];
  const peer = socket ? new LocalClient(socket) : await findPeer([]);
  if (peer === null) {
    throw new DfError("unavailable", "ask the peer of this host: none answers", {
      hint: "start one with df peer, or name its --socket",
    });
  }
  const status = await peer.status();
  console.log(flags.values.has("json") ? JSON.stringify(status) : describe(status));
}

function describe(status: PeerStatus): string {
  const { store } = status;
  const quota = store.quotaBytes === null ? "" : ` of ${formatBytes(store.quotaBytes)}`;
  return [
    `peer ${status.peerId.slice(0, 12)}  df ${status.version}  pid ${status.pid}`,
    `serves pieces on ${status.listen ?? "no address: it only downloads"}`,
    ...status.supernodes.map(
      ({ address, connected }) =>
        `supernode ${address}  ${connected ? "connected" : "not connected"}`,
    ),
    `holds ${store.contents} contents, ${formatBytes(store.usedBytes)}${quota}`,
    `downloaded ${formatBytes(status.downloadedBytes)}, uploaded ${formatBytes(status.uploadedBytes)}`,
    ...status.downloads.map(
      ({ url, doneBytes, length }) =>
        `bringing ${url}: ${formatBytes(doneBytes)} of ${length === null ? "?" : formatBytes(length)}`,
    ),
  ].join("\n");
}
