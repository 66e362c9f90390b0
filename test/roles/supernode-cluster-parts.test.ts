// The rules of a cluster one by one: when an owner is full, how many extra seeds a swarm is worth, which
// lists of members are refused, and what a supernode says to joins that came through others.

import { afterEach, describe, expect, test } from "bun:test";
import { randomPayload, CountingSource } from "../../bench/harness/counting-source.ts";
import { holdingSchema } from "../../src/net/wire/holds-api.ts";
import { taskIdOf } from "../../src/engine/bytes/task-id.ts";
import { taskFieldsOf } from "../../src/net/task-request.ts";
import { listedMembers } from "../../src/roles/supernode/cluster/cluster-members.ts";
import { seedsFor } from "../../src/roles/supernode/cluster/extra-seeds.ts";
import { LoadGauge } from "../../src/roles/supernode/cluster/load-gauge.ts";
import { isType, scriptedSwarmPeer, taskOf } from "../fixtures/scripted-swarm-peer.ts";
import { supernodeFixture, type SupernodeFixture } from "../fixtures/supernode-fixture.ts";
import { Cleanups } from "./peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

describe("the load of a supernode", () => {
  test("is too much for a content with very many children", () => {
    const load = new LoadGauge(100);

    expect([99, 100].map((count) => load.isFull(count))).toEqual([false, true]);
  });

  test("is too much while its thread is late on average, and only for contents of many", () => {
    const load = new LoadGauge();

    for (let i = 0; i < 100; i++) load.sampled(200);

    expect([load.isFull(10), load.isFull(64)]).toEqual([false, true]);
  });

  test("is bearable again once the thread has been in time for a while", () => {
    const load = new LoadGauge();
    for (let i = 0; i < 100; i++) load.sampled(200);

    load.sampled(0);
    const soon = load.isFull(1_000);
    for (let i = 0; i < 100; i++) load.sampled(0);

    expect([soon, load.isFull(1_000)]).toEqual([true, false]);
  });

  test("is not judged by one hiccup", () => {
    const load = new LoadGauge();

    load.sampled(500);

    expect(load.isFull(1_000)).toBe(false);
  });
});

test.each([
  [1, 0],
  [2, 1],
  [63, 1],
  [64, 2],
  [1_000, 16],
])("a swarm of %d peers is worth %d extra seeds", (peers, seeds) => {
  expect(seedsFor(peers)).toBe(seeds);
});

describe("a list of members", () => {
  test("without this supernode is refused", () => {
    expect(() => listedMembers("a:1", { members: ["b:1"], upstream: [] })).toThrow("a:1");
  });

  test.each([["a:1"], ["b:1"]])("that is its own upstream by %s is refused", (upstream) => {
    const lists = { members: ["a:1", "b:1"], upstream: [upstream] };

    expect(() => listedMembers("a:1", lists)).toThrow("member of this cluster");
  });
});

describe("a supernode", () => {
  async function started(): Promise<SupernodeFixture> {
    const supernode = await supernodeFixture();
    cleanups.defer(() => supernode.stop());
    return supernode;
  }
  async function source(): Promise<CountingSource> {
    const counting = await CountingSource.start({ bytes: randomPayload(100_000) });
    cleanups.defer(() => counting[Symbol.asyncDispose]());
    return counting;
  }
  async function channel(supernode: SupernodeFixture, role?: "supernode") {
    const peer = await scriptedSwarmPeer(supernode.current.address, role ? { role } : {});
    cleanups.defer(() => peer.close());
    return peer;
  }

  test("refuses a join that came back to it", async () => {
    const supernode = await started();
    const { hostId } = supernode.current.status();
    const other = await channel(supernode, "supernode");

    other.say({
      ...{ type: "join", request: 1, task: taskOf("http://files.example/x") },
      hops: ["b".repeat(64), hostId],
    });

    expect((await other.next(isType("refused"))).error).toMatchObject({ code: "usage" });
  });

  test("does not let a peer say through whom its join came", async () => {
    const { url } = await source();
    const supernode = await started();
    const { hostId } = supernode.current.status();

    const joined = await (await channel(supernode)).join(url, { hops: [hostId] });

    expect(joined.length).toBe(100_000);
  });

  test("asks no source for who wants only what is here", async () => {
    const { url } = await source();
    const supernode = await started();
    const other = await channel(supernode, "supernode");

    other.say({ type: "join", request: 1, task: taskOf(url), onlyHeld: true });

    expect((await other.next(isType("refused"))).error).toMatchObject({ code: "unavailable" });
    expect(supernode.current.status().sourceReads).toBe(0);
  });

  test("says what it holds of a task, and nothing of others", async () => {
    const { url } = await source();
    const supernode = await started();
    const peer = await channel(supernode);
    const { contentId } = await peer.join(url);
    await peer.next(isType("closed"));
    const ask = (taskId: string) => fetch(`http://${supernode.current.address}/v1/holds/${taskId}`);

    const known = await ask(taskIdOf(taskFieldsOf(taskOf(url), "public")));

    expect(holdingSchema.parse(await known.json())).toMatchObject({ contentId, isComplete: true });
    expect((await ask("0".repeat(64))).status).toBe(404);
    expect((await ask("nonsense")).status).toBe(404);
  });
});
