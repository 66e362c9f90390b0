// npm run bench:failover: what the death and the return of a supernode cost the swarm.
//
//   restart     a supernode with many simulated peers in mid-download is killed and started again: when
//               the swarm is whole, and whether a piece was fetched twice
//   takeover    the owner of a cluster of two is killed under real peers: their longest standstill
//   reconnects  thousands of channels come back at once: the longest standstill of real transfers
//
// Simulated peers keep real sockets and the real download machine, but no disk. All on loopback.

import { parseArgs } from "node:util";
import { taskIdOf } from "../src/engine/bytes/task-id.ts";
import { LocalClient } from "../src/net/local-client.ts";
import { rankOwners } from "../src/net/swarm/owner-rank.ts";
import { taskFieldsOf } from "../src/net/task-request.ts";
import type { TaskRequest } from "../src/net/wire/task.ts";
import { CountingSource, randomPayload } from "./harness/counting-source.ts";
import { startPeer, startSupernode, type RunningPeer } from "./harness/df-roles.ts";
import { freePortPair } from "./harness/free-port.ts";
import { provenance } from "./harness/machine.ts";
import { Session, waitUntil } from "./harness/session.ts";
import { SimulatedPeer } from "./harness/simulated-peer.ts";
import { rounded, summarize } from "./harness/statistics.ts";
import { parseSize } from "./harness/units.ts";

const { values } = parseArgs({
  options: {
    peers: { type: "string", default: "200" },
    sockets: { type: "string", default: "2000" },
    size: { type: "string", default: "16MB" },
    json: { type: "boolean", default: false },
  },
});
const size = parseSize(values.size);
const HOST = "127.0.0.1";

function taskFor(url: string): TaskRequest {
  return { url, headers: {}, tag: "", filterQuery: [], checksum: "" };
}

/** Real peers that download at a few MB/s, and the longest time in which one of them got nothing. */
class WatchedDownloads {
  readonly #gapsMs: number[] = [];
  readonly #running: Promise<void>[] = [];
  #watchFromMs = Infinity;

  constructor(peers: readonly RunningPeer[], url: string) {
    for (const { socket } of peers) this.#running.push(this.#watch(socket, url));
  }

  /** Standstills before this are not counted. */
  watch(): void {
    this.#watchFromMs = performance.now();
  }

  /** The longest standstill of each peer, once all have ended. */
  async longestGapsMs(): Promise<number[]> {
    await Promise.all(this.#running);
    return this.#gapsMs;
  }

  async #watch(socket: string, url: string): Promise<void> {
    let doneBytes = -1;
    let movedAtMs = performance.now();
    let longestMs = 0;
    const events = new LocalClient(socket).download(
      { url, noOrigin: true },
      new AbortController().signal,
    );
    for await (const event of events) {
      const nowMs = performance.now();
      if (event.event !== "progress" || event.doneBytes === doneBytes) continue;
      ({ doneBytes } = event);
      if (movedAtMs >= this.#watchFromMs) longestMs = Math.max(longestMs, nowMs - movedAtMs);
      else if (nowMs >= this.#watchFromMs)
        longestMs = Math.max(longestMs, nowMs - Math.max(movedAtMs, this.#watchFromMs));
      movedAtMs = nowMs;
    }
    this.#gapsMs.push(longestMs);
  }
}

async function startPeers(
  session: Session,
  supernode: string,
  { count, rate }: { count: number; rate: string },
): Promise<RunningPeer[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, i) =>
      startPeer(session, {
        ...{ name: `${supernode.replaceAll(/\W/g, "-")}-peer-${i}`, supernode },
        listen: `${HOST}:${await freePortPair()}`,
        flags: ["--download-rate", rate],
      }),
    ),
  );
}

/** Kills the process and starts it again on the same port and data. */
async function restart(
  session: Session,
  name: string,
  running: { port: number; child: Bun.Subprocess },
): Promise<number> {
  const killedAtMs = performance.now();
  running.child.kill("SIGKILL");
  await running.child.exited;
  await startSupernode(session, { name, host: HOST, port: running.port });
  return performance.now() - killedAtMs;
}

async function benchRestart(session: Session): Promise<Record<string, unknown>> {
  const bytes = randomPayload(size);
  await using source = await CountingSource.start({ bytes });
  const port = await freePortPair();
  const { address, child } = await startSupernode(session, { name: "restarted", host: HOST, port });
  const task = taskFor(source.url);
  const peers = Array.from(
    { length: Number(values.peers) },
    () => new SimulatedPeer({ supernode: address, task, bytes, pieceMs: 40, downloads: true }),
  );
  session.defer(() => peers.forEach((peer) => peer.stop()));
  await Promise.all(peers.map((peer) => peer.start()));
  const isHalfway = (): boolean =>
    peers.reduce((sum, { doneShare }) => sum + doneShare, 0) > peers.length / 2;
  await waitUntil("half of the pieces are there", isHalfway, 120_000);

  const downMs = await restart(session, "restarted", { port, child });
  const readyAtMs = performance.now();
  const isWhole = (): boolean => peers.every(({ joinedAtMs }) => joinedAtMs > readyAtMs - downMs);
  await waitUntil("every peer is back", isWhole, 60_000);
  const wholeMs = Math.max(...peers.map(({ joinedAtMs }) => joinedAtMs)) - readyAtMs;
  await waitUntil("every peer has it all", () => peers.every((peer) => peer.isComplete), 120_000);
  peers.forEach((peer) => peer.stop());

  const fetchedTwice = peers.reduce(
    (sum, { fetchCounts }) => sum + fetchCounts.filter((count) => count > 1).length,
    0,
  );
  return {
    peers: peers.length,
    downMs: rounded(downMs, 0),
    wholeAfterMs: rounded(wholeMs, 0),
    piecesFetchedTwice: fetchedTwice,
    wrongBytes: peers.reduce((sum, { wrongBytes }) => sum + wrongBytes, 0),
    sourceCopies: rounded(source.bodyBytes / bytes.length),
  };
}

async function benchTakeover(session: Session): Promise<Record<string, unknown>> {
  const bytes = randomPayload(size);
  await using source = await CountingSource.start({ bytes });
  const ports = [await freePortPair(), await freePortPair()];
  const addresses = ports.map((port) => `${HOST}:${port}`);
  const flags = ["--cluster", addresses.join(",")];
  const members = await Promise.all(
    ports.map((port, i) =>
      startSupernode(session, { name: `member-${i}`, host: HOST, port, flags }),
    ),
  );
  const peers = await startPeers(session, addresses.join(","), { count: 4, rate: "1500K" });
  const taskId = taskIdOf(taskFieldsOf(taskFor(source.url), "public"));
  const [owner] = rankOwners(taskId, addresses);

  const downloads = new WatchedDownloads(peers, source.url);
  await Bun.sleep((size / 1_500_000 / 2) * 1_000);
  const { child } = members.find(({ address }) => address === owner)!;
  downloads.watch();
  child.kill("SIGKILL");
  const gapsMs = await downloads.longestGapsMs();

  return {
    peers: peers.length,
    longestStandstillMs: summarize(gapsMs),
    sourceCopies: rounded(source.bodyBytes / bytes.length),
  };
}

async function benchReconnects(session: Session): Promise<Record<string, unknown>> {
  const bytes = randomPayload(size);
  await using source = await CountingSource.start({ bytes });
  const port = await freePortPair();
  const { address, child } = await startSupernode(session, { name: "crowded", host: HOST, port });
  const peers = await startPeers(session, address, { count: 2, rate: "1500K" });
  const task = taskFor(source.url);
  const crowd = Array.from(
    { length: Number(values.sockets) },
    () => new SimulatedPeer({ supernode: address, task, bytes, pieceMs: 0, downloads: false }),
  );
  session.defer(() => crowd.forEach((peer) => peer.stop()));
  for (let from = 0; from < crowd.length; from += 200) {
    await Promise.all(crowd.slice(from, from + 200).map((peer) => peer.start()));
  }

  const downloads = new WatchedDownloads(peers, source.url);
  await Bun.sleep(2_000);
  downloads.watch();
  const downMs = await restart(session, "crowded", { port, child });
  const readyAtMs = performance.now();
  await waitUntil("every channel is back", () => crowd.every(({ isOpen }) => isOpen), 60_000);
  const backMs = Math.max(...crowd.map(({ openedAtMs }) => openedAtMs)) - readyAtMs;
  const gapsMs = await downloads.longestGapsMs();

  return {
    sockets: crowd.length,
    downMs: rounded(downMs, 0),
    allBackAfterMs: rounded(backMs, 0),
    longestStandstillMs: summarize(gapsMs),
  };
}

await Session.run("failover", async (session) => {
  const result = {
    bench: "failover",
    ...provenance("bench:failover"),
    bytes: size,
    restart: await benchRestart(session),
    takeover: await benchTakeover(session),
    reconnects: await benchReconnects(session),
  };
  console.log(values.json ? JSON.stringify(result) : Bun.inspect(result, { depth: 6 }));
});
