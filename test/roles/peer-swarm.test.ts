// A peer in a swarm that a scripted supernode runs: pieces, readers, versions, lost and wrong parents.

import { afterEach, expect, test } from "bun:test";
import { open } from "node:fs/promises";
import { PieceOutcome } from "../../src/engine/core/scheduler-events.ts";
import { rankOwners } from "../../src/net/swarm/owner-rank.ts";
import {
  scriptedSupernode,
  type ScriptedChannel,
  type SupernodeScript,
} from "../net/scripted-supernode.ts";
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

const URL_OF_TASK = "http://files.test/a.bin";
const never = new AbortController().signal;
const cleanups = new Cleanups();
afterEach(() => cleanups.run());

function supernodeFixture(script: SupernodeScript) {
  const supernode = scriptedSupernode(script);
  cleanups.defer(() => supernode.stop());
  return supernode;
}

test("a peer brings a content from a supernode, tells where bytes came from, and serves it on", async () => {
  const data = randomBytes(300_000);
  const content = await seededContent(cleanups, URL_OF_TASK, { data });
  const supernode = supernodeFixture({
    on: (message, channel) => content.giveAll(message, channel),
  });
  const { client, peer } = await peerFixture(cleanups, { supernodes: [supernode.address] });

  const events = await eventsOf(client.download({ url: URL_OF_TASK }, never));

  expect(eventOf(events, "content")).toMatchObject({
    contentId: content.contentId,
    length: data.length,
  });
  expect(eventOf(events, "done")).toMatchObject({ length: data.length, md5: content.md5 });
  expect(eventOf(events, "done").bytes).toEqual({
    source: 0,
    supernode: 0,
    peers: data.length,
    cache: 0,
  });
  expect((await bytesOf(client, content.contentId, data.length)).equals(data)).toBe(true);
  const served = await fetch(`http://${peer.listen}/v1/pieces/${content.contentId}/1`);
  expect(Buffer.from(await served.arrayBuffer()).equals(data.subarray(65_536, 131_072))).toBe(true);
});

test("a peer reports each finished piece with its parent's number", async () => {
  const content = await seededContent(cleanups, URL_OF_TASK, { data: randomBytes(200_000) });
  const supernode = supernodeFixture({
    on: (message, channel) => content.giveAll(message, channel),
  });
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });

  await eventsOf(client.download({ url: URL_OF_TASK }, never));

  const reports = () => supernode.pulls.flatMap(({ pull }) => pull.reports);
  await supernode.until(() => reports().length === content.pieceCount);
  expect(reports().map(({ outcome }) => outcome)).toEqual(
    reports().map(() => PieceOutcome.finished),
  );
  expect(
    reports()
      .map(({ piece }) => piece)
      .toSorted((a, b) => a - b),
  ).toEqual([0, 1, 2, 3]);
});

test("two readers of one URL share one download", async () => {
  const data = randomBytes(200_000);
  const content = await seededContent(cleanups, URL_OF_TASK, { data });
  const held: ScriptedChannel[] = [];
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type !== "join") return;
      channel.say(content.joined(message.request, 1));
      held.push(channel);
    },
  });
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });

  const first = eventsOf(client.download({ url: URL_OF_TASK }, never));
  const second = eventsOf(client.download({ url: URL_OF_TASK }, never));
  await supernode.until(() => held[0]);
  while ((await client.status()).downloads[0]?.readers !== 2) await Bun.sleep(1);
  content.give(held[0]!, 1);

  expect(eventOf(await first, "done").md5).toBe(content.md5);
  expect(eventOf(await second, "done").md5).toBe(content.md5);
  expect(supernode.ofType("join")).toHaveLength(1);
  expect(content.server.uploadCount).toBe(content.pieceCount);
});

test("readers that allow different things share a download, and the one that allows most decides", async () => {
  const content = await seededContent(cleanups, URL_OF_TASK, { data: randomBytes(200_000) });
  let channelOf: ScriptedChannel | undefined;
  let handle = 0;
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type !== "join") return;
      channel.say(content.joined(message.request, ++handle));
      channelOf = channel;
    },
  });
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });
  const joins = (): unknown[] => supernode.ofType("join").map(({ from }) => from);

  const strict = eventsOf(client.download({ url: URL_OF_TASK, source: "supernode" }, never));
  await supernode.until(() => joins().length === 1);
  while ((await client.status()).downloads.length === 0) await Bun.sleep(1);
  const leave = new AbortController();
  const lax = eventsOf(client.download({ url: URL_OF_TASK }, leave.signal)).catch(() => []);
  await supernode.until(() => joins().length === 2);
  leave.abort();
  await lax;
  await supernode.until(() => joins().length === 3);
  content.give(channelOf!, 3);

  expect(joins()).toEqual(["supernode", undefined, "supernode"]);
  expect(eventOf(await strict, "done").md5).toBe(content.md5);
});

test("bytes can be read while they arrive, in order and no further than they are verified", async () => {
  const data = randomBytes(200_000);
  const content = await seededContent(cleanups, URL_OF_TASK, { data });
  const held: ScriptedChannel[] = [];
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type !== "join") return;
      held.push(channel);
      channel.say(content.joined(message.request, 1));
      content.give(channel, 1, [0, 2]);
    },
  });
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });
  const download = eventsOf(client.download({ url: URL_OF_TASK }, never));
  const finished = () => supernode.pulls.flatMap(({ pull }) => pull.reports).length;
  await supernode.until(() => finished() === 2);

  const reader = client.contents(content.contentId, { from: 0, to: data.length }, never);
  let read = 0;
  for await (const chunk of reader) {
    expect(chunk.every((byte, index) => byte === data[read + index])).toBe(true);
    read += chunk.length;
    if (read === 65_536) content.give(held[0]!, 1, [1, 3]);
  }

  expect(read).toBe(data.length);
  await download;
});

test("a content that is here whole is asked about and comes from the cache", async () => {
  const data = randomBytes(200_000);
  const content = await seededContent(cleanups, URL_OF_TASK, { data });
  const supernode = supernodeFixture({
    on: (message, channel) => content.giveAll(message, channel),
  });
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });

  await eventsOf(client.download({ url: URL_OF_TASK }, never));
  const again = await eventsOf(client.download({ url: URL_OF_TASK }, never));

  expect(eventOf(again, "done").bytes).toEqual({
    source: 0,
    supernode: 0,
    peers: 0,
    cache: data.length,
  });
  expect(supernode.ofType("join")[1]!.known?.contentId).toBe(content.contentId);
  expect(content.server.uploadCount).toBe(content.pieceCount);
});

test("a peer that restarts offers what it holds, and goes on with what it lacks", async () => {
  const data = randomBytes(200_000);
  const content = await seededContent(cleanups, URL_OF_TASK, { data });
  let isFirst = true;
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type !== "join") return;
      channel.say(content.joined(message.request, 1));
      content.give(channel, 1, isFirst ? [0, 2] : [1, 3]);
      isFirst = false;
    },
  });
  const options = { supernodes: [supernode.address] };
  const before = await peerFixture(cleanups, options);
  const leaving = new AbortController();
  const interrupted = eventsOf(before.client.download({ url: URL_OF_TASK }, leaving.signal));
  const finished = () => supernode.pulls.flatMap(({ pull }) => pull.reports).length;
  await supernode.until(() => finished() === 2);
  leaving.abort();
  await expect(interrupted).rejects.toThrow();
  await before.stop();

  const after = await peerFixture(cleanups, { ...options, dataDir: `${before.folder}/data` });
  const events = await eventsOf(after.client.download({ url: URL_OF_TASK }, never));

  expect(eventOf(events, "done").bytes).toMatchObject({
    cache: 131_072,
    peers: data.length - 131_072,
  });
  expect(supernode.ofType("hold").at(-1)!.contents[0]!.contentId).toBe(content.contentId);
  expect(content.server.uploadCount).toBe(4);
});

test("a small content comes inline, without any piece transfer", async () => {
  const data = randomBytes(1_000);
  const content = await seededContent(cleanups, URL_OF_TASK, { data });
  const inline = data.toString("base64");
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type === "join") channel.say({ ...content.joined(message.request, 1), inline });
    },
  });
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });

  const events = await eventsOf(client.download({ url: URL_OF_TASK }, never));

  expect(eventOf(events, "done").inline).toBe(inline);
  await supernode.until(() => supernode.pulls.length > 0);
  expect(supernode.pulls[0]!.pull.reports.map(({ piece, outcome }) => [piece, outcome])).toEqual([
    [0, PieceOutcome.finished],
  ]);
  expect((await bytesOf(client, content.contentId, data.length)).equals(data)).toBe(true);
});

test("an empty content is done at once", async () => {
  const content = await seededContent(cleanups, URL_OF_TASK, { data: Buffer.alloc(0) });
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type === "join") channel.say(content.joined(message.request, 1));
    },
  });
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });

  const events = await eventsOf(client.download({ url: URL_OF_TASK }, never));

  expect(eventOf(events, "done")).toMatchObject({ length: 0, md5: content.md5 });
});

test("a content of unknown length grows, and ends when the supernode closes it", async () => {
  const data = randomBytes(200_000);
  const content = await seededContent(cleanups, URL_OF_TASK, { data });
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type !== "join") return;
      channel.say({ ...content.joined(message.request, 1), length: null, md5: null });
      content.give(channel, 1);
      channel.say({
        type: "closed",
        handle: 1,
        length: data.length,
        md5: content.md5,
        sha256: null,
      });
    },
  });
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });

  const events = await eventsOf(client.download({ url: URL_OF_TASK }, never));

  expect(eventOf(events, "done")).toMatchObject({ length: data.length, md5: content.md5 });
  expect((await bytesOf(client, content.contentId, data.length)).equals(data)).toBe(true);
});

/** A supernode whose source changes while it is read, `changes` times. */
async function changingSource(changes: number) {
  const versions = await Promise.all(
    Array.from({ length: changes + 1 }, (_, version) =>
      seededContent(cleanups, URL_OF_TASK, { data: randomBytes(70_000), version: `"${version}"` }),
    ),
  );
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type !== "join") return;
      const join = supernode.ofType("join").length;
      const version = versions[join - 1]!;
      const handle = message.request;
      if (join > changes) return version.giveAll(message, channel, handle);
      channel.say(version.joined(message.request, handle));
      const error = { code: "source-changed", message: "changed" };
      channel.say({ type: "failed", handle, error });
    },
  });
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });
  return { client, last: versions.at(-1)! };
}

test("a version that changes sends readers to the new one", async () => {
  const { client, last } = await changingSource(2);

  const events = await eventsOf(client.download({ url: URL_OF_TASK }, never));

  const contents = events.filter(({ event }) => event === "content");
  expect(contents.at(-1)).toMatchObject({ contentId: last.contentId });
  expect(eventOf(events, "done").md5).toBe(last.md5);
});

test("a source that changes more often than three versions is given up", async () => {
  const { client } = await changingSource(3);

  const failing = eventsOf(client.download({ url: URL_OF_TASK }, never));

  await expect(failing).rejects.toMatchObject({ code: "source-changed" });
});

test("a version that is gone at the source when the supernode is gone too gives way to the new one", async () => {
  const source = sourceFixture(cleanups, randomBytes(300_000), '"v2"');
  const before = await seededContent(cleanups, source.url, { data: randomBytes(200_000) });
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type !== "join") return;
      channel.say(before.joined(message.request, 1));
      before.give(channel, 1, [0]);
    },
    onPull(_, { reports }) {
      if (reports.length > 0) void supernode.stop();
    },
  });
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });

  const events = await eventsOf(client.download({ url: source.url }, never));

  expect(eventOf(events, "content").contentId).toBe(before.contentId);
  expect(eventOf(events, "done").length).toBe(300_000);
  const last = events.findLast(({ event }) => event === "content") as { contentId: string };
  expect((await bytesOf(client, last.contentId, 300_000)).equals(Buffer.from(source.data))).toBe(
    true,
  );
}, 60_000);

test("an owner whose words contradict each other fails the download, not the peer", async () => {
  const content = await seededContent(cleanups, URL_OF_TASK, { data: randomBytes(200_000) });
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type !== "join") return;
      channel.say({ ...content.joined(message.request, 1), length: null, md5: null });
      content.give(channel, 1);
    },
    onPull(handle, { reports }, channel) {
      const isThere = reports.some(({ piece }) => piece === 3);
      if (isThere)
        channel.say({ type: "closed", handle, length: 1_000, md5: content.md5, sha256: null });
    },
  });
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });

  const failing = eventsOf(client.download({ url: URL_OF_TASK }, never));

  await expect(failing).rejects.toMatchObject({ code: "internal" });
  expect((await client.status()).downloads).toEqual([]);
});

test("a peer follows moved to the owner, and passes on what a supernode refuses", async () => {
  const content = await seededContent(cleanups, URL_OF_TASK, { data: randomBytes(70_000) });
  const owner = supernodeFixture({ on: (message, channel) => content.giveAll(message, channel) });
  const other = supernodeFixture({
    on(message, channel) {
      if (message.type !== "join") return;
      const { request } = message;
      if (message.task.url === URL_OF_TASK)
        channel.say({ type: "moved", request, address: owner.address });
      else
        channel.say({
          type: "refused",
          request,
          error: { code: "source-not-found", message: "404" },
        });
    },
  });
  const { client } = await peerFixture(cleanups, { supernodes: [other.address] });

  const events = await eventsOf(client.download({ url: URL_OF_TASK }, never));

  expect(eventOf(events, "done").md5).toBe(content.md5);
  const refused = eventsOf(client.download({ url: "http://files.test/none" }, never));
  await expect(refused).rejects.toMatchObject({ code: "source-not-found" });
});

test("a peer rejoins with what it has when its supernode comes back", async () => {
  const data = randomBytes(200_000);
  const content = await seededContent(cleanups, URL_OF_TASK, { data });
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type !== "join") return;
      const isFirst = supernode.ofType("join").length === 1;
      channel.say(content.joined(message.request, message.request));
      content.give(channel, message.request, isFirst ? [0] : [1, 2, 3]);
    },
    onPull(_, { reports }, channel) {
      if (reports.length === 1 && supernode.connections === 1) channel.close();
    },
  });
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });

  const events = await eventsOf(client.download({ url: URL_OF_TASK }, never));

  expect(eventOf(events, "done").md5).toBe(content.md5);
  expect(supernode.ofType("join")[1]!.known).toEqual({
    contentId: content.contentId,
    have: "AQ==",
  });
});

test("a peer reads a source itself that the supernode must not read", async () => {
  const data = randomBytes(200_000);
  const source = sourceFixture(cleanups, data);
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type !== "join") return;
      const error = { code: "not-shareable", message: "loopback" };
      channel.say({ type: "refused", request: message.request, error });
    },
  });
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });

  const events = await eventsOf(client.download({ url: source.url }, never));

  expect(eventOf(events, "done").bytes.source).toBe(data.length);
  expect(
    (await bytesOf(client, eventOf(events, "content").contentId, data.length)).equals(data),
  ).toBe(true);
  const refused = eventsOf(client.download({ url: source.url, noOrigin: true }, never));
  await expect(refused).rejects.toMatchObject({ code: "not-shareable" });
});

test("a lying parent's piece is asked for again and never served", async () => {
  const data = randomBytes(70_000);
  const content = await seededContent(cleanups, URL_OF_TASK, { data });
  const flipped = Buffer.from(data);
  flipped[66_000]! ^= 4;
  const liar = await seededContent(cleanups, URL_OF_TASK, { data: flipped });
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type !== "join") return;
      channel.say(content.joined(message.request, 1));
      channel.raw(channel.frames.rows(1, content.rows));
      channel.raw(
        channel.frames.assign(1, [{ piece: 0, count: 2, parent: 9, address: liar.address }]),
      );
    },
    onPull(_, { reports }, channel) {
      // The liar's other piece may still be waiting then: it is given back with the wrong one.
      const given = reports.filter(({ outcome }) => outcome !== PieceOutcome.finished);
      content.give(
        channel,
        1,
        given.map(({ piece }) => piece),
      );
    },
  });
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });

  await eventsOf(client.download({ url: URL_OF_TASK }, never));

  expect((await bytesOf(client, content.contentId, data.length)).equals(data)).toBe(true);
});

test("a download goes on at the next supernode when its owner is gone", async () => {
  const data = randomBytes(200_000);
  const content = await seededContent(cleanups, URL_OF_TASK, { data });
  const supernodes = [0, 1].map(() =>
    supernodeFixture({
      on(message, channel) {
        if (message.type !== "join") return;
        channel.say(content.joined(message.request, 1));
        const joins = supernodes.flatMap((supernode) => supernode.ofType("join")).length;
        content.give(channel, 1, joins === 1 ? [0] : [1, 2, 3]);
      },
    }),
  );
  const addresses = supernodes.map(({ address }) => address);
  const { client } = await peerFixture(cleanups, { supernodes: addresses });
  const download = eventsOf(client.download({ url: URL_OF_TASK }, never));
  const owner = supernodes.find(
    ({ address }) => rankOwners(content.taskId, addresses)[0] === address,
  )!;
  await owner.until(() => owner.pulls.some(({ pull }) => pull.reports.length === 1));

  await owner.stop();

  expect(eventOf(await download, "done").md5).toBe(content.md5);
  expect(content.server.uploadCount).toBe(4);
}, 60_000);

test("a peer whose supernodes are gone reads the source and says so", async () => {
  const data = randomBytes(200_000);
  const source = sourceFixture(cleanups, data);
  const gone = scriptedSupernode({});
  await gone.stop();
  const { client } = await peerFixture(cleanups, { supernodes: [gone.address] });

  const events = await eventsOf(client.download({ url: source.url }, never));
  const other = `${source.url}?other`;
  const refused = eventsOf(client.download({ url: other, noOrigin: true }, never));

  expect(eventOf(events, "notice").message).toContain("no supernode answers");
  expect(eventOf(events, "done").bytes.source).toBe(data.length);
  await expect(refused).rejects.toMatchObject({ code: "no-supernode" });
}, 60_000);

test("a download that nobody reads any more is left after a grace, and what it has is offered", async () => {
  const content = await seededContent(cleanups, URL_OF_TASK, { data: randomBytes(200_000) });
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type !== "join") return;
      channel.say(content.joined(message.request, 7));
      content.give(channel, 7, [2]);
    },
  });
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });
  const leaving = new AbortController();
  const reading = eventsOf(client.download({ url: URL_OF_TASK }, leaving.signal));
  await supernode.until(() => supernode.pulls.some(({ pull }) => pull.reports.length === 1));

  leaving.abort();

  await expect(reading).rejects.toThrow();
  expect(await supernode.until(() => supernode.ofType("leave")[0])).toMatchObject({ handle: 7 });
  const held = await supernode.until(() => supernode.ofType("hold").at(-1));
  expect(held.contents).toEqual([
    { contentId: content.contentId, taskId: content.taskId, have: "BA==" },
  ]);
  expect((await client.status()).downloads).toEqual([]);
}, 60_000);

test("pieces in doubt are offered once they were hashed again, and only those that are right", async () => {
  const data = randomBytes(200_000);
  const content = await seededContent(cleanups, URL_OF_TASK, { data });
  const supernode = supernodeFixture({
    on: (message, channel) => content.giveAll(message, channel),
  });
  const options = { supernodes: [supernode.address] };
  const before = await peerFixture(cleanups, options);
  const events = await eventsOf(before.client.download({ url: URL_OF_TASK }, never));
  await before.stop();
  const file = await open(eventOf(events, "content").dataPath!, "r+");
  await file.write(Buffer.from("flipped"), 0, 7, 70_000);
  await file.close();

  const after = await peerFixture(cleanups, { ...options, dataDir: `${before.folder}/data` });

  const hold = await supernode.until(() => supernode.ofType("hold").at(-1));
  expect(hold.contents).toEqual([
    { contentId: content.contentId, taskId: content.taskId, have: "DQ==" },
  ]);
  const piece = (index: number) =>
    fetch(`http://${after.peer.listen}/v1/pieces/${content.contentId}/${index}`);
  expect((await piece(0)).status).toBe(200);
  expect((await piece(1)).status).toBe(404);
  expect(after.warnings[0]).toContain("wrong");
});
