// Compressed and sealed contents through a real peer: they travel and rest as the supernode made them,
// and come out as the plain bytes they are.

import { afterEach, describe, expect, test } from "bun:test";
import { open } from "node:fs/promises";
import { digestNow } from "../../src/engine/bytes/digest.ts";
import { Pacer } from "../../src/engine/bytes/pacing.ts";
import type { DownloadStreamEvent } from "../../src/net/wire/local-api.ts";
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
const PIECE_LENGTH = 65_536;
const KEY = digestNow("sha256", "a content's key");
const never = new AbortController().signal;
const cleanups = new Cleanups();
afterEach(() => cleanups.run());

/** Half noise, half zeros in every piece. */
function compressible(length: number): Buffer {
  const data = randomBytes(length);
  for (let at = 0; at < length; at += PIECE_LENGTH)
    data.fill(0, at, Math.min(length, at + PIECE_LENGTH / 2));
  return data;
}

type Seeded = Awaited<ReturnType<typeof seededContent>>;

function supernodeOf(content: Seeded, script: SupernodeScript) {
  const supernode = scriptedSupernode(script);
  cleanups.defer(() => supernode.stop());
  return { content, supernode };
}

/** A supernode that gives everything, with the key of what is sealed. */
function givingAll(content: Seeded, key: Uint8Array | null) {
  return supernodeOf(content, {
    on(message, channel) {
      if (message.type !== "join") return;
      const sealed = key === null ? {} : { key: key.toBase64() };
      channel.say({ ...content.joined(message.request, 1), ...sealed });
      content.give(channel, 1);
    },
  });
}

/** Every piece in another form than its neighbours. */
const MIXED = (piece: number) => ({
  zstdLevel: piece % 2 === 0 ? 3 : 0,
  key: piece % 3 === 0 ? KEY : null,
});

describe.each([
  { name: "compressed", form: () => ({ zstdLevel: 3, key: null }), key: null },
  { name: "sealed", form: () => ({ zstdLevel: 0, key: KEY }), key: KEY },
  { name: "compressed and sealed", form: () => ({ zstdLevel: 3, key: KEY }), key: KEY },
  { name: "in a form of its own for each piece", form: MIXED, key: KEY },
])("a content whose pieces travel $name", ({ form, key }) => {
  test("comes out as its plain bytes, and rests and is served on as it came", async () => {
    const data = compressible(5 * PIECE_LENGTH + 10_000);
    const content = await seededContent(cleanups, URL_OF_TASK, { data, form });
    const { supernode } = givingAll(content, key);
    const { client, peer } = await peerFixture(cleanups, { supernodes: [supernode.address] });

    const events = await eventsOf(client.download({ url: URL_OF_TASK }, never));

    const done = eventOf(events, "done");
    const wireBytes = content.rows.reduce((sum, { row }) => sum + row.wireLength, 0);
    expect(done).toMatchObject({ length: data.length, md5: content.md5, wireBytes });
    expect(done.bytes).toEqual({ source: 0, supernode: 0, peers: data.length, cache: 0 });
    expect((await bytesOf(client, content.contentId, data.length)).equals(data)).toBe(true);
    for (const { piece, row } of content.rows) {
      const path = `/v1/pieces/${content.contentId}/${piece}`;
      const served = await fetch(`http://${peer.listen}${path}`);
      const from = piece * PIECE_LENGTH;
      const wire = content.rest.subarray(from, from + row.wireLength);
      expect(Buffer.from(await served.arrayBuffer()).equals(wire)).toBe(true);
    }
    const status = await client.status();
    expect(status).toMatchObject({
      downloadedBytes: data.length,
      savedBytes: data.length - wireBytes,
    });
  });

  test("is read while it grows, each piece when it is here", async () => {
    const data = compressible(3 * PIECE_LENGTH);
    const content = await seededContent(cleanups, URL_OF_TASK, { data, form });
    let channelOf: ScriptedChannel | undefined;
    const { supernode } = supernodeOf(content, {
      on(message, channel) {
        if (message.type !== "join") return;
        const sealed = key === null ? {} : { key: key.toBase64() };
        const unknown = { length: null, md5: null };
        channel.say({ ...content.joined(message.request, 1), ...sealed, ...unknown });
        channelOf = channel;
        content.give(channel, 1, [0]);
      },
    });
    const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });

    const events: DownloadStreamEvent[] = [];
    for await (const event of client.download({ url: URL_OF_TASK }, never)) {
      events.push(event);
      if (event.event !== "progress" || event.prefixBytes !== PIECE_LENGTH) continue;
      const first = await bytesOf(client, content.contentId, PIECE_LENGTH);
      expect(first.equals(data.subarray(0, PIECE_LENGTH))).toBe(true);
      content.give(channelOf!, 1, [1, 2]);
      const { md5, rows } = content;
      expect(rows).toHaveLength(3);
      channelOf!.say({ type: "closed", handle: 1, length: data.length, md5, sha256: null });
    }

    expect(eventOf(events, "done")).toMatchObject({ length: data.length, md5: content.md5 });
    expect((await bytesOf(client, content.contentId, data.length)).equals(data)).toBe(true);
  });
});

test("pieces longer than one part are decoded once and read in parts", async () => {
  const pieceLength = 4 << 20;
  const data = randomBytes(2 * pieceLength + 3_000_000);
  for (let at = 0; at + 50 < data.length; at += 100) data.fill(0, at, at + 50);
  const form = () => ({ zstdLevel: 1, key: KEY });
  const content = await seededContent(cleanups, URL_OF_TASK, { data, form, pieceLength });
  const { supernode } = givingAll(content, KEY);
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });
  await eventsOf(client.download({ url: URL_OF_TASK }, never));

  const readers = [1, 2].map(() => bytesOf(client, content.contentId, data.length));

  for (const bytes of await Promise.all(readers)) expect(bytes.equals(data)).toBe(true);
});

test("progress tells how far the data file may be read: to the first piece that is not plain in it", async () => {
  const data = compressible(4 * PIECE_LENGTH);
  const form = (piece: number) => ({ zstdLevel: piece === 2 ? 3 : 0, key: null });
  const content = await seededContent(cleanups, URL_OF_TASK, { data, form });
  const { supernode } = givingAll(content, null);
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });

  const events = await eventsOf(client.download({ url: URL_OF_TASK }, never));

  const last = events.findLast((event) => event.event === "progress")!;
  expect(last).toMatchObject({ prefixBytes: data.length, plainPrefixBytes: 2 * PIECE_LENGTH });
  const { dataPath } = eventOf(events, "content");
  const raw = Buffer.from(await Bun.file(dataPath!).arrayBuffer());
  expect(raw.subarray(0, 2 * PIECE_LENGTH).equals(data.subarray(0, 2 * PIECE_LENGTH))).toBe(true);
  expect(raw.equals(data)).toBe(false);
});

test("a sealed content whose key is gone with the process is served on, and read again with the key", async () => {
  const data = compressible(3 * PIECE_LENGTH);
  const form = () => ({ zstdLevel: 3, key: KEY });
  const content = await seededContent(cleanups, URL_OF_TASK, { data, form });
  const { supernode } = givingAll(content, KEY);
  const before = await peerFixture(cleanups, { supernodes: [supernode.address] });
  await eventsOf(before.client.download({ url: URL_OF_TASK }, never));
  await before.stop();
  const fetches = content.server.uploadCount;

  const dataDir = `${before.folder}/data`;
  const after = await peerFixture(cleanups, { supernodes: [supernode.address], dataDir });
  const { contentId } = content;
  const served = await fetch(`http://${after.peer.listen}/v1/pieces/${contentId}/1`);
  expect(served.status).toBe(200);
  await expect(bytesOf(after.client, contentId, data.length)).rejects.toMatchObject({
    code: "denied",
    message: expect.stringContaining("its key is not here"),
  });
  const events = await eventsOf(after.client.download({ url: URL_OF_TASK }, never));

  expect(eventOf(events, "done").bytes.cache).toBe(data.length);
  expect(content.server.uploadCount).toBe(fetches);
  expect((await bytesOf(after.client, contentId, data.length)).equals(data)).toBe(true);
});

test("T-22: a parent that moves sealed pieces about is not believed", async () => {
  const data = compressible(2 * PIECE_LENGTH);
  const form = () => ({ zstdLevel: 0, key: KEY });
  const content = await seededContent(cleanups, URL_OF_TASK, { data, form });
  // The rows of a liar that the key does not confirm: each piece in the other's place.
  const [first, second] = content.rows as [(typeof content.rows)[0], (typeof content.rows)[0]];
  const swapped = [
    { piece: 0, row: second.row },
    { piece: 1, row: first.row },
  ];
  content.rows.splice(0, 2, ...swapped);
  const rest = Buffer.concat([
    content.rest.subarray(PIECE_LENGTH),
    content.rest.subarray(0, PIECE_LENGTH),
  ]);
  await content.rewrite(rest);
  const { supernode } = givingAll(content, KEY);
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });

  await eventsOf(client.download({ url: URL_OF_TASK }, never));

  const reading = bytesOf(client, content.contentId, data.length);
  await expect(reading).rejects.toMatchObject({ code: "checksum" });
});

test("a slow parent of compressed pieces is paced by what travels", async () => {
  const data = compressible(4 * PIECE_LENGTH);
  const form = () => ({ zstdLevel: 3, key: null });
  const pacers = [new Pacer(4_000_000)];
  const content = await seededContent(cleanups, URL_OF_TASK, { data, form, pacers });
  const { supernode } = givingAll(content, null);
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });

  const events = await eventsOf(client.download({ url: URL_OF_TASK }, never));

  const { wireBytes } = eventOf(events, "done");
  expect(content.server.uploadedBytes).toBe(wireBytes);
  expect(wireBytes).toBeLessThan(0.6 * data.length);
});

test("pieces that a host made without its supernode give way to the supernode's forms of them", async () => {
  const data = compressible(4 * PIECE_LENGTH);
  const source = sourceFixture(cleanups, data);
  const alone = await peerFixture(cleanups);
  const made = await eventsOf(alone.client.download({ url: source.url }, never));
  expect(eventOf(made, "done").bytes.source).toBe(data.length);
  await alone.stop();

  const form = () => ({ zstdLevel: 3, key: KEY });
  const { contentId, dataPath, pieceLength } = eventOf(made, "content");
  const content = await seededContent(cleanups, source.url, { data, form, pieceLength });
  expect(contentId).toBe(content.contentId);
  // Its own copy lacks a piece: else it would need nobody.
  const file = await open(dataPath!, "r+");
  await file.write("damaged", 0);
  await file.close();
  const { supernode } = supernodeOf(content, {
    on(message, channel) {
      if (message.type !== "join") return;
      const isHere = message.known?.have !== undefined;
      channel.say({ ...content.joined(message.request, 1), key: KEY.toBase64() });
      // The pieces that it says it has are not assigned to it.
      content.give(channel, 1, isHere ? [0] : undefined);
    },
  });
  const dataDir = `${alone.folder}/data`;
  const { client, peer } = await peerFixture(cleanups, {
    supernodes: [supernode.address],
    dataDir,
  });

  const events = await eventsOf(client.download({ url: source.url }, never));

  expect(eventOf(events, "done").md5).toBe(content.md5);
  expect(events.filter((event) => event.event === "content" && event.isAnew === true)).not.toEqual(
    [],
  );
  expect((await bytesOf(client, content.contentId, data.length)).equals(data)).toBe(true);
  const asked = { headers: { "df-form": content.rows[3]!.row.wireSha256.toHex().slice(0, 8) } };
  const path = `/v1/pieces/${content.contentId}/3`;
  expect((await fetch(`http://${peer.listen}${path}`, asked)).status).toBe(200);
});
