// Manifests under the fleet's signature: real peers, a real source, and a scripted supernode that signs
// with the right key or with another one.

import { afterEach, expect, test } from "bun:test";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { askHave, askSigned } from "../../src/net/piece/ask-neighbour.ts";
import { isSignedWhole, signRows, signWhole } from "../../src/net/wire/signed-rows.ts";
import type { SupernodeMessage } from "../../src/net/wire/swarm-messages.ts";
import { scriptedSupernode, type ScriptedChannel } from "../net/scripted-supernode.ts";
import {
  Cleanups,
  eventOf,
  eventsOf,
  peerFixture,
  randomBytes,
  seededContent,
  sourceFixture,
} from "./peer-fixture.ts";

const never = new AbortController().signal;
const cleanups = new Cleanups();
afterEach(() => cleanups.run());

const PIECES = 8;
const PIECE_LENGTH = 65_536;
const fleet = generateKeyPairSync("ed25519");
const stranger = generateKeyPairSync("ed25519");
const clusterKey = fleet.publicKey.export({ type: "spki", format: "der" }).toString("base64");

type Content = Awaited<ReturnType<typeof seededContent>>;

/** What a supernode with `key` signs of a content. */
function signedBy(key: KeyObject, content: Content, md5 = content.md5) {
  const { contentId, taskId, rows, length } = { ...content, length: LENGTH };
  const group = { contentId, pieceLength: PIECE_LENGTH, group: 0, rows };
  const whole = {
    ...{ contentId, taskId, length, pieceLength: PIECE_LENGTH, md5, sha256: null },
    ...{ isPrivate: false, validator: '"v1"' },
  };
  return { group: signRows(group, key), whole, wholeSignature: signWhole(whole, key) };
}

const LENGTH = PIECES * PIECE_LENGTH - 1_000;

async function contentFixture() {
  const data = randomBytes(LENGTH);
  data.forEach((_, at) => (data[at]! ^= at >> 16));
  const source = sourceFixture(cleanups, data);
  const content = await seededContent(cleanups, source.url, { data });
  return { data, source, content };
}

/** A supernode that gives everything, and then says what `sign` makes of it. */
function signingSupernode(
  content: Content,
  sign: (channel: ScriptedChannel) => void,
  closed: Partial<Extract<SupernodeMessage, { type: "closed" }>> = {},
) {
  const supernode = scriptedSupernode({
    on(message, channel) {
      if (message.type !== "join") return;
      channel.say({ ...content.joined(message.request, 1), md5: null });
      channel.raw(channel.frames.rows(1, content.rows));
      sign(channel);
      content.give(channel, 1);
      const { md5 } = content;
      channel.say({ type: "closed", handle: 1, length: LENGTH, md5, sha256: null, ...closed });
    },
  });
  cleanups.defer(() => supernode.stop());
  return supernode;
}

const groupSignedWith = (signature: Uint8Array) => (channel: ScriptedChannel) =>
  channel.raw(channel.frames.signed(1, [{ group: 0, signature }]));

test("what bears the fleet's signature is kept and told on, also after a restart", async () => {
  const { source, content } = await contentFixture();
  const { group, whole, wholeSignature } = signedBy(fleet.privateKey, content);
  const signature = wholeSignature.toBase64();
  const supernode = signingSupernode(content, groupSignedWith(group), { signature });
  const options = { supernodes: [supernode.address], clusterKey };
  const first = await peerFixture(cleanups, options);

  const events = await eventsOf(first.client.download({ url: source.url }, never));
  expect(eventOf(events, "done").md5).toBe(content.md5);
  await Bun.sleep(1_500);
  await first.stop();
  const dataDir = `${first.folder}/data`;
  const { peer } = await peerFixture(cleanups, { ...options, dataDir });

  const question = { contentId: content.contentId, from: 0 };
  const told = await askSigned(peer.listen, question, never);
  expect(told!.groups).toEqual([{ group: 0, signature: group, rows: content.rows }]);
  expect(told!.whole).toEqual({ length: LENGTH, md5: content.md5, sha256: null, signature });
  expect(isSignedWhole(whole, wholeSignature, fleet.publicKey)).toBe(true);
}, 60_000);

test.each<[string, (content: Content) => ReturnType<typeof signingSupernode>]>([
  [
    "rows",
    (content) =>
      signingSupernode(content, groupSignedWith(signedBy(stranger.privateKey, content).group)),
  ],
  [
    "digests",
    (content) =>
      signingSupernode(content, () => {}, {
        signature: signedBy(fleet.privateKey, content, "0".repeat(32)).wholeSignature.toBase64(),
      }),
  ],
])(
  "manifests that do not verify are refused: of %s nothing is kept or given",
  async (_, start) => {
    const { source, content } = await contentFixture();
    const supernode = start(content);
    const { peer, client } = await peerFixture(cleanups, {
      ...{ supernodes: [supernode.address], clusterKey },
    });

    // Refused before or after the first event was told.
    const download = eventsOf(client.download({ url: source.url, noOrigin: true }, never));
    const failure = await download.then(
      (events) => eventOf(events, "failed").error,
      (error: unknown) => error,
    );

    expect(failure).toMatchObject({ code: "forged" });
    const { contentId } = content;
    // The thread that serves pieces hears a moment later that the content is gone; it gives none
    // meanwhile.
    const asked = () => askHave(peer.listen, { contentId }, never);
    for (let have = await asked(); have !== null; have = await asked())
      expect(have.every((word) => word === 0)).toBe(true);
    expect(await askSigned(peer.listen, { contentId, from: 0 }, never)).toBeNull();
    expect(peer.status().store.contents).toBe(0);
  },
  60_000,
);

test("a host without a fleet's key takes a supernode's rows as they come", async () => {
  const { source, content } = await contentFixture();
  const { group } = signedBy(stranger.privateKey, content);
  const supernode = signingSupernode(content, groupSignedWith(group));
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });

  const events = await eventsOf(client.download({ url: source.url }, never));

  expect(eventOf(events, "done").md5).toBe(content.md5);
}, 60_000);

/** Two hosts whose supernode dies: the first has all, the second no rows, and nobody else to ask. */
async function orphan(signingKey: KeyObject, md5?: string) {
  const { source, content } = await contentFixture();
  const { group, whole, wholeSignature } = signedBy(signingKey, content, md5);
  const signature = wholeSignature.toBase64();
  const channels: ScriptedChannel[] = [];
  const supernode = scriptedSupernode({
    on(message, channel) {
      if (message.type !== "join") return;
      channels.push(channel);
      channel.say({ ...content.joined(message.request, 1), md5: null });
      if (channels.length > 1) return;
      channel.raw(channel.frames.rows(1, content.rows));
      channel.raw(channel.frames.signed(1, [{ group: 0, signature: group }]));
      content.give(channel, 1);
      const { length, sha256 } = whole;
      channel.say({ type: "closed", handle: 1, length, md5: whole.md5, sha256, signature });
    },
  });
  cleanups.defer(() => supernode.stop());
  const supernodes = [supernode.address];
  const keyOfSigner = signingKey === fleet.privateKey ? fleet.publicKey : stranger.publicKey;
  const key = keyOfSigner.export({ type: "spki", format: "der" }).toString("base64");
  const holder = await peerFixture(cleanups, { supernodes, clusterKey: key });
  await eventsOf(holder.client.download({ url: source.url }, never));
  const late = await peerFixture(cleanups, { supernodes, clusterKey });
  const download = eventsOf(late.client.download({ url: source.url }, never));
  await supernode.until(() => supernode.ofType("join").length === 2);
  const addresses = [holder.peer.listen];
  channels[1]!.say({ type: "neighbours", handle: 1, addresses, swarmSize: 2 });
  await Bun.sleep(500);
  await supernode.stop();
  await content.server.stop();
  return { source, content, download };
}

test("rows under the fleet's signature are believed from one neighbour, and so are the digests", async () => {
  // Nobody could compute these digests: they come from the neighbour.
  const md5 = "0123456789abcdef".repeat(2);
  const { source, download } = await orphan(fleet.privateKey, md5);

  const events = await download;

  expect(eventOf(events, "done")).toMatchObject({ md5, bytes: { peers: LENGTH } });
  expect(source.gets).toBe(0);
}, 60_000);

test("rows that another key signed are not: one neighbour alone proves nothing", async () => {
  const { source, content, download } = await orphan(stranger.privateKey);

  const events = await download;

  expect(eventOf(events, "done")).toMatchObject({ md5: content.md5, bytes: { source: LENGTH } });
  expect(source.gets).toBeGreaterThan(0);
}, 60_000);
