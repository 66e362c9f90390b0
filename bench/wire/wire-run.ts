// One download through a supernode and a peer, with what it cost: seconds, bytes of pieces, CPU.

import { downloadThrough, sha256ThroughApi } from "../harness/local-api-client.ts";
import type { DownloadRequest } from "../../src/net/wire/local-api.ts";
import type { SupernodeStatus } from "../../src/roles/supernode/status.ts";
import { DF, type RunningPeer, type RunningSupernode } from "../harness/df-roles.ts";
import type { Payload } from "../harness/payload.ts";
import { processUsage } from "../harness/process-usage.ts";
import { run } from "../harness/session.ts";
import { type Host, on } from "../swarm-real/network.ts";

/** Uploads are told about once a second. */
const COUNTS_SETTLE_MS = 1_300;

/** A supernode and the one peer that is its child. */
export interface WirePair {
  supernode: RunningSupernode;
  peer: RunningPeer;
  /** Where `df status` reaches the supernode. */
  seed: Host;
  /** Of `df status`, as NAME=VALUE: where it finds what shows it to a fleet. */
  statusEnvironment: readonly string[];
}

export interface WireRun {
  seconds: number;
  plainBytes: number;
  /** Bytes of pieces that left the supernode. */
  pieceBytes: number;
  supernodeCpuSeconds: number;
  peerCpuSeconds: number;
  /** Of the supernode, spent to find out which pieces shrink. */
  lookSeconds: number;
}

/** The source is read in this run: the URL must be new to the supernode. */
export async function runOnce(
  pair: WirePair,
  request: DownloadRequest,
  payload: Payload,
): Promise<WireRun> {
  const before = await countsOf(pair);
  const download = await downloadThrough(pair.peer.socket, request);
  const cpu = cpuOf(pair);
  await Bun.sleep(COUNTS_SETTLE_MS);
  const after = await countsOf(pair);
  const digest = await sha256ThroughApi(pair.peer.socket, download);
  if (digest !== payload.sha256) throw new Error(`${request.url}: wrong bytes`);
  return {
    seconds: download.seconds,
    plainBytes: payload.length,
    pieceBytes: after.uploadedBytes - before.uploadedBytes,
    supernodeCpuSeconds: cpu.supernode - before.cpu.supernode,
    peerCpuSeconds: cpu.peer - before.cpu.peer,
    lookSeconds: (after.lookMs - before.lookMs) / 1_000,
  };
}

async function countsOf(pair: WirePair) {
  const { supernode, seed, statusEnvironment } = pair;
  const command = [DF, "status", "--supernode", supernode.address, "--json"];
  const output = await run(on(seed, ["env", ...statusEnvironment, ...command]));
  const status = JSON.parse(output) as SupernodeStatus;
  return { uploadedBytes: status.uploadedBytes, lookMs: status.wire.lookMs, cpu: cpuOf(pair) };
}

function cpuOf({ supernode, peer }: WirePair): { supernode: number; peer: number } {
  return {
    supernode: processUsage(supernode.child.pid)!.cpuSeconds,
    peer: processUsage(peer.child.pid)!.cpuSeconds,
  };
}
