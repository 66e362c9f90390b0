// What a tag means is the registry's word: asked for at each use, for all who ask at a time, kept for when
// the registry is down, and never a peer's.

import { afterEach, expect, test } from "bun:test";
import { isDfError } from "../../src/errors.ts";
import { VALIDATED_FRESH_MS } from "../../src/limits.ts";
import type { LocalClient } from "../../src/net/local-client.ts";
import type { DownloadRequest } from "../../src/net/wire/local-api.ts";
import type { TaskRequest } from "../../src/net/wire/task.ts";
import { digestOf } from "../fixtures/image-builder.ts";
import { scriptedRegistry, type ScriptedRegistry } from "../fixtures/scripted-registry.ts";
import { taskOf } from "../fixtures/scripted-swarm-peer.ts";
import { supernodeFixture, type SupernodeFixture } from "../fixtures/supernode-fixture.ts";
import { scriptedSupernode, type ScriptedChannel } from "../net/scripted-supernode.ts";
import {
  bytesOf,
  Cleanups,
  eventOf,
  eventsOf,
  peerFixture,
  randomBytes,
  seededContent,
  sourceFixture,
} from "./peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

const MANIFEST = "application/vnd.oci.image.manifest.v1+json";

async function tagged() {
  const registry = await scriptedRegistry();
  cleanups.defer(() => registry.stop());
  registry.cacheControl = "max-age=3600";
  const node = await supernodeFixture();
  cleanups.defer(() => node.stop());
  return { registry, node, first: become(registry, "first") };
}

/** Points the tag to a new manifest. */
function become(registry: ScriptedRegistry, text: string): string {
  const digest = registry.add(Buffer.from(JSON.stringify({ text })));
  registry.mediaTypes.set(digest, MANIFEST);
  registry.tags.set("team/app:latest", digest);
  return digest;
}

async function peerOf(node: SupernodeFixture): Promise<LocalClient> {
  return (await peerFixture(cleanups, { supernodes: [node.current.address] })).client;
}

function latest(registry: ScriptedRegistry, more: Partial<DownloadRequest> = {}): DownloadRequest {
  const url = registry.manifestUrl("team/app", "latest");
  return { url, registryKind: "tag", noOrigin: true, ...more };
}

async function get(client: LocalClient, request: DownloadRequest) {
  const events = await eventsOf(client.download(request, AbortSignal.timeout(30_000)));
  const { contentId } = eventOf(events, "content");
  const { length, inline, bytes } = eventOf(events, "done");
  const got =
    inline === undefined ? await bytesOf(client, contentId, length) : Buffer.from(inline, "base64");
  const notices = events.filter(({ event }) => event === "notice");
  return { digest: digestOf(got), notices, bytes };
}

const moment = (): Promise<void> => Bun.sleep(VALIDATED_FRESH_MS + 100);

test("a tag is asked for at each use, whatever lifetime its registry names, and once for all who ask at a time", async () => {
  const { registry, node, first } = await tagged();
  const clients = await Promise.all([peerOf(node), peerOf(node), peerOf(node)]);
  const all = () => Promise.all(clients.map((client) => get(client, latest(registry))));

  const before = await all();
  expect(registry.requests.length).toBe(1);
  await moment();
  const unchanged = await all();
  expect(registry.asked("HEAD").map(({ ifNoneMatch }) => ifNoneMatch)).toEqual([`"${first}"`]);
  const second = become(registry, "second");
  await moment();
  const after = await all();

  expect(before.map(({ digest }) => digest)).toEqual([first, first, first]);
  expect(unchanged.map(({ digest }) => digest)).toEqual([first, first, first]);
  expect(after.map(({ digest }) => digest)).toEqual([second, second, second]);
  expect(registry.asked("GET").length).toBe(2);
}, 60_000);

test("a registry that names no entity tag is asked by the digest that it names", async () => {
  const { registry, node, first } = await tagged();
  const client = await peerOf(node);
  const listed = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => {
      methods.push(request.method);
      return new Response(registry.contents.get(first)!.slice(), {
        headers: { "docker-content-digest": first },
      });
    },
  });
  const methods: string[] = [];
  cleanups.defer(() => listed.stop(true));
  const url = `http://127.0.0.1:${listed.port}/v2/team/app/manifests/latest`;

  await get(client, { url, registryKind: "tag", noOrigin: true });
  await moment();
  const again = await get(client, { url, registryKind: "tag", noOrigin: true });

  expect(again.digest).toBe(first);
  expect(methods).toEqual(["GET", "HEAD"]);
}, 30_000);

test("a registry that is down leaves its last word for a while, and readers are told; a refusal is a refusal", async () => {
  const { registry, node, first } = await tagged();
  await get(await peerOf(node), latest(registry));
  await moment();
  registry.refuses = () => 503;

  const stale = await get(await peerOf(node), latest(registry));
  expect(stale.digest).toBe(first);
  expect(JSON.stringify(stale.notices)).toContain("may be out of date");

  registry.refuses = () => 404;
  await node.restart();
  const refused = await get(await peerOf(node), latest(registry)).catch((error: unknown) => error);
  expect(isDfError(refused, "source-not-found")).toBe(true);
}, 60_000);

test("why a tag, or what a digest names, is used or asked about is told as it is", async () => {
  const { registry, node, first } = await tagged();
  const client = await peerOf(node);
  const { url } = latest(registry);
  const digest = registry.add(randomBytes(20_000));
  const layer = {
    ...{ url: registry.blobUrl("team/app", digest), checksum: digest },
    registryKind: "blob" as const,
  };
  await get(client, latest(registry));
  await get(client, { ...layer, noOrigin: true });
  const why = async (task: Partial<TaskRequest> & { url: string }) =>
    client.freshness(taskOf(task.url, task), AbortSignal.timeout(5_000));

  const tag = await why({ url, registryKind: "tag" });
  const blob = await why(layer);
  const other = await why({ ...layer, url: layer.url.replace("team/app", "library/base") });

  expect(first).toMatch(/^sha256:/);
  for (const told of [tag.here, tag.supernode])
    expect(told).toMatchObject({ use: "revalidates", rule: "tag", header: null });
  for (const told of [blob.here, blob.supernode, other.here, other.supernode])
    expect(told).toMatchObject({ use: "fresh", rule: "digest" });
}, 30_000);

test("a tag, and the same URL asked for as a file, are two things: what a registry answers depends on it", async () => {
  const { registry, node, first } = await tagged();
  const client = await peerOf(node);
  const accepted: (string | undefined)[] = [];
  registry.gate = (request) => void accepted.push(request.headers.accept);

  await get(client, latest(registry));
  const { url } = latest(registry);
  const plain = await get(client, { url, noOrigin: true });

  expect(plain.digest).toBe(first);
  expect(accepted.length).toBe(2);
  expect(accepted[0]).toContain(MANIFEST);
  expect(accepted[1]).toBe("*/*");
}, 30_000);

test("T-38: a host's copy of a tag answers for it no more when no supernode does: the registry is asked", async () => {
  const { registry } = await tagged();
  const node = await supernodeFixture();
  const client = await peerOf(node);
  await get(client, latest(registry));
  const second = become(registry, "second");
  await node.stop();

  const got = await get(client, latest(registry, { noOrigin: false }));
  const withoutRegistry = await get(client, latest(registry)).catch((error: unknown) => error);

  expect(got.digest).toBe(second);
  expect(isDfError(withoutRegistry, "no-supernode")).toBe(true);
}, 60_000);

/** Two hosts that tell of a content what another supernode made them believe. */
async function liars(url: string, data: Buffer): Promise<string[]> {
  const content = await seededContent(cleanups, url, { data });
  const misled = scriptedSupernode({ on: (message, channel) => content.giveAll(message, channel) });
  cleanups.defer(() => misled.stop());
  const peers = await Promise.all(
    [0, 1].map(() => peerFixture(cleanups, { supernodes: [misled.address] })),
  );
  for (const { client } of peers)
    await eventsOf(client.download({ url }, AbortSignal.timeout(20_000)));
  return peers.map(({ peer }) => peer.listen);
}

test.each([
  ["believed of a file, as far as nobody signs", undefined],
  ["never used for a tag", "tag"],
] as const)(
  "T-38: what two lying neighbours say is %s",
  async (_, registryKind) => {
    const data = randomBytes(300_000);
    const lies = randomBytes(300_000);
    const source = sourceFixture(cleanups, data);
    const url = source.url.replace("/file", "/v2/team/app/manifests/latest");
    const addresses = await liars(url, lies);
    const content = await seededContent(cleanups, url, { data });
    // So many share the ration of source reads that of a file none falls to this host.
    const swarmSize = registryKind === "tag" ? 1 : 1_000_000;
    let told: ScriptedChannel | undefined;
    const supernode = scriptedSupernode({
      on(message, channel) {
        if (message.type !== "join") return;
        // It names the version and dies before it tells of any piece.
        channel.say({ ...content.joined(message.request, 1), md5: null, swarmSize });
        channel.say({ type: "neighbours", handle: 1, addresses, swarmSize });
        told = channel;
      },
    });
    const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });
    const asked = { url, ...(registryKind === undefined ? {} : { registryKind }) };

    const events = eventsOf(client.download(asked, AbortSignal.timeout(50_000)));
    while (told === undefined) await Bun.sleep(5);
    await Bun.sleep(200);
    await supernode.stop();
    const { length } = eventOf(await events, "done");
    // What the registry was read for is another content than the supernode had named.
    const contents = (await events).filter(({ event }) => event === "content");
    const { contentId } = eventOf(contents.slice(-1), "content");
    const got = await bytesOf(client, contentId, length);

    expect(digestOf(got)).toBe(digestOf(registryKind === "tag" ? data : lies));
  },
  60_000,
);
