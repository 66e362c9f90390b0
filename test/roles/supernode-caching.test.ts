// What a supernode does with what a source says of its contents' use: which asks reach the source,
// and what peers get when it is down. Every test counts the source's own log.

import { afterEach, describe, expect, test } from "bun:test";
import { digestNow } from "../../src/engine/bytes/digest.ts";
import { VALIDATED_FRESH_MS } from "../../src/limits.ts";
import type { Joined, SupernodeMessage } from "../../src/net/wire/swarm-messages.ts";
import type { TaskRequest } from "../../src/net/wire/task.ts";
import type { SupernodeOptions } from "../../src/roles/supernode/supernode-options.ts";
import {
  startBadSource,
  type BadSource,
  type Reply,
  type ServeOptions,
} from "../fixtures/bad-source.ts";
import {
  isType,
  scriptedSwarmPeer,
  taskOf,
  type ScriptedSwarmPeer,
} from "../fixtures/scripted-swarm-peer.ts";
import { supernodeFixture, type SupernodeFixture } from "../fixtures/supernode-fixture.ts";
import { sampleBytes } from "../net/source/memory-sink.ts";
import { Cleanups } from "./peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

const content = sampleBytes(300_001);
const sha256 = digestNow("sha256", content).toHex();

async function source(script: (reply: Reply, number: number) => unknown): Promise<BadSource> {
  const started = await startBadSource(script);
  cleanups.defer(() => started.stop());
  return started;
}

async function supernode(options: Partial<SupernodeOptions> = {}): Promise<SupernodeFixture> {
  const started = await supernodeFixture(options);
  cleanups.defer(() => started.stop());
  return started;
}

async function peer(node: SupernodeFixture): Promise<ScriptedSwarmPeer> {
  const connected = await scriptedSwarmPeer(node.current.address);
  cleanups.defer(() => connected.close());
  return connected;
}

type Answer = Extract<SupernodeMessage, { request: number }>;
let nextRequest = 10_000;

/** Asks for a task; the answer may be a refusal. */
async function ask(
  child: ScriptedSwarmPeer,
  url: string,
  task: Partial<TaskRequest> = {},
): Promise<Answer> {
  const request = nextRequest++;
  child.say({ type: "join", request, task: taskOf(url, task) });
  return child.next((told): told is Answer => "request" in told && told.request === request);
}

/** Brings the content to the supernode, whole, and leaves. */
async function bring(
  node: SupernodeFixture,
  url: string,
  task: Partial<TaskRequest> = {},
): Promise<Joined> {
  const child = await peer(node);
  const joined = await ask(child, url, task);
  if (joined.type !== "joined") throw new Error(JSON.stringify(joined));
  if (joined.md5 === null) await child.next(isType("closed"));
  child.say({ type: "leave", handle: joined.handle });
  return joined;
}

const methodsOf = (log: BadSource, from: number) =>
  log.requests.slice(from).map(({ method }) => method);

/** A content that was brought, then a restart: no ask is of the same moment any more. */
async function broughtAndRestarted(
  options: ServeOptions,
  {
    task = {},
    node: given = {},
  }: { task?: Partial<TaskRequest>; node?: Partial<SupernodeOptions> } = {},
) {
  const state = { options, isDown: false, bytes: content as Uint8Array };
  const started = await source((reply) =>
    state.isDown
      ? reply.head(503, { "content-length": 0 })
      : reply.serve(state.bytes, state.options),
  );
  const node = await supernode(given);
  const first = await bring(node, started.url, task);
  await node.restart();
  return { source: started, node, first, state, asked: started.requests.length };
}

describe("after a restart a content", () => {
  const modified = new Date(Date.now() - 86_400_000).toUTCString();

  test.each<[string, ServeOptions, string[]]>([
    ["with max-age is given without asking", { headers: { "cache-control": "max-age=60" } }, []],
    [
      "with Expires is given without asking",
      { headers: { expires: new Date(Date.now() + 60_000).toUTCString() } },
      [],
    ],
    ["changed a day ago is given for a minute", { lastModified: modified }, []],
    [
      "without a validator but with max-age is given without asking",
      { etag: null, headers: { "cache-control": "max-age=60" } },
      [],
    ],
    ["of which nothing is said is asked about", {}, ["HEAD"]],
    [
      "with no-cache is asked about",
      { headers: { "cache-control": "no-cache, max-age=60" } },
      ["HEAD"],
    ],
    [
      "that was old when it came is asked about",
      { headers: { "cache-control": "max-age=60", age: "61" } },
      ["HEAD"],
    ],
    ["with a weak ETag is asked about by it", { etag: 'W/"v1"' }, ["HEAD"]],
    ["without anything to ask by is read anew", { etag: null }, ["GET"]],
  ])("%s", async (_, options, methods) => {
    const { source: log, node, first, asked } = await broughtAndRestarted(options);

    const again = await Promise.all(Array.from({ length: 20 }, async () => bring(node, log.url)));

    expect(methodsOf(log, asked)).toEqual(methods);
    expect(new Set(again.map(({ contentId }) => contentId)).size).toBe(1);
    if (!methods.includes("GET")) expect(again[0]!.contentId).toBe(first.contentId);
  });

  test("that the source confirms has the terms that it said with that", async () => {
    const { source: log, node, state, asked } = await broughtAndRestarted({});
    state.options = { headers: { "cache-control": "max-age=60" } };

    await bring(node, log.url);
    await node.restart();
    await bring(node, log.url);

    expect(methodsOf(log, asked)).toEqual(["HEAD"]);
  });

  test("of the digest that the task names is never asked about", async () => {
    const options = { headers: { "cache-control": "no-store" } };
    const task = { checksum: `sha256:${sha256.toUpperCase()}` };
    const { source: log, node, first, asked } = await broughtAndRestarted(options, { task });

    const again = await bring(node, log.url, task);

    expect(again.contentId).toBe(first.contentId);
    expect(methodsOf(log, asked)).toEqual([]);
  });

  test("of another digest than the task names is asked about like any", async () => {
    const task = { checksum: `sha256:${"0".repeat(64)}` };
    const { source: log, node, asked } = await broughtAndRestarted({}, { task });

    await bring(node, log.url, task);

    expect(methodsOf(log, asked)).toEqual(["HEAD"]);
  });

  test("of a source under --cache-force is never asked about", async () => {
    const options = { headers: { "cache-control": "no-cache" } };
    const node = { cacheForce: ["127.0.0.1"] };
    const { source: log, node: forced, asked } = await broughtAndRestarted(options, { node });

    await bring(forced, log.url);

    expect(methodsOf(log, asked)).toEqual([]);
  });

  test("behind a redirect is as fresh as the redirect, however long the file may be kept", async () => {
    const state = { target: "/one" };
    const log = await source((reply) =>
      reply.request.path === "/file"
        ? reply.head(302, { location: state.target, "content-length": 0 })
        : reply.serve(content, {
            etag: `"${reply.request.path}"`,
            headers: { "cache-control": "max-age=31536000, immutable" },
          }),
    );
    const node = await supernode();
    await bring(node, log.url);
    await node.restart();
    const asked = log.requests.length;

    const same = await bring(node, log.url);
    const paths = log.requests.slice(asked).map(({ path }) => path);
    state.target = "/two";
    await node.restart();
    const moved = await bring(node, log.url);

    expect(paths).toEqual(["/file", "/one"]);
    expect([same.validator, moved.validator]).toEqual(['"/one"', '"/two"']);
  });
});

describe("a content that must not be kept", () => {
  test.each([
    { "cache-control": "no-store" },
    { "cache-control": "private, max-age=60" },
    { vary: "*" },
  ])(
    "(%o) is shared by those who ask while it is read, and read again for the next",
    async (headers) => {
      const finish = Promise.withResolvers<void>();
      const log = await source(async (reply, number) => {
        if (number > 0) return void reply.serve(content, { headers });
        reply.head(200, { ...headers, etag: '"v1"', "content-length": content.length });
        reply.body(content.subarray(0, 100_000));
        await finish.promise;
        reply.body(content.subarray(100_000));
      });
      const node = await supernode();
      const children = await Promise.all(Array.from({ length: 10 }, () => peer(node)));

      const joins = await Promise.all(children.map((child) => child.join(log.url)));
      const during = log.requests.length;
      finish.resolve();
      await Promise.all(children.map((child) => child.next(isType("closed"))));
      children.forEach((child, i) => child.say({ type: "leave", handle: joins[i]!.handle }));
      while (node.current.status().contents.length > 0) await Bun.sleep(5);
      const atRest = node.current.status().store.contents;
      await bring(node, log.url);

      expect(new Set(joins.map(({ contentId }) => contentId)).size).toBe(1);
      expect(during).toBe(1);
      expect(atRest).toBe(0);
      expect(node.current.status().sourceReads).toBe(2);
    },
  );

  test("and is tiny reaches all who asked for it together", async () => {
    const headers = { "cache-control": "no-store" };
    const tiny = sampleBytes(100);
    const log = await source((reply) => reply.serve(tiny, { headers }));
    const node = await supernode();
    const children = await Promise.all(Array.from({ length: 10 }, () => peer(node)));

    const joins = await Promise.all(children.map((child) => child.join(log.url)));

    expect(joins.map(({ inline }) => inline)).toEqual(joins.map(() => tiny.toBase64()));
    expect(node.current.status().sourceReads).toBeLessThanOrEqual(10);
  });
});

describe("a source that is down", () => {
  test.each(["max-age=0", "max-age=0, stale-if-error=600"])(
    "(%s) has its last version given, with the reason, and is left alone for a while",
    async (cacheControl) => {
      const {
        source: log,
        node,
        first,
        state,
        asked,
      } = await broughtAndRestarted({
        headers: { "cache-control": cacheControl },
      });
      state.isDown = true;

      const again = await Promise.all(Array.from({ length: 20 }, () => bring(node, log.url)));
      const probes = methodsOf(log, asked);
      await bring(node, log.url);

      expect(new Set(again.map(({ contentId }) => contentId))).toEqual(new Set([first.contentId]));
      expect(again[0]!.stale).toContain("answered 503");
      // One probe, tried twice, for all.
      expect(probes).toEqual(["HEAD", "HEAD"]);
      expect(methodsOf(log, asked)).toEqual(probes);
    },
  );

  test("is asked again later, and what it says then counts", async () => {
    const { source: log, node, state } = await broughtAndRestarted({});
    state.isDown = true;
    await bring(node, log.url);
    await node.restart();
    state.isDown = false;
    state.options = { etag: '"v2"' };

    const joined = await bring(node, log.url);

    expect(joined).toMatchObject({ validator: '"v2"' });
    expect(joined.stale).toBeUndefined();
  });

  test.each([
    "max-age=0, must-revalidate",
    "no-cache",
    "s-maxage=0",
    "max-age=0, stale-if-error=0",
  ])(
    "(%s) has nothing given that it forbids to be given stale",
    async (cacheControl) => {
      const {
        source: log,
        node,
        state,
      } = await broughtAndRestarted({
        headers: { "cache-control": cacheControl },
      });
      await log.stop();
      state.isDown = true;

      const answer = await ask(await peer(node), log.url);

      expect(answer).toMatchObject({ type: "refused", error: { code: "network" } });
    },
    60_000,
  );

  test("is not one that says that the file is gone", async () => {
    const script = { isGone: false };
    const log = await source((reply) =>
      script.isGone ? reply.head(404, { "content-length": 0 }) : reply.serve(content),
    );
    const node = await supernode();
    await bring(node, log.url);
    await node.restart();
    script.isGone = true;

    const answer = await ask(await peer(node), log.url);

    expect(answer).toMatchObject({ type: "refused", error: { code: "source-not-found" } });
    expect(node.current.status().contents).toEqual([]);
  });
});

describe("a refusal", () => {
  test.each([404, 410, 403, 451])("with %d reaches 1,000 hosts by one request", async (status) => {
    const log = await source((reply) => reply.head(status, { "content-length": 0 }));
    const node = await supernode();
    const children = await Promise.all(Array.from({ length: 10 }, () => peer(node)));

    const codes = new Set<string>();
    for (let round = 0; round < 100; round++) {
      const answers = await Promise.all(children.map((child) => ask(child, log.url)));
      for (const answer of answers) codes.add(answer.type === "refused" ? answer.error.code : "-");
    }

    expect(codes.size).toBe(1);
    expect(log.requests).toHaveLength(1);
  });

  test("is forgotten when its time is over, however long the source says: the file may be there", async () => {
    let isThere = false;
    const log = await source((reply) =>
      isThere
        ? reply.serve(content)
        : reply.head(404, { "content-length": 0, "cache-control": "max-age=2" }),
    );
    const node = await supernode();
    await ask(await peer(node), log.url);
    isThere = true;

    const early = await ask(await peer(node), log.url);
    await Bun.sleep(2_100);
    const late = await ask(await peer(node), log.url);

    expect([early.type, late.type]).toEqual(["refused", "joined"]);
    expect(log.requests).toHaveLength(2);
  });
});

test("a new version is for those who ask after it; who downloads the old one ends with the old one", async () => {
  const old = { bytes: content, etag: '"v1"' };
  const state = { ...old };
  const log = await source((reply) => reply.serve(state.bytes, { etag: state.etag }));
  const node = await supernode();
  const early = await peer(node);
  const first = await early.join(log.url);
  await early.next(isType("closed"));
  await Bun.sleep(VALIDATED_FRESH_MS + 100);
  state.bytes = sampleBytes(200_001, 2);
  state.etag = '"v2"';

  const second = await bring(node, log.url);
  const pieceCount = Math.ceil(content.length / first.pieceLength);
  const received = new Uint8Array(content.length);
  for (let piece = 0; piece < pieceCount; piece++) {
    const path = `/v1/pieces/${first.contentId}/${piece}`;
    const answer = await fetch(`http://${node.current.pieceAddress}${path}`);
    received.set(await answer.bytes(), piece * first.pieceLength);
  }
  early.say({ type: "leave", handle: first.handle });
  while (node.current.status().contents.length > 1) await Bun.sleep(5);

  expect(second.contentId).not.toBe(first.contentId);
  expect(second.md5 ?? "").not.toBe(Bun.MD5.hash(content, "hex"));
  expect(Buffer.compare(received, content)).toBe(0);
  expect(node.current.status().contents[0]!.contentId).toBe(second.contentId);
});

test("asks one after the other within one moment share one probe, though the source says no-cache", async () => {
  const headers = { "cache-control": "no-cache" };
  const { source: log, node, asked } = await broughtAndRestarted({ headers });

  const startedMs = performance.now();
  for (let i = 0; i < 20; i++) await bring(node, log.url);

  // One, unless the machine is so slow that moments have passed.
  const moments = 1 + Math.floor((performance.now() - startedMs) / VALIDATED_FRESH_MS);
  const methods = methodsOf(log, asked);
  expect(methods.length).toBeWithin(1, moments + 1);
  expect(new Set(methods)).toEqual(new Set(["HEAD"]));
});
