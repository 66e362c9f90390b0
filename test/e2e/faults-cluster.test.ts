// Clusters of real supernode processes: killed without a word in mid-transfer, started again, and
// one cluster behind another. Peers are processes too; the source counts every byte.

import { expect, test } from "bun:test";
import { CountingSource, randomPayload, sha256Hex } from "../../bench/harness/counting-source.ts";
import {
  startPeer,
  startSupernode,
  type RunningPeer,
  type RunningSupernode,
} from "../../bench/harness/df-roles.ts";
import { freePortPair } from "../../bench/harness/free-port.ts";
import {
  downloadThrough,
  peerStatus,
  sha256ThroughApi,
} from "../../bench/harness/local-api-client.ts";
import { Session, waitUntil } from "../../bench/harness/session.ts";
import type { SupernodeStatus } from "../../src/roles/supernode/status.ts";
import { taskIdOf } from "../../src/engine/bytes/task-id.ts";
import { rankOwners } from "../../src/net/swarm/owner-rank.ts";
import { taskFieldsOf } from "../../src/net/task-request.ts";
import { taskOf } from "../fixtures/scripted-swarm-peer.ts";
import { hasDf, killHard } from "../fixtures/spawn-df.ts";

const MB = 1_000_000;

async function startCluster(
  session: Session,
  name: string,
  { count = 2, flags = [] }: { count?: number; flags?: string[] } = {},
): Promise<RunningSupernode[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePortPair());
  const all = ports.map((port) => `127.0.0.1:${port}`).join(",");
  return Promise.all(
    ports.map((port, i) =>
      startSupernode(session, {
        ...{ name: `${name}-${i}`, host: "127.0.0.1", port },
        flags: ["--cluster", all, ...flags],
      }),
    ),
  );
}

const addressesOf = (nodes: readonly RunningSupernode[]): string =>
  nodes.map(({ address }) => address).join(",");

async function startPeers(
  session: Session,
  name: string,
  supernode: string,
  { count, flags = [] }: { count: number; flags?: string[] },
): Promise<RunningPeer[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, i) =>
      startPeer(session, {
        ...{ name: `${name}-${i}`, listen: `127.0.0.1:${await freePortPair()}`, supernode, flags },
      }),
    ),
  );
}

async function statusOf({ address }: RunningSupernode): Promise<SupernodeStatus> {
  const answer = await fetch(`http://${address}/v1/status`);
  return (await answer.json()) as SupernodeStatus;
}

/** The owner of a URL and the others, in rank. */
function inRank(url: string, nodes: readonly RunningSupernode[]): RunningSupernode[] {
  const taskId = taskIdOf(taskFieldsOf(taskOf(url), "public"));
  const ranked = rankOwners(
    taskId,
    nodes.map(({ address }) => address),
  );
  return ranked.map((address) => nodes.find((node) => node.address === address)!);
}

async function bringEverywhere(peers: readonly RunningPeer[], url: string, sha256: string) {
  await Promise.all(
    peers.map(async ({ socket }) => {
      const done = await downloadThrough(socket, { url, noOrigin: true });
      expect(await sha256ThroughApi(socket, done)).toBe(sha256);
    }),
  );
}

test.if(hasDf)(
  "two clusters of two, one upstream of the other, and eight peers read a source exactly once",
  () =>
    Session.run("e2e-cluster", async (session) => {
      const bytes = randomPayload(12 * MB);
      await using source = await CountingSource.start({ bytes });
      const upstream = await startCluster(session, "upstream");
      const near = await startCluster(session, "near", {
        flags: ["--upstream", addressesOf(upstream)],
      });
      const peers = [
        ...(await startPeers(session, "far-peer", addressesOf(upstream), { count: 4 })),
        ...(await startPeers(session, "near-peer", addressesOf(near), { count: 4 })),
      ];

      await bringEverywhere(peers, source.url, sha256Hex(bytes));

      expect(source.bodyBytes).toBe(bytes.length);
      for (const node of near) expect((await statusOf(node)).sourceReads).toBe(0);
    }),
  120_000,
);

test.if(hasDf)(
  "an owner killed in mid-transfer is followed by the next member, and the source is read at most 1.5 times",
  () =>
    Session.run("e2e-cluster", async (session) => {
      const bytes = randomPayload(24 * MB);
      await using source = await CountingSource.start({ bytes });
      const nodes = await startCluster(session, "member", { flags: ["--upload-rate", "4M"] });
      const [owner, next] = inRank(source.url, nodes);
      const peers = await startPeers(session, "peer", addressesOf(nodes), {
        count: 4,
        flags: ["--upload-rate", "2M"],
      });

      const all = bringEverywhere(peers, source.url, sha256Hex(bytes));
      await waitUntil("half of it is at a peer", async () => {
        const statuses = await Promise.all(peers.map(({ socket }) => peerStatus(socket)));
        return statuses.some((status) => {
          return (status?.downloads[0]?.doneBytes ?? 0) > bytes.length / 2;
        });
      });
      await killHard(owner!.child);
      await all;

      expect(source.bodyBytes).toBeLessThanOrEqual(1.5 * bytes.length);
      expect((await statusOf(next!)).contents[0]!.state).toBe("complete");
    }),
  120_000,
);

test.if(hasDf)(
  "an owner that is back after its death leaves the download where it goes on",
  () =>
    Session.run("e2e-cluster", async (session) => {
      const bytes = randomPayload(16 * MB);
      await using source = await CountingSource.start({ bytes, bytesPerSec: 1.5 * MB });
      const nodes = await startCluster(session, "member");
      const [owner, next] = inRank(source.url, nodes);
      const [early, late] = [
        await startPeers(session, "early", addressesOf(nodes), { count: 2 }),
        await startPeers(session, "late", addressesOf(nodes), { count: 1 }),
      ];

      const running = bringEverywhere(early, source.url, sha256Hex(bytes));
      await waitUntil("the next member takes part", async () => {
        return ((await statusOf(next!)).contents[0]?.seededPieces ?? 0) > 10;
      });
      await killHard(owner!.child);
      await waitUntil("the next member reads", async () => {
        return (await statusOf(next!)).sourceReads > 0;
      });
      const { address } = owner!;
      const port = Number(address.split(":")[1]);
      const name = `member-${nodes.indexOf(owner!)}`;
      const flags = ["--cluster", addressesOf(nodes)];
      const back = await startSupernode(session, { name, host: "127.0.0.1", port, flags });
      await bringEverywhere(late, source.url, sha256Hex(bytes));
      await running;

      expect((await statusOf(back)).sourceReads).toBe(0);
      expect(source.bodyBytes).toBeLessThanOrEqual(1.5 * bytes.length);
    }),
  120_000,
);
