// Several real supernodes that share tasks, real peers in front and one source behind: who serves
// whom, and how often the source is read.

import { afterEach, describe, expect, test } from "bun:test";
import {
  CountingSource,
  randomPayload,
  type CountingSourceOptions,
} from "../../bench/harness/counting-source.ts";
import {
  clusterAddresses,
  inRank,
  memberOf,
  sourceReads,
  startCluster,
  startMember,
  untilConnected,
  type ClusterNode,
  type ClusterOptions,
} from "../fixtures/cluster-fixture.ts";
import { cuttableLink, type CuttableLink } from "../fixtures/cuttable-link.ts";
import {
  isKind,
  isType,
  scriptedSwarmPeer,
  taskOf,
  type ScriptedSwarmPeer,
} from "../fixtures/scripted-swarm-peer.ts";
import { PieceOutcome, type PieceReport } from "../../src/engine/core/scheduler-events.ts";
import type { Joined } from "../../src/net/wire/swarm-messages.ts";
import { bytesOf, Cleanups, eventOf, eventsOf, peerFixture } from "./peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

async function source(
  length: number,
  options: Partial<CountingSourceOptions> = {},
): Promise<CountingSource> {
  const started = await CountingSource.start({ bytes: randomPayload(length), ...options });
  cleanups.defer(() => started[Symbol.asyncDispose]());
  return started;
}

async function cluster(count: number, options: ClusterOptions = {}): Promise<ClusterNode[]> {
  const nodes = await startCluster(count, options);
  for (const { supernode } of nodes) cleanups.defer(() => supernode.stop());
  return nodes;
}

async function member(
  address: string,
  all: readonly string[],
  options: ClusterOptions = {},
): Promise<ClusterNode> {
  const node = await startMember(address, all, options);
  cleanups.defer(() => node.supernode.stop());
  return node;
}

/** Downloads through a peer of its own that knows these supernodes, and compares every byte. */
async function download(
  url: string,
  expected: Uint8Array,
  supernodes: readonly string[],
): Promise<void> {
  const { client } = await peerFixture(cleanups, { supernodes: [...supernodes] });
  const request = { url, noOrigin: true };
  const events = await eventsOf(client.download(request, new AbortController().signal));
  expect(events.map(({ event }) => event)).toContain("done");
  const { contentId } = eventOf(events, "content");
  expect(Buffer.compare(await bytesOf(client, contentId, expected.length), expected)).toBe(0);
}

/** Takes every piece and returns the parents, one for each. */
async function takeAll(child: ScriptedSwarmPeer, joined: Joined): Promise<string[]> {
  const { handle, contentId, length, pieceLength } = joined;
  const parents: string[] = [];
  let reports: PieceReport[] = [];
  while (parents.length < Math.ceil(length! / pieceLength)) {
    child.pull(handle, { reports });
    const { assignments } = await child.next(isKind("assign"));
    reports = await Promise.all(
      assignments.map(async ({ piece, parent, address }) => {
        const answer = await fetch(`http://${address}/v1/pieces/${contentId}/${piece}`);
        await answer.bytes();
        parents.push(address);
        return { piece, parent, outcome: PieceOutcome.finished, elapsedMs: 20 };
      }),
    );
  }
  return parents;
}

const addressesOf = (nodes: readonly ClusterNode[]) => nodes.map(({ address }) => address);

describe("a cluster", () => {
  test("reads a source once, at the owner, whichever member a peer asks", async () => {
    const started = await source(3_000_000);
    const { url, bytes } = started;
    const nodes = await cluster(3);
    const [owner, ...others] = inRank(url, nodes);

    await Promise.all(nodes.map(({ address }) => download(url, bytes, [address])));

    expect(owner!.supernode.current.status().sourceReads).toBe(1);
    expect(sourceReads(others)).toBe(0);
    expect(started.bodyBytes).toBe(bytes.length);
  });

  test("sends a peer on to the owner", async () => {
    const { url } = await source(100_000);
    const nodes = await cluster(2);
    const [owner, other] = inRank(url, nodes);
    const peer = await scriptedSwarmPeer(other!.address);
    cleanups.defer(() => peer.close());

    peer.say({ type: "join", request: 1, task: taskOf(url) });

    expect(await peer.next(isType("moved"))).toMatchObject({ address: owner!.address });
  });

  test("spreads tasks over its members", async () => {
    const { url } = await source(1_000);
    const nodes = await cluster(3);

    const owners = new Set(
      Array.from({ length: 40 }, (_, i) => inRank(`${url}?${i}`, nodes)[0]!.address),
    );

    expect(owners.size).toBe(3);
  });

  test("serves a peer that cannot reach the owner from another member, without another read", async () => {
    const { url, bytes } = await source(3_000_000);
    const nodes = await cluster(2);
    const [owner, other] = inRank(url, nodes);
    await download(url, bytes, [owner!.address]);
    const peer = await scriptedSwarmPeer(other!.address);
    cleanups.defer(() => peer.close());

    const joined = await peer.join(url, { isDelegated: true });

    expect(joined.length).toBe(bytes.length);
    expect(sourceReads(nodes)).toBe(1);
    await Promise.all([1, 2, 3].map(() => download(url, bytes, addressesOf(nodes))));
  });
});

describe("an extra seed", () => {
  test("shares the upload of what many peers want", async () => {
    const { url } = await source(4_000_000);
    const nodes = await cluster(2, { overrides: { uploadRate: 2_000_000 } });
    const [owner, other] = inRank(url, nodes);
    const children = await Promise.all(
      Array.from({ length: 4 }, () => scriptedSwarmPeer(owner!.address)),
    );
    for (const child of children) cleanups.defer(() => child.close());

    const joins = await Promise.all(children.map((child) => child.join(url)));
    const { current } = other!.supernode;
    while (current.status().contents.length === 0) await Bun.sleep(10);
    const taken = await Promise.all(children.map((child, i) => takeAll(child, joins[i]!)));

    const parents = taken.flat();
    const fromExtra = parents.filter((address) => address === current.pieceAddress);
    expect(fromExtra.length / parents.length).toBeGreaterThan(0.2);
    expect(sourceReads(nodes)).toBe(1);
  });

  test("is not asked for what one peer alone wants", async () => {
    const { url, bytes } = await source(3_000_000);
    const nodes = await cluster(2);

    await download(url, bytes, addressesOf(nodes));

    expect(inRank(url, nodes)[1]!.supernode.current.status().contents).toEqual([]);
  });
});

describe("an owner with as many peers as it can serve", () => {
  test("hands further ones over to members, which serve them without another read", async () => {
    const started = await source(3_000_000);
    const { url, bytes } = started;
    const nodes = await cluster(2, { overrides: { childrenMax: 2 } });
    const [owner, other] = inRank(url, nodes);

    await Promise.all(Array.from({ length: 5 }, () => download(url, bytes, addressesOf(nodes))));
    const late = await scriptedSwarmPeer(owner!.address);
    cleanups.defer(() => late.close());
    late.say({ type: "join", request: 1, task: taskOf(url) });

    expect(await late.next(isType("moved"))).toMatchObject({
      address: other!.address,
      isDelegated: true,
    });
    expect(started.bodyBytes).toBe(bytes.length);
  });
});

describe("a partition", () => {
  test("costs at most two reads, and the former owner does not fight for what the other has", async () => {
    const started = await source(4_000_000, { bytesPerSec: 1_000_000 });
    const { url, bytes } = started;
    const links = new Map<string, CuttableLink>();
    const addresses = await clusterAddresses(2);
    for (const address of addresses) {
      const link = await cuttableLink(address);
      cleanups.defer(() => link.stop());
      links.set(address, link);
    }
    const route = (_: string, to: string) => links.get(to)!.address;
    const nodes = await Promise.all(
      addresses.map((address) => member(address, addresses, { route })),
    );
    await untilConnected(nodes);
    const [owner, other] = inRank(url, nodes);

    for (const link of links.values()) link.cut();
    // A peer on either side.
    await Promise.all([
      download(url, bytes, [owner!.address]),
      download(url, bytes, [other!.address]),
    ]);
    for (const link of links.values()) link.mend();
    await download(url, bytes, [owner!.address]);

    expect(sourceReads(nodes)).toBe(2);
    expect(started.bodyBytes).toBe(2 * bytes.length);
  }, 60_000);
});

describe("an upstream cluster", () => {
  test("is where contents come from: two clusters and eight peers read a source once", async () => {
    const started = await source(4_000_000);
    const { url, bytes } = started;
    const upstream = await cluster(2);
    const downstream = await cluster(2, { upstream: addressesOf(upstream) });

    await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        download(url, bytes, addressesOf(i % 2 === 0 ? upstream : downstream)),
      ),
    );

    expect(sourceReads(downstream)).toBe(0);
    expect(sourceReads(upstream)).toBe(1);
    expect(started.bodyBytes).toBe(bytes.length);
  });

  test("that takes its contents from here again is not waited for", async () => {
    const { url, bytes } = await source(2_000_000);
    const [a, b] = await clusterAddresses(2);
    const first = await member(a!, [a!], { upstream: [b!] });
    const second = await member(b!, [b!], { upstream: [a!] });

    await Promise.all([download(url, bytes, [a!]), download(url, bytes, [b!])]);

    expect(sourceReads([first, second])).toBeLessThanOrEqual(2);
  });

  test("that is gone leaves the source to the owner", async () => {
    const { url, bytes } = await source(2_000_000);
    const [gone] = await clusterAddresses(1);
    const nodes = await cluster(1, { upstream: [gone!] });

    await download(url, bytes, addressesOf(nodes));

    expect(sourceReads(nodes)).toBe(1);
  }, 60_000);
});

describe("a member that comes", () => {
  test("takes a content over from its former owner, not from the source", async () => {
    const started = await source(3_000_000);
    const { url, bytes } = started;
    const addresses = await clusterAddresses(3);
    // Whoever owns the task of three is the one that comes last.
    const [last, ...early] = inRank(
      url,
      addresses.map((address) => ({ address }) as ClusterNode),
    ).map(({ address }) => address);
    const nodes = await Promise.all(early.map((address) => member(address, early)));
    await untilConnected(nodes);
    await download(url, bytes, early);

    const newcomer = await member(last!, addresses);
    const all = addresses.map(memberOf);
    for (const { members } of nodes) members.become(all);
    await untilConnected([...nodes, newcomer]);
    await download(url, bytes, addresses);

    expect(sourceReads([...nodes, newcomer])).toBe(1);
    expect(started.bodyBytes).toBe(bytes.length);
  });

  test("in mid-transfer leaves the content where it is scheduled", async () => {
    const started = await source(4_000_000, { bytesPerSec: 2_000_000 });
    const { url, bytes } = started;
    const addresses = await clusterAddresses(2);
    const [last, first] = inRank(
      url,
      addresses.map((address) => ({ address }) as ClusterNode),
    ).map(({ address }) => address);
    const owner = await member(first!, [first!]);
    const running = download(url, bytes, [first!]);
    while ((owner.supernode.current.status().contents[0]?.seededPieces ?? 0) < 10)
      await Bun.sleep(10);

    const newcomer = await member(last!, addresses);
    owner.members.become(addresses.map(memberOf));
    await untilConnected([owner, newcomer]);
    await Promise.all([running, download(url, bytes, addresses), download(url, bytes, [last!])]);

    expect(sourceReads([owner, newcomer])).toBe(1);
    expect(started.bodyBytes).toBe(bytes.length);
  });
});
