// A host that has a task's content whole: what it uses it for when its supernode or the source is
// gone. Real supernode, real peer, a scripted source that counts.

import { afterEach, expect, test } from "bun:test";
import type { LocalClient } from "../../src/net/local-client.ts";
import type { DownloadStreamEvent } from "../../src/net/wire/local-api.ts";
import { startBadSource, type ServeOptions } from "../fixtures/bad-source.ts";
import { taskOf } from "../fixtures/scripted-swarm-peer.ts";
import { supernodeFixture } from "../fixtures/supernode-fixture.ts";
import { sampleBytes } from "../net/source/memory-sink.ts";
import { bytesOf, Cleanups, eventOf, eventsOf, peerFixture } from "./peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

const content = sampleBytes(300_001);
const never = new AbortController().signal;

/** A source, a supernode and a peer that has the source's content. */
async function warmPeer(options: ServeOptions) {
  const state = { isDown: false, options };
  const source = await startBadSource((reply) =>
    state.isDown ? reply.head(503, { "content-length": 0 }) : reply.serve(content, state.options),
  );
  cleanups.defer(() => source.stop());
  const supernode = await supernodeFixture();
  let isGone = false;
  const stopSupernode = async (): Promise<void> => {
    if (!isGone) await supernode.stop();
    isGone = true;
  };
  cleanups.defer(stopSupernode);
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.current.address] });
  await eventsOf(client.download({ url: source.url }, never));
  return { source, state, supernode, stopSupernode, client, asked: source.requests.length };
}

async function again(client: LocalClient, url: string): Promise<DownloadStreamEvent[]> {
  const events = await eventsOf(client.download({ url }, never));
  const { contentId } = eventOf(events, "content");
  expect((await bytesOf(client, contentId, content.length)).equals(content)).toBe(true);
  return events;
}

test("a fresh copy serves its host without supernode and source", async () => {
  const { client, source, stopSupernode, asked } = await warmPeer({
    headers: { "cache-control": "max-age=60" },
  });
  await stopSupernode();

  const events = await again(client, source.url);

  expect(eventOf(events, "notice").message).toContain("fresh");
  expect(eventOf(events, "done").bytes.cache).toBe(content.length);
  expect(source.requests).toHaveLength(asked);
});

test("a stale copy serves its host when supernode and source are gone, with a notice", async () => {
  const { client, source, stopSupernode } = await warmPeer({});
  await stopSupernode();
  await source.stop();

  const events = await again(client, source.url);

  const notices = events.flatMap((event) => (event.event === "notice" ? event.message : []));
  expect(notices.at(-1)).toContain("may be out of date");
}, 60_000);

test("a stale copy is asked about at the source when the supernode is gone", async () => {
  const { client, source, stopSupernode, asked } = await warmPeer({});
  await stopSupernode();

  const events = await again(client, source.url);

  expect(eventOf(events, "done").bytes.cache).toBe(content.length);
  // The answer that named the version is not read on.
  expect(source.requests.slice(asked).map(({ method }) => method)).toEqual(["GET"]);
}, 60_000);

test("a stale copy serves a host that may not read the source when no supernode answers", async () => {
  const { client, source, stopSupernode, asked } = await warmPeer({});
  await stopSupernode();

  const events = await eventsOf(client.download({ url: source.url, noOrigin: true }, never));

  expect(eventOf(events, "done").bytes.cache).toBe(content.length);
  expect(source.requests).toHaveLength(asked);
}, 60_000);

test("a copy that must be revalidated is not used when nobody can be asked", async () => {
  const { client, source, stopSupernode } = await warmPeer({
    headers: { "cache-control": "max-age=0, must-revalidate" },
  });
  await stopSupernode();
  await source.stop();

  const failure = eventsOf(client.download({ url: source.url }, never));

  await expect(failure).rejects.toMatchObject({ code: "network" });
}, 60_000);

test("a version that the supernode gives unconfirmed comes with a notice", async () => {
  const { client, source, supernode, state } = await warmPeer({});
  state.isDown = true;
  await Bun.sleep(2_100);

  const events = await again(client, source.url);

  expect(eventOf(events, "notice").message).toContain("answered 503");
  expect(supernode.current.status().contents[0]!.freshness).toStartWith("stale");
}, 60_000);

test("a host says why, for itself and for its supernode", async () => {
  const { client, source, stopSupernode, asked } = await warmPeer({
    headers: { "cache-control": "max-age=60" },
  });

  // Kept for good only once it is synced.
  let both = await client.freshness(taskOf(source.url));
  while (both.here.use === "unknown") both = await client.freshness(taskOf(source.url));
  const unknown = await client.freshness(taskOf(`${source.url}?other`));
  await stopSupernode();
  const alone = await client.freshness(taskOf(source.url));

  expect(both.supernode).toMatchObject({ use: "fresh", rule: "max-age" });
  expect(both.here).toMatchObject({ use: "fresh", header: "cache-control: max-age=60" });
  expect([unknown.here.use, unknown.supernode?.use]).toEqual(["unknown", "unknown"]);
  expect(alone).toMatchObject({ here: { use: "fresh" }, supernode: null });
  // Asking why asks no source.
  expect(source.requests).toHaveLength(asked);
}, 60_000);
