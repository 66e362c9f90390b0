// A real supernode on loopback, a scripted source behind it and scripted peers in front: what the
// peers are told, and how often the source is asked.

import { afterEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startBadSource, type BadSource, type Reply } from "../fixtures/bad-source.ts";
import {
  isKind,
  isType,
  scriptedSwarmPeer,
  taskOf,
  type ScriptedSwarmPeer,
} from "../fixtures/scripted-swarm-peer.ts";
import { provingHost } from "../fixtures/proving-host.ts";
import { supernodeFixture, type SupernodeFixture } from "../fixtures/supernode-fixture.ts";
import { sampleBytes } from "../net/source/memory-sink.ts";
import { Prng } from "../../src/engine/core/prng.ts";
import { Scheduler } from "../../src/engine/core/scheduler.ts";
import { replay } from "../../src/engine/core/trace.ts";
import type { PieceReport } from "../../src/engine/core/scheduler-events.ts";
import { PieceSet } from "../../src/engine/core/piece-set.ts";
import type { SupernodeOptions } from "../../src/roles/supernode/supernode-options.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});
async function source(script: (reply: Reply, number: number) => void): Promise<BadSource> {
  const started = await startBadSource(script);
  cleanUps.push(() => started.stop());
  return started;
}
async function supernode(overrides: Partial<SupernodeOptions> = {}): Promise<SupernodeFixture> {
  const started = await supernodeFixture(overrides);
  cleanUps.push(() => started.stop());
  return started;
}
async function peer(node: SupernodeFixture, hello = {}): Promise<ScriptedSwarmPeer> {
  const connected = await scriptedSwarmPeer(node.current.address, hello);
  cleanUps.push(() => connected.close());
  return connected;
}
const md5 = (bytes: Uint8Array<ArrayBuffer>) => Bun.MD5.hash(bytes, "hex");
const content = sampleBytes(3_000_001);

describe("a join", () => {
  test("leads to rows, assignments and pieces that are the source's bytes", async () => {
    const { url } = await source((reply) => reply.serve(content));
    const child = await peer(await supernode());

    const joined = await child.join(url);
    const received = new Uint8Array(content.length);
    const pieceCount = Math.ceil(content.length / joined.pieceLength);
    const rows = new Map<number, Uint8Array>();
    child.pull(joined.handle);
    for (let done = 0; done < pieceCount;) {
      const { assignments } = await child.next(isKind("assign"));
      for (const frame of child.told.filter(isKind("rows")))
        for (const { piece, row } of frame.rows) rows.set(piece, row.wireSha256);
      const reports = [];
      for (const { piece: first, count, parent, address } of assignments) {
        for (let piece = first; piece < first + count; piece++) {
          const answer = await fetch(`http://${address}/v1/pieces/${joined.contentId}/${piece}`);
          const bytes = await answer.bytes();
          expect(Bun.SHA256.hash(bytes, "hex")).toBe(rows.get(piece)!.toHex());
          received.set(bytes, piece * joined.pieceLength);
          reports.push({ piece, parent, outcome: 0 as const, elapsedMs: 1 });
          done++;
        }
      }
      child.pull(joined.handle, { reports });
    }
    const closed = await child.next(isType("closed"));

    expect(joined).toMatchObject({ length: content.length, validator: '"v1"' });
    expect(Buffer.compare(received, content)).toBe(0);
    expect(closed).toMatchObject({ length: content.length, md5: md5(content) });
  });

  test("of many peers at once reads the source once", async () => {
    const { url, ...log } = await source((reply) => reply.serve(content));
    const node = await supernode();
    const children = await Promise.all(Array.from({ length: 30 }, () => peer(node)));

    const joins = await Promise.all(children.map((child) => child.join(url)));
    await Promise.all(children.map((child) => child.next(isType("closed"))));

    expect(new Set(joins.map(({ contentId }) => contentId)).size).toBe(1);
    expect(node.current.status()).toMatchObject({ sourceReads: 1, sourceBytes: content.length });
    expect(log.requests.reduce((sum, { bodyBytes }) => sum + bodyBytes, 0)).toBe(content.length);
  });

  test("after the content is complete gets its digests at once and asks nothing of the source", async () => {
    const { url, requests } = await source((reply) => reply.serve(content));
    const node = await supernode();
    const first = await peer(node);
    await first.join(url);
    await first.next(isType("closed"));
    const asked = requests.length;

    const joined = await (await peer(node)).join(url);

    expect(joined.md5).toBe(md5(content));
    expect(requests.length).toBe(asked);
  });

  test.each([0, 1, 8_192])(
    "of a content of %d bytes brings it inside the answer",
    async (length) => {
      const tiny = sampleBytes(length);
      const { url } = await source((reply) => reply.serve(tiny));

      const joined = await (await peer(await supernode())).join(url);

      expect(joined.inline).toBe(tiny.toBase64());
      expect(joined).toMatchObject({ length, md5: md5(tiny) });
    },
  );

  test("of a content without a length is answered at once and closed at its end", async () => {
    const finish = Promise.withResolvers<void>();
    const { url } = await source(async (reply) => {
      reply
        .head(200, { "transfer-encoding": "chunked", etag: '"v1"' })
        .chunk(content.subarray(0, 1_500_000));
      await finish.promise;
      reply.chunk(content.subarray(1_500_000)).chunk("");
    });
    const child = await peer(await supernode());

    const joined = await child.join(url);
    child.pull(joined.handle);
    await child.next(isKind("assign"));
    finish.resolve();
    const closed = await child.next(isType("closed"));

    expect(joined.length).toBeNull();
    expect(closed).toMatchObject({ length: content.length, md5: md5(content) });
  });

  test("with what is known makes the peer a parent of the others", async () => {
    const { url } = await source((reply) => reply.serve(content));
    const node = await supernode();
    const first = await peer(node);
    const { contentId, pieceLength, handle } = await first.join(url);
    await first.next(isType("closed"));
    first.say({ type: "leave", handle });
    const full = PieceSet.full(Math.ceil(content.length / pieceLength))
      .toBytes()
      .toBase64();

    const host = provingHost({ defer: (step) => void cleanUps.push(async () => step()) });
    const pieceAddress = host.address.replace("127.0.0.1", "0.0.0.0");
    const holder = await peer(node, { ...host.hello, pieceAddress });
    holder.say({ type: "hold", contents: [{ contentId, have: full }] });
    const child = await peer(node);
    const joined = await child.join(url);
    child.pull(joined.handle, { slots: 100 });
    const parents = new Set<string>();
    while (!parents.has(host.address)) {
      const { assignments } = await child.next(isKind("assign"));
      for (const { address } of assignments) parents.add(address);
      child.pull(joined.handle, {
        slots: 100,
        reports: assignments.map(({ piece, parent }) => ({
          piece,
          parent,
          outcome: 0,
          elapsedMs: 1,
        })),
      });
    }

    expect(parents).toContain(host.address);

    const picky = await peer(node);
    const { handle: pickyHandle } = await picky.join(url, { from: "supernode" });
    const given = new Set<number>();
    const givers = new Set<string>();
    for (let reports: PieceReport[] = []; given.size < Math.ceil(content.length / pieceLength);) {
      picky.pull(pickyHandle, { reports });
      const { assignments } = await picky.next(isKind("assign"));
      for (const { piece, address } of assignments) {
        given.add(piece);
        givers.add(address);
      }
      reports = assignments.map(({ piece, parent }) => ({
        ...{ piece, parent, outcome: 0, elapsedMs: 1 },
      }));
    }
    expect([...givers]).toEqual([node.current.pieceAddress]);
  });

  test("beyond what one peer may have waiting at once is refused, others are not", async () => {
    const { url } = await source(() => {});
    const node = await supernode();
    const greedy = await peer(node);

    for (let request = 0; request < 257; request++) {
      greedy.say({ type: "join", request, task: taskOf(`${url}?n=${request}`) });
    }

    const refused = await greedy.next(isType("refused"));
    expect(refused).toMatchObject({ request: 256, error: { code: "unavailable" } });
  });

  test.each([
    ["with a space", "exam ple:80"],
    ["that is not ASCII", "bücher.test:80"],
    ["longer than any host name", `${"a".repeat(255)}:80`],
    ["without a port", "host"],
    ["with a port that is none", "host:0"],
  ])("of a peer with an address %s makes it no parent", async (_, pieceAddress) => {
    const { url } = await source((reply) => reply.serve(content));
    const node = await supernode();
    const holder = await peer(node, { pieceAddress, uploadSlots: 3 });
    const { contentId, pieceLength, handle } = await holder.join(url);
    await holder.next(isType("closed"));
    holder.say({ type: "leave", handle });
    const have = PieceSet.full(Math.ceil(content.length / pieceLength))
      .toBytes()
      .toBase64();
    holder.say({ type: "hold", contents: [{ contentId, have }] });

    const child = await peer(node);
    const joined = await child.join(url);
    const addresses = new Set<string>();
    for (let reports: PieceReport[] = [], given = 0; given < 20;) {
      child.pull(joined.handle, { reports });
      const { assignments } = await child.next(isKind("assign"));
      given += assignments.length;
      for (const { address } of assignments) addresses.add(address);
      reports = assignments.map(({ piece, parent }) => ({
        ...{ piece, parent, outcome: 0, elapsedMs: 1 },
      }));
    }
    expect([...addresses]).toEqual([node.current.pieceAddress]);
  });
});

describe("a refusal", () => {
  async function refusalOf(url: string, overrides = {}, options = {}): Promise<unknown> {
    const child = await peer(await supernode(options));
    child.say({ type: "join", request: 7, task: taskOf(url, overrides) });
    return (await child.next(isType("refused"))).error;
  }

  test("carries what the source said", async () => {
    const { url } = await source((reply) => reply.head(404, { "content-length": 0 }));

    expect(await refusalOf(url)).toMatchObject({ code: "source-not-found" });
  });

  test("meets requests with credentials: the peer reads those itself", async () => {
    expect(await refusalOf("http://u:p@files.example/x")).toMatchObject({ code: "not-shareable" });
    const headers = { Authorization: "Bearer x" };
    expect(await refusalOf("http://files.example/x", { headers })).toMatchObject({
      code: "not-shareable",
    });
  });

  test("meets what is no http URL", async () => {
    expect(await refusalOf("file:///etc/passwd")).toMatchObject({ code: "usage" });
    expect(await refusalOf("nonsense")).toMatchObject({ code: "usage" });
  });

  test("meets local names where others can reach the supernode, unless they are allowed", async () => {
    const { url, port } = await source((reply) => reply.serve(content));
    const listen = { hostname: "0.0.0.0", port: 0 };

    expect(await refusalOf(url, {}, { listen })).toMatchObject({ code: "not-shareable" });
    const open = await supernode({ listen, originAllow: [`127.0.0.1:${port}`] });
    const child = await scriptedSwarmPeer(open.current.address.replace("0.0.0.0", "127.0.0.1"));
    cleanUps.push(() => child.close());
    expect((await child.join(url)).length).toBe(content.length);
  });
});

describe("a source that changes", () => {
  test("while it is read fails the content for everyone with source-changed", async () => {
    const { url } = await source((reply, number) =>
      reply.serve(sampleBytes(6 << 20), { etag: number === 0 ? '"v1"' : '"v2"' }),
    );
    const child = await peer(await supernode());

    await child.join(url);
    const failed = await child.next(isType("failed"));

    expect(failed.error.code).toBe("source-changed");
    expect((await child.join(url)).validator).toBe('"v2"');
  });

  test("while nobody looks gives the new version to the next who asks", async () => {
    let etag = '"v1"';
    let bytes = content;
    const { url } = await source((reply) => reply.serve(bytes, { etag }));
    const node = await supernode();
    const before = await peer(node);
    const old = await before.join(url);
    await before.next(isType("closed"));

    await node.restart();
    etag = '"v2"';
    bytes = sampleBytes(1_000_000, 2);
    const after = await peer(node);
    const joined = await after.join(url);
    const closed = await after.next(isType("closed"));

    expect(joined.contentId).not.toBe(old.contentId);
    expect(closed.md5).toBe(md5(bytes));
  });
});

describe("a restart", () => {
  test("keeps what is complete: one probe, no body", async () => {
    const { url, requests } = await source((reply) => reply.serve(content));
    const node = await supernode();
    const before = await peer(node);
    const first = await before.join(url);
    await before.next(isType("closed"));
    const asked = requests.length;

    await node.restart();
    const again = await (await peer(node)).join(url);

    expect(again).toMatchObject({ contentId: first.contentId, md5: md5(content) });
    expect(requests.slice(asked).map(({ method }) => method)).toEqual(["HEAD"]);
    expect(node.current.status().sourceReads).toBe(0);
  });

  test("in the middle of a read goes on where it ended", async () => {
    const large = sampleBytes(8 << 20);
    let isHeld = true;
    const started = await source((reply, number) => {
      if (!isHeld || number === 0) return void reply.serve(large);
      const first = Number(/\d+/.exec(reply.request.headers["range"]!)![0]);
      reply.head(206, {
        etag: '"v1"',
        "content-range": `bytes ${first}-${first + 999_999}/${large.length}`,
        "content-length": 1_000_000,
      });
      return void reply.body(large.subarray(first, first + 500_000));
    });
    const node = await supernode();
    const before = await peer(node);
    const { contentId } = await before.join(started.url);
    while (node.current.status().contents[0]!.seededPieces < 60) await Bun.sleep(5);

    await node.restart();
    isHeld = false;
    const sentBefore = started.bodyBytes;
    const after = await peer(node);
    const joined = await after.join(started.url);
    const closed = await after.next(isType("closed"));

    expect(joined.contentId).toBe(contentId);
    expect(closed.md5).toBe(md5(large));
    expect(started.bodyBytes - sentBefore).toBeLessThan(large.length - 50 * joined.pieceLength);
  });
});

test("the trace of a real run replays to the same decisions", async () => {
  const folder = await mkdtemp(join(tmpdir(), "df-trace-"));
  cleanUps.push(() => rm(folder, { recursive: true }));
  const tracePath = join(folder, "trace");
  const { url } = await source((reply) => reply.serve(content));
  const node = await supernodeFixture({ tracePath });
  for (let peers = 0; peers < 3; peers++) {
    const child = await scriptedSwarmPeer(node.current.address);
    const { handle, md5 } = await child.join(url);
    child.pull(handle);
    const { assignments } = await child.next(isKind("assign"));
    const reports = assignments.map(({ piece, parent }) => ({
      ...{ piece, parent, outcome: 0 as const, elapsedMs: 1 },
    }));
    child.pull(handle, { reports });
    if (md5 === null) await child.next(isType("closed"));
    child.close();
    while (node.current.status().peers > 0) await Bun.sleep(2);
  }
  await node.stop();

  const [head, ...lines] = (await Bun.file(tracePath).text()).trimEnd().split("\n");
  const { seed } = JSON.parse(head!) as { seed: number };
  expect(lines.length).toBeGreaterThan(100);
  expect(replay(new Scheduler({ prng: new Prng(seed) }), lines)).toBeNull();
});
