// What a registry's digest names, in a whole swarm in this process: one content for all repositories of a
// registry while it is brought, one for all registries once it is proven, and nobody's lies but his own.

import { afterEach, expect, test } from "bun:test";
import { type DfError, isDfError } from "../../src/errors.ts";
import type { LocalClient } from "../../src/net/local-client.ts";
import type { DownloadRequest } from "../../src/net/wire/local-api.ts";
import { startCluster } from "../fixtures/cluster-fixture.ts";
import { fleetFixture } from "../fixtures/fleet-fixture.ts";
import { digestOf } from "../fixtures/image-builder.ts";
import { scriptedRegistry, type ScriptedRegistry } from "../fixtures/scripted-registry.ts";
import { scriptedSwarmPeer } from "../fixtures/scripted-swarm-peer.ts";
import { supernodeFixture, type SupernodeFixture } from "../fixtures/supernode-fixture.ts";
import { Session } from "../../bench/harness/session.ts";
import { bytesOf, Cleanups, eventOf, eventsOf, peerFixture, randomBytes } from "./peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

async function registryFixture(): Promise<ScriptedRegistry> {
  const registry = await scriptedRegistry();
  cleanups.defer(() => registry.stop());
  return registry;
}

async function supernode(): Promise<SupernodeFixture> {
  const started = await supernodeFixture();
  cleanups.defer(() => started.stop());
  return started;
}

async function peerOf(node: SupernodeFixture): Promise<LocalClient> {
  return (await peerFixture(cleanups, { supernodes: [node.current.address] })).client;
}

/** Asks as the mirror does. */
function blob(
  registry: ScriptedRegistry,
  repository: string,
  digest: string,
  more: Partial<DownloadRequest> = {},
): DownloadRequest {
  const url = registry.blobUrl(repository, digest);
  return { url, checksum: digest, registryKind: "blob", noOrigin: true, ...more };
}

async function get(client: LocalClient, request: DownloadRequest) {
  const events = await eventsOf(client.download(request, AbortSignal.timeout(40_000)));
  const { contentId, taskId } = eventOf(events, "content");
  const done = eventOf(events, "done");
  const bytes =
    done.inline === undefined
      ? await bytesOf(client, contentId, done.length)
      : Buffer.from(done.inline, "base64");
  return { contentId, taskId, done, digest: digestOf(bytes) };
}

/** The error of a download, "done" when there is none. */
async function endOf(client: LocalClient, request: DownloadRequest): Promise<DfError | "done"> {
  return get(client, request).then(
    () => "done" as const,
    (error: unknown) => {
      if (isDfError(error)) return error;
      throw error;
    },
  );
}

async function codeOf(client: LocalClient, request: DownloadRequest): Promise<string> {
  const end = await endOf(client, request);
  return end === "done" ? end : end.code;
}

const heads = (registry: ScriptedRegistry, repository: string): number =>
  registry.asked("HEAD", `/${repository}/`).length;

test("a layer of two repositories is read once while it is brought, and each URL is asked about", async () => {
  const [registry, node] = [await registryFixture(), await supernode()];
  const digest = registry.add(randomBytes(900_000));
  registry.chunkDelayMs = 20;
  const clients = await Promise.all([peerOf(node), peerOf(node), peerOf(node)]);
  const repositories = ["team/app", "team/other", "team/app"];

  const got = await Promise.all(
    clients.map((client, i) => get(client, blob(registry, repositories[i]!, digest))),
  );

  expect(got.map((one) => one.digest)).toEqual([digest, digest, digest]);
  expect(new Set(got.map(({ contentId }) => contentId)).size).toBe(1);
  expect(registry.bodyBytes).toBe(900_000);
  expect([heads(registry, "team/app"), heads(registry, "team/other")]).toEqual([1, 1]);
}, 60_000);

test("a repository that lacks the layer refuses those who asked there, once, and nobody else", async () => {
  const [registry, node] = [await registryFixture(), await supernode()];
  const digest = registry.add(randomBytes(300_000));
  registry.holds = (repository) => repository !== "team/bogus";
  registry.chunkDelayMs = 20;
  const [first, second, third] = await Promise.all([peerOf(node), peerOf(node), peerOf(node)]);

  const ends = await Promise.all([
    endOf(first, blob(registry, "team/bogus", digest)),
    codeOf(second, blob(registry, "team/app", digest)),
    codeOf(third, blob(registry, "team/bogus", digest)),
  ]);

  const [refused] = ends;
  if (refused === "done") throw new Error("the bogus repository gave something");
  expect([refused.code, refused.refusal?.status]).toEqual(["source-not-found", 404]);
  expect(ends.slice(1)).toEqual(["done", "source-not-found"]);
  expect([heads(registry, "team/bogus"), registry.bodyBytes]).toEqual([1, 300_000]);
}, 60_000);

test("two repositories asked for on one host: the one that is refused does not end the other", async () => {
  const [registry, node] = [await registryFixture(), await supernode()];
  const digest = registry.add(randomBytes(300_000));
  registry.holds = (repository) => repository !== "team/bogus";
  const gate = Promise.withResolvers<void>();
  registry.gate = () => gate.promise;
  const client = await peerOf(node);

  const bogus = codeOf(client, blob(registry, "team/bogus", digest));
  const right = codeOf(client, blob(registry, "team/app", digest));
  while (registry.requests.length > 0) await Bun.sleep(5);
  await Bun.sleep(100);
  gate.resolve();

  expect(await Promise.all([bogus, right])).toEqual(["source-not-found", "done"]);
}, 60_000);

test("a read that is refused for one repository goes on with another one's that waits", async () => {
  const [registry, node] = [await registryFixture(), await supernode()];
  const digest = registry.add(randomBytes(3_000_000));
  registry.chunkDelayMs = 40;
  const [first, second] = await Promise.all([peerOf(node), peerOf(node)]);

  const reading = get(first, blob(registry, "team/gone", digest));
  while (registry.bodyBytes === 0) await Bun.sleep(5);
  const waiting = get(second, blob(registry, "team/app", digest));
  while (heads(registry, "team/app") === 0) await Bun.sleep(5);
  registry.refuses = (_, repository) => (repository === "team/gone" ? 403 : undefined);
  registry.chunkDelayMs = 0;

  expect((await Promise.all([reading, waiting])).map((one) => one.digest)).toEqual([
    digest,
    digest,
  ]);
  expect(registry.asked("GET", "/team/app/").length).toBeGreaterThan(0);
}, 60_000);

test("a registry that says yes to a digest which it has not gets nothing kept, and hurts its own alone", async () => {
  const [evil, honest, node] = [
    await registryFixture(),
    await registryFixture(),
    await supernode(),
  ];
  const bytes = randomBytes(400_000);
  const digest = honest.add(bytes);
  evil.add(bytes);
  evil.sends = (right) => Buffer.alloc(right.length, 7);
  const [first, second] = await Promise.all([peerOf(node), peerOf(node)]);

  const ends = await Promise.all([
    codeOf(first, blob(evil, "team/app", digest)),
    codeOf(second, blob(honest, "team/app", digest)),
  ]);
  const again = await codeOf(second, blob(honest, "team/app", digest));

  expect(ends).toEqual(["checksum", "done"]);
  expect(again).toBe("done");
  expect(node.current.status().store.contents).toBe(1);
  expect((await first.status()).store.contents).toBe(0);
}, 60_000);

test.each([["names another digest", { "docker-content-digest": digestOf(Buffer.from("other")) }]])(
  "a registry that %s is not read",
  async (_, fields) => {
    const node = await supernode();
    const digest = digestOf(Buffer.from("asked for"));
    const methods: string[] = [];
    const liar = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch(request) {
        methods.push(request.method);
        return new Response("asked for", { headers: fields });
      },
    });
    cleanups.defer(() => liar.stop(true));
    const url = `http://127.0.0.1:${liar.port}/v2/team/app/blobs/${digest}`;
    const request = { url, checksum: digest, registryKind: "blob" as const, noOrigin: true };

    expect(await codeOf(await peerOf(node), request)).toBe("checksum");
    expect(methods).toEqual(["HEAD"]);
  },
);

test("a registry that is slow delays those who asked there, and nobody else", async () => {
  const [slow, quick, node] = [await registryFixture(), await registryFixture(), await supernode()];
  const bytes = randomBytes(200_000);
  const digest = slow.add(bytes);
  quick.add(bytes);
  const gate = Promise.withResolvers<void>();
  slow.gate = () => gate.promise;
  const [first, second] = await Promise.all([peerOf(node), peerOf(node)]);

  const delayed = codeOf(first, blob(slow, "team/app", digest));
  expect(await codeOf(second, blob(quick, "team/app", digest))).toBe("done");
  gate.resolve();

  expect(await delayed).toBe("done");
  // By the time it answered it was not needed any more.
  expect(slow.bodyBytes + quick.bodyBytes).toBeLessThanOrEqual(2 * 200_000);
}, 60_000);

test("what is whole is given for its digest whichever registry is asked, down or not, also after a restart", async () => {
  const [registry, other, node] = [
    await registryFixture(),
    await registryFixture(),
    await supernode(),
  ];
  const digest = registry.add(randomBytes(300_000));
  const first = await get(await peerOf(node), blob(registry, "team/app", digest));
  await registry.stop();

  const second = await get(await peerOf(node), blob(other, "library/base", digest));
  await node.restart();
  const third = await get(await peerOf(node), blob(registry, "team/copy", digest));
  const plain = await get(await peerOf(node), {
    ...{ url: `${other.url}/layer.tar`, checksum: digest, noOrigin: true },
  });

  for (const one of [second, third, plain]) {
    expect(one.digest).toBe(digest);
    // It stays the content of the task that it came for: that is what a fleet signs.
    expect([one.contentId, one.taskId]).toEqual([first.contentId, first.taskId]);
  }
  expect(other.requests).toEqual([]);
}, 60_000);

test("a host gives what it has for its digest without asking anybody", async () => {
  const [registry, other, node] = [
    await registryFixture(),
    await registryFixture(),
    await supernodeFixture(),
  ];
  const digest = registry.add(randomBytes(100_000));
  const client = await peerOf(node);
  await get(client, blob(registry, "team/app", digest));
  await node.stop();
  await registry.stop();

  const again = await get(client, blob(other, "library/base", digest));

  expect(again.digest).toBe(digest);
  expect(other.requests).toEqual([]);
  expect(again.done.bytes).toMatchObject({ source: 0, supernode: 0, peers: 0 });
}, 60_000);

test("two registries asked for one digest on one host are one transfer once it is known to be one", async () => {
  const [registry, other, node] = [
    await registryFixture(),
    await registryFixture(),
    await supernode(),
  ];
  const bytes = randomBytes(2_000_000);
  const digest = registry.add(bytes);
  other.add(bytes);
  await get(await peerOf(node), blob(registry, "team/app", digest));
  const { client } = await peerFixture(cleanups, {
    ...{ supernodes: [node.current.address], downloadRateBytesPerSec: 2_000_000 },
  });

  const got = await Promise.all(
    [blob(registry, "team/app", digest), blob(other, "b", digest), blob(other, "c", digest)].map(
      (request) => get(client, request),
    ),
  );

  expect(got.map((one) => one.digest)).toEqual([digest, digest, digest]);
  expect(new Set(got.map(({ contentId }) => contentId)).size).toBe(1);
  expect(other.requests).toEqual([]);
  expect((await client.status()).downloadedBytes).toBeLessThan(2 * bytes.length);
}, 60_000);

test("one member of a cluster owns a digest, whichever registry is asked: the second one is not read", async () => {
  const nodes = await startCluster(3);
  for (const { supernode: one } of nodes) cleanups.defer(() => one.stop());
  const addresses = nodes.map(({ address }) => address);
  const registries = await Promise.all([registryFixture(), registryFixture(), registryFixture()]);
  const bytes = randomBytes(200_000);
  const [digest = ""] = registries.map((registry) => registry.add(bytes));

  for (const registry of registries) {
    const { client } = await peerFixture(cleanups, { supernodes: addresses });
    expect(await codeOf(client, blob(registry, "team/app", digest))).toBe("done");
  }

  expect(registries.map(({ bodyBytes }) => bodyBytes)).toEqual([200_000, 0, 0]);
}, 60_000);

test("a cluster takes another registry's content of the digest from the cluster above it", async () => {
  const [upper] = await startCluster(1);
  const [lower] = await startCluster(1, { upstream: [upper!.address] });
  for (const { supernode: one } of [lower!, upper!]) cleanups.defer(() => one.stop());
  const [first, second, third] = await Promise.all([
    registryFixture(),
    registryFixture(),
    registryFixture(),
  ]);
  const bytes = randomBytes(200_000);
  const digest = first.add(bytes);
  second.add(bytes);
  await get(await peerOf(upper!.supernode), blob(first, "team/app", digest));

  const below = await get(await peerOf(lower!.supernode), blob(second, "team/app", digest));
  const again = await get(await peerOf(lower!.supernode), blob(third, "team/app", digest));

  expect([below.digest, again.digest]).toEqual([digest, digest]);
  expect(again.contentId).toBe(below.contentId);
  expect([second.bodyBytes, third.requests.length]).toEqual([0, 0]);
}, 60_000);

test("a fleet signs what is shared under its digest, and what somebody alone may have is not shared", async () => {
  await Session.run("digests", async (session) => {
    const fleet = await fleetFixture(session);
    const [open, closed] = [await registryFixture(), await registryFixture()];
    const [shared, secret] = [open.add(randomBytes(300_000)), closed.add(randomBytes(300_000))];
    closed.challenge = 'Basic realm="closed"';
    const node = await fleet.supernode("default");
    const [first, second] = [await fleet.peer(), await fleet.peer()];
    closed.tokens.add("Basic dXNlcg==");
    const mine = blob(closed, "team/app", secret, {
      credentials: {
        url: closed.blobUrl("team/app", secret),
        headers: { authorization: "Basic dXNlcg==" },
      },
    });

    await get(first.client, blob(open, "team/app", shared));
    const other = await get(second.client, blob(closed, "library/base", shared));
    const own = await eventsOf(first.client.download(mine, AbortSignal.timeout(20_000)));
    const refused = await codeOf(second.client, blob(closed, "team/app", secret));
    const elsewhere = await codeOf(second.client, blob(open, "team/app", secret));

    expect(other.digest).toBe(shared);
    expect(eventOf(own, "done").sha256).toBe(secret.slice("sha256:".length));
    expect([refused, elsewhere]).toEqual(["source-unauthorized", "source-not-found"]);
    expect(node.warnings.filter((text) => text.includes("forged"))).toEqual([]);
  });
}, 60_000);

test("a registry that wants a token of everybody is asked with one, by the supernode and by a host alone", async () => {
  const [registry, node] = [await registryFixture(), await supernode()];
  const digest = registry.add(randomBytes(2_500_000));
  const asked: string[] = [];
  const realm = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      asked.push(new URL(request.url).search);
      return Response.json({ token: "everybodys", expires_in: 60 });
    },
  });
  cleanups.defer(() => realm.stop(true));
  registry.challenge = `Bearer realm="http://127.0.0.1:${realm.port}/t",service="s",scope="repository:team/app:pull"`;
  registry.tokens.add("everybodys");
  const alone = await peerFixture(cleanups);

  const got = await get(await peerOf(node), blob(registry, "team/app", digest));
  const own = await get(alone.client, blob(registry, "team/app", digest, { noOrigin: false }));

  expect([got.digest, own.digest]).toEqual([digest, digest]);
  expect(got.contentId).toBe(own.contentId);
  // Threads keep their own: who proves, who reads, and the other process' reader.
  expect(asked.length).toBeLessThanOrEqual(3);
  expect(new Set(asked)).toEqual(new Set(["?service=s&scope=repository%3Ateam%2Fapp%3Apull"]));
}, 60_000);

test("a host alone refuses bytes that are not of the digest, and keeps none", async () => {
  const registry = await registryFixture();
  const digest = registry.add(randomBytes(200_000));
  registry.sends = (right) => Buffer.alloc(right.length, 7);
  const { client } = await peerFixture(cleanups);

  expect(await codeOf(client, blob(registry, "team/app", digest, { noOrigin: false }))).toBe(
    "checksum",
  );
  expect((await client.status()).store.contents).toBe(0);
}, 60_000);

test.each<[string, Partial<DownloadRequest>]>([
  ["another digest than its path", { checksum: digestOf(Buffer.from("other")) }],
  ["no digest", { checksum: "" }],
  ["another kind than its path", { registryKind: "manifest" }],
  ["a tag that is a digest", { registryKind: "tag" }],
])("a request that names %s is refused by host and supernode alike", async (_, change) => {
  const [registry, node] = [await registryFixture(), await supernode()];
  const request = blob(registry, "team/app", registry.add(Buffer.from("layer")), change);
  const { noOrigin: _origin, ...task } = request;

  expect(await codeOf(await peerOf(node), request)).toBe("usage");
  const child = await scriptedSwarmPeer(node.current.address);
  cleanups.defer(() => child.close());
  const joined = child.join(task.url, {
    task: { headers: {}, tag: "", filterQuery: [], checksum: "", ...task },
  });
  await expect(joined).rejects.toThrow("usage");
  expect(registry.requests).toEqual([]);
});
