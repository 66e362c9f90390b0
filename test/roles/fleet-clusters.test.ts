// Clusters as `df config` makes them: supernodes that learn of each other from the fleet, and hosts
// that find the owner of a task without asking.

import { expect, test } from "bun:test";
import { CountingSource, randomPayload } from "../../bench/harness/counting-source.ts";
import { Session, waitUntil } from "../../bench/harness/session.ts";
import { rankOwners } from "../../src/net/swarm/owner-rank.ts";
import { taskIdOf } from "../../src/engine/bytes/task-id.ts";
import { taskFieldsOf } from "../../src/net/task-request.ts";
import {
  fleetFixture,
  type FleetFixture,
  type PeerOfFleet,
  type SupernodeOfFleet,
} from "../fixtures/fleet-fixture.ts";
import { taskOf } from "../fixtures/scripted-swarm-peer.ts";
import { eventOf, eventsOf } from "./peer-fixture.ts";

async function startedCluster(
  fleet: FleetFixture,
  name: string,
  count: number,
): Promise<SupernodeOfFleet[]> {
  const nodes = await Promise.all(Array.from({ length: count }, () => fleet.supernode(name)));
  for (const { running } of nodes) {
    await waitUntil("the members are connected", () => running.status().peers >= count - 1);
  }
  return nodes;
}

async function download({ client }: PeerOfFleet, url: string): Promise<number> {
  const events = client.download({ url, noOrigin: true }, AbortSignal.timeout(60_000));
  return eventOf(await eventsOf(events), "done").length;
}

const readsOf = (nodes: readonly SupernodeOfFleet[]): number =>
  nodes.reduce((sum, { running }) => sum + running.status().sourceReads, 0);

test("hosts of a fleet and its supernodes agree on who owns a task", () =>
  Session.run("clusters", async (session) => {
    await using source = await CountingSource.start({ bytes: randomPayload(500_000) });
    const fleet = await fleetFixture(session);
    const nodes = await startedCluster(fleet, "a", 3);
    const peer = await fleet.peer();
    await waitUntil("all are known", () => peer.supernodes().length === 3);

    for (let i = 0; i < 6; i++) {
      const url = `${source.url}?n=${i}`;
      expect(await download(peer, url)).toBe(500_000);
      const taskId = taskIdOf(taskFieldsOf(taskOf(url), "public"));
      const [owner] = rankOwners(
        taskId,
        nodes.map(({ running }) => running.status().hostId),
      );
      const holders = nodes.filter(({ running }) =>
        running.status().contents.some((content) => content.taskId === taskId),
      );
      expect(holders.map(({ running }) => running.status().hostId)).toEqual([owner!]);
    }
  }));

test("a cluster takes contents from its upstream, as the fleet says, and the source is read once", () =>
  Session.run("clusters", async (session) => {
    await using source = await CountingSource.start({ bytes: randomPayload(3_000_000) });
    const fleet = await fleetFixture(session);
    const upstream = await startedCluster(fleet, "home", 2);
    const body = { name: "abroad", upstream: "home" };
    const { status } = await fleet.call("POST clusters", { body });
    expect(status).toBeLessThan(300);
    const abroad = await startedCluster(fleet, "abroad", 2);
    const peers = await Promise.all(
      ["home", "abroad", "home", "abroad"].map(async (cluster) =>
        fleet.peer({ fleet: await fleet.address(cluster) }),
      ),
    );

    const lengths = await Promise.all(peers.map((peer) => download(peer, source.url)));

    expect(new Set(lengths)).toEqual(new Set([3_000_000]));
    expect(readsOf(abroad)).toBe(0);
    expect(readsOf(upstream)).toBe(1);
    expect(source.bodyBytes).toBe(3_000_000);
  }));
