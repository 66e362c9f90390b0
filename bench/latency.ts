// npm run bench:latency: what small files cost through a running peer, whether the tenth host waits
// longer than the second, and how much memory a peer holds when idle and while it moves a big file.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { randomPayload } from "./harness/counting-source.ts";
import { DF, startPeer, startSupernode, type RunningPeer } from "./harness/df-roles.ts";
import { freePortPair } from "./harness/free-port.ts";
import { downloadThrough } from "./harness/local-api-client.ts";
import { provenance } from "./harness/machine.ts";
import { makePayload } from "./harness/payload.ts";
import { processUsage } from "./harness/process-usage.ts";
import { run, Session } from "./harness/session.ts";
import { quantile, rounded } from "./harness/statistics.ts";
import { parseSize } from "./harness/units.ts";
import { startNginx, type Nginx } from "./swarm-real/nginx.ts";

const SMALL_BYTES = 1024;
const HOST_COUNT = 10;
const SAMPLE_INTERVAL_MS = 100;

const { values } = parseArgs({
  options: {
    files: { type: "string", default: "40" },
    move: { type: "string", default: "4GiB" },
    json: { type: "boolean", default: false },
  },
});
const fileCount = Number(values.files);
const moveBytes = parseSize(values.move);

function percentiles(milliseconds: number[]): Record<string, number> {
  return {
    p50Ms: rounded(quantile(milliseconds, 0.5), 2),
    p99Ms: rounded(quantile(milliseconds, 0.99), 2),
    count: milliseconds.length,
  };
}

/** Every file visits the hosts one after another: the first one reads the source, the others do not. */
async function measureApi(peers: RunningPeer[], source: Nginx): Promise<Record<string, unknown>> {
  const byHost: number[][] = peers.map(() => []);
  const again: number[] = [];
  for (let file = 0; file < fileCount; file++) {
    const url = source.url(`api-${file}`);
    for (const [i, { socket }] of peers.entries()) {
      byHost[i]!.push((await downloadThrough(socket, { url })).seconds * 1000);
    }
    again.push((await downloadThrough(peers[0]!.socket, { url })).seconds * 1000);
  }
  return {
    firstHost: percentiles(byHost[0]!),
    secondHost: percentiles(byHost[1]!),
    tenthHost: percentiles(byHost[HOST_COUNT - 1]!),
    sameHostAgain: percentiles(again),
  };
}

async function measureCommand(
  session: Session,
  peer: RunningPeer,
  source: Nginx,
): Promise<Record<string, unknown>> {
  const milliseconds: number[] = [];
  for (let file = 0; file < fileCount; file++) {
    const output = join(session.folder, `small-${file}`);
    const startedAt = performance.now();
    await run([DF, "get", source.url(`get-${file}`), "-o", output, "--socket", peer.socket, "-q"]);
    milliseconds.push(performance.now() - startedAt);
  }
  return percentiles(milliseconds);
}

async function measureMemory(
  session: Session,
  peer: RunningPeer,
  supernodePid: number,
): Promise<Record<string, unknown>> {
  const folder = join(session.folder, "big");
  await mkdir(folder);
  const payload = await makePayload(folder, moveBytes);
  const port = await freePortPair();
  const source = await startNginx(session, {
    host: null,
    root: payload.root,
    name: "big-source",
    port,
  });
  const peaks = { peer: 0, supernode: 0 };
  const timer = setInterval(() => {
    peaks.peer = Math.max(peaks.peer, processUsage(peer.child.pid)?.residentBytes ?? 0);
    peaks.supernode = Math.max(peaks.supernode, processUsage(supernodePid)?.residentBytes ?? 0);
  }, SAMPLE_INTERVAL_MS);
  const { seconds } = await downloadThrough(peer.socket, { url: source.url(payload.name) });
  clearInterval(timer);
  return {
    bytes: moveBytes,
    seconds: rounded(seconds, 1),
    peerPeakMib: rounded(peaks.peer / 2 ** 20, 0),
    supernodePeakMib: rounded(peaks.supernode / 2 ** 20, 0),
  };
}

async function bench(session: Session): Promise<void> {
  const root = join(session.folder, "small");
  await mkdir(root);
  for (let file = 0; file < fileCount; file++) {
    await writeFile(join(root, `api-${file}`), randomPayload(SMALL_BYTES));
    await writeFile(join(root, `get-${file}`), randomPayload(SMALL_BYTES));
  }
  const source = await startNginx(session, {
    host: null,
    root,
    name: "source",
    port: await freePortPair(),
  });
  const supernode = await startSupernode(session, {
    name: "supernode",
    host: "127.0.0.1",
    port: await freePortPair(),
  });
  const peers: RunningPeer[] = [];
  for (let i = 0; i < HOST_COUNT; i++) {
    const listen = `127.0.0.1:${await freePortPair()}`;
    peers.push(
      await startPeer(session, { name: `peer-${i}`, listen, supernode: supernode.address }),
    );
  }
  await Bun.sleep(2_000);
  const idlePeerMib = rounded(processUsage(peers[0]!.child.pid)!.residentBytes / 2 ** 20, 0);

  const result = {
    bench: "latency",
    ...provenance("bench:latency"),
    smallFileBytes: SMALL_BYTES,
    localApi: await measureApi(peers, source),
    wholeCommand: await measureCommand(session, peers[0]!, source),
    idlePeerMib,
    moving: moveBytes === 0 ? null : await measureMemory(session, peers[0]!, supernode.child.pid),
  };
  console.log(values.json ? JSON.stringify(result) : Bun.inspect(result, { depth: 6 }));
}

await Session.run("latency", bench);
