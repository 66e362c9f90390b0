// `df status`: what the peer on this host, a supernode, or a whole fleet is doing.

import { type CommandDef, defineCommand } from "citty";
import { z } from "zod";
import { DfError } from "../../errors.ts";
import { LocalClient } from "../../net/local-client.ts";
import { hostsPageSchema, supernodeSchema } from "../../net/wire/admin-api.ts";
import { ADMIN_FLAGS, adminClientOf } from "../command-line/admin-flags.ts";
import type { Flag, ParsedFlags } from "../command-line/flags.ts";
import { findPeer } from "../get/background-peer.ts";
import { askSupernode } from "./ask-supernode.ts";
import { describeFleet, type FleetStatus } from "./describe-fleet.ts";
import { describePeer } from "./describe-peer.ts";
import { describeSupernode } from "./describe-supernode.ts";
import { showWhy, taskInQuestion, WHY_FLAGS } from "./why.ts";

export const FLAGS: readonly Flag[] = [
  { name: "socket", value: "PATH", help: "local API of the peer (DRAGONFLY_PEER_SOCKET)" },
  { name: "supernode", aliases: ["n"], value: "HOST:PORT", help: "ask this supernode instead" },
  { name: "fleet", help: "ask df config about the whole fleet instead" },
  ...WHY_FLAGS,
  ...ADMIN_FLAGS,
  { name: "json", help: "the whole status as one JSON object" },
];

const command: CommandDef = defineCommand({
  meta: { name: "status", description: "Show what a peer, a supernode or a fleet is doing." },
  run: ({ data }) => showStatus(data as ParsedFlags),
});
export default command;

async function showStatus(flags: ParsedFlags): Promise<void> {
  const isJson = flags.values.has("json");
  if (flags.values.has("fleet")) {
    const status = await askFleet(flags);
    console.log(isJson ? JSON.stringify(status) : describeFleet(status));
    return;
  }
  const supernode = flags.values.get("supernode")?.at(-1);
  if (supernode !== undefined) {
    const status = await askSupernode(supernode, flags);
    console.log(isJson ? JSON.stringify(status) : describeSupernode(supernode, status));
    return;
  }
  const socket = flags.values.get("socket")?.at(-1) ?? process.env["DRAGONFLY_PEER_SOCKET"];
  const peer = socket ? new LocalClient(socket) : await findPeer({ supernodes: [], fleet: null });
  if (peer === null) {
    throw new DfError("unavailable", "ask the peer of this host: none answers", {
      hint: "start one with df peer, or name its --socket",
    });
  }
  const task = taskInQuestion(flags);
  if (task !== null) return showWhy(peer, task, isJson);
  const status = await peer.status();
  console.log(isJson ? JSON.stringify(status) : describePeer(status));
}

/** @throws {DfError} unavailable, unauthorized, as AdminClient */
async function askFleet(flags: ParsedFlags): Promise<FleetStatus> {
  const client = adminClientOf(flags);
  const [{ supernodes }, { total }] = await Promise.all([
    client.ask(
      { method: "GET", path: "supernodes" },
      z.object({ supernodes: z.array(supernodeSchema) }),
    ),
    client.ask({ method: "GET", path: "hosts?limit=1" }, hostsPageSchema),
  ]);
  return { supernodes, hosts: total };
}
