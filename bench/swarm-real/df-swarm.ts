// `df` itself: a supernode behind the seed's link, a peer daemon on every host, all running before
// the start signal. Measured through each peer's local API, or through `df get`.

import { join } from "node:path";
import type { BytesBySource } from "../../src/net/wire/local-api.ts";
import type { ReportLine } from "../../src/roles/get/report.ts";
import { DF, startPeer, startSupernode, type RunningPeer } from "../harness/df-roles.ts";
import { fewAtOnce } from "../harness/few-at-once.ts";
import { linesOf } from "../harness/lines-of.ts";
import { downloadThrough, sha256ThroughApi } from "../harness/local-api-client.ts";
import type { Payload } from "../harness/payload.ts";
import { usageOfAll } from "../harness/process-usage.ts";
import { stop, type Session } from "../harness/session.ts";
import { rounded } from "../harness/statistics.ts";
import { verifyOutputs, type Contender, type ContenderRun } from "./contender.ts";
import { on, type Fleet, type Host } from "./network.ts";
import { startNginx } from "./nginx.ts";

const SUPERNODE_PORT = 8002;
const PIECE_PORT = 65002;

/** @param flags more of the supernode's @defaultValue none */
export function dfSwarm(via: "api" | "get", flags: readonly string[] = []): Contender {
  return {
    name: `df (via ${via})`,
    async run(session, fleet, payload) {
      const { root } = payload;
      const source = await startNginx(session, { host: fleet.source, root, name: "source" });
      const supernode = await startSupernode(session, {
        name: "supernode",
        host: fleet.seed.address,
        port: SUPERNODE_PORT,
        wrap: (command) => on(fleet.seed, command),
        flags: ["--open", ...flags],
      });
      const peers = await startPeers(session, fleet, supernode.address);
      const pids = peers.map(({ child }) => child.pid);
      const before = { supernode: usageOfAll([supernode.child.pid]), peers: usageOfAll(pids) };

      const url = source.url(payload.name);
      const run =
        via === "api"
          ? await throughApi(peers, url, payload)
          : await throughGet(session, fleet.hosts, peers, url, payload);

      const after = { supernode: usageOfAll([supernode.child.pid]), peers: usageOfAll(pids) };
      return {
        ...run,
        source: await source.counts(),
        cpuSeconds: {
          supernode: rounded(after.supernode.cpuSeconds - before.supernode.cpuSeconds),
          peers: rounded(after.peers.cpuSeconds - before.peers.cpuSeconds),
        },
      };
    },
  };
}

function startPeers(session: Session, fleet: Fleet, supernode: string): Promise<RunningPeer[]> {
  return fewAtOnce(fleet.hosts, (host, i) =>
    startPeer(session, {
      name: `peer-${i}`,
      listen: `${host.address}:${PIECE_PORT}`,
      supernode,
      wrap: (command) => on(host, command),
      flags: ["--open"],
    }),
  );
}

async function throughApi(
  peers: RunningPeer[],
  url: string,
  payload: Payload,
): Promise<ContenderRun> {
  const downloads = await Promise.all(peers.map(({ socket }) => downloadThrough(socket, { url })));

  for (const [i, download] of downloads.entries()) {
    const digest = await sha256ThroughApi(peers[i]!.socket, download);
    if (digest !== payload.sha256) throw new Error(`peer ${i}: wrong bytes`);
  }
  return {
    finishSeconds: downloads.map(({ seconds }) => seconds),
    bytesBySource: sumBytes(downloads.map(({ bytes }) => bytes)),
    tailMsMax: rounded(Math.max(...downloads.map(({ tailMs }) => tailMs)), 0),
  };
}

async function throughGet(
  session: Session,
  hosts: Host[],
  peers: RunningPeer[],
  url: string,
  payload: Payload,
): Promise<ContenderRun> {
  const outputs = hosts.map((_, i) => join(session.folder, `output-${i}`));
  const startedAt = performance.now();
  const gets = await Promise.all(
    hosts.map((host, i) => {
      const flags = ["-o", outputs[i]!, "--socket", peers[i]!.socket, "--json"];
      return runGet(session, on(host, [DF, "get", url, ...flags]));
    }),
  );
  await verifyOutputs(outputs, payload);
  return {
    finishSeconds: gets.map(({ endedAt }) => (endedAt - startedAt) / 1000),
    bytesBySource: sumBytes(gets.map(({ bytes }) => bytes)),
    tailMsMax: rounded(Math.max(...gets.map(({ tailMs }) => tailMs)), 0),
  };
}

/** Reads what `df get --json` says; its tail counts from the last byte written, ours to the process's end. */
async function runGet(
  session: Session,
  command: string[],
): Promise<{ endedAt: number; bytes: BytesBySource; tailMs: number }> {
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  session.defer(() => stop(child));
  const stderr = new Response(child.stderr).text();
  let result: { line: Extract<ReportLine, { event: "result" }>; at: number } | null = null;
  for await (const text of linesOf(child.stdout)) {
    const line = JSON.parse(text) as ReportLine;
    if (line.event === "result") result = { line, at: performance.now() };
  }
  const code = await child.exited;
  const endedAt = performance.now();
  if (code !== 0 || result === null) throw new Error(`df get: exit ${code}: ${await stderr}`);
  const tailMs = result.line.tailMs + (endedAt - result.at);
  return { endedAt, bytes: result.line.bytes, tailMs };
}

function sumBytes(all: BytesBySource[]): BytesBySource {
  const total = { source: 0, supernode: 0, peers: 0, cache: 0 };
  for (const bytes of all) {
    total.source += bytes.source;
    total.supernode += bytes.supernode;
    total.peers += bytes.peers;
    total.cache += bytes.cache;
  }
  return total;
}
