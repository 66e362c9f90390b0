// Peers whose supernode dies in mid-download: real peers, a real source, and a scripted supernode that
// says exactly what each of them knows when it goes.

import { afterEach, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { PieceServer } from "../../src/net/piece/piece-server.ts";
import type { DownloadRequest } from "../../src/net/wire/local-api.ts";
import { ROWS_MAX } from "../../src/net/wire/swarm-frames.ts";
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
  tempFolder,
} from "./peer-fixture.ts";

const never = new AbortController().signal;
const cleanups = new Cleanups();
afterEach(() => cleanups.run());

const PIECES = 8;
const PIECE_LENGTH = 65_536;

interface Part {
  /** Pieces that the supernode assigns before it dies. */
  gives: number[];
  /** Pieces whose rows it tells. @defaultValue all */
  rows?: number[];
  /** @defaultValue the addresses of the other peers */
  neighbours?: string[];
}

/** A swarm whose supernode dies once each peer has what it was given. */
async function orphans(
  parts: Part[],
  options: { knowsDigest?: boolean; request?: Partial<DownloadRequest> } = {},
) {
  const { knowsDigest = true, request = {} } = options;
  const data = randomBytes(PIECES * PIECE_LENGTH - 1_000);
  data.forEach((_, at) => (data[at]! ^= at >> 16));
  const source = sourceFixture(cleanups, data);
  const content = await seededContent(cleanups, source.url, { data });
  const channels = new Map<string, ScriptedChannel>();
  const supernode = scriptedSupernode({
    on(message, channel) {
      if (message.type === "hello") channels.set(message.pieceAddress!, channel);
      if (message.type !== "join") return;
      const md5 = knowsDigest ? content.md5 : null;
      channel.say({ ...content.joined(message.request, 1), md5, swarmSize: parts.length });
    },
  });
  cleanups.defer(() => supernode.stop());
  const peers = await Promise.all(
    parts.map(() => peerFixture(cleanups, { supernodes: [supernode.address] })),
  );
  const downloads = peers.map(({ client }) =>
    eventsOf(client.download({ url: source.url, ...request }, never)),
  );
  await supernode.until(() => supernode.ofType("join").length === parts.length);
  const listens = peers.map(({ peer }) => peer.listen);
  parts.forEach(({ gives, rows, neighbours }, i) => {
    const channel = channels.get(listens[i]!)!;
    const addresses = neighbours ?? listens.filter((listen) => listen !== listens[i]);
    channel.say({ type: "neighbours", handle: 1, addresses, swarmSize: parts.length });
    const told = content.rows.filter(({ piece }) => rows?.includes(piece) ?? true);
    channel.raw(channel.frames.rows(1, told.slice(0, ROWS_MAX)));
    const { address } = content;
    const assignments = gives.map((piece) => ({ piece, count: 1, parent: 0, address }));
    channel.raw(channel.frames.assign(1, assignments));
  });
  const given = parts.reduce((sum, { gives }) => sum + gives.length, 0);
  const finished = () => supernode.pulls.flatMap(({ pull }) => pull.reports).length;
  await supernode.until(() => finished() === given);
  await supernode.stop();
  await content.server.stop();
  return { content, data, source, peers, downloads, supernode };
}

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, i) => from + i);

test("peers that have all pieces among them end without the source", async () => {
  const swarm = await orphans([{ gives: range(0, 4) }, { gives: range(4, 8) }]);

  const ends = await Promise.all(swarm.downloads);

  for (const [i, events] of ends.entries()) {
    const done = eventOf(events, "done");
    expect(done.md5).toBe(swarm.content.md5);
    expect(done.bytes.peers).toBe(swarm.data.length);
    const { client } = swarm.peers[i]!;
    const bytes = await bytesOf(client, swarm.content.contentId, swarm.data.length);
    expect(bytes.equals(swarm.data)).toBe(true);
  }
  expect(swarm.source.gets).toBe(0);
}, 60_000);

test("without a supernode's word the digest of what is proven is computed", async () => {
  const parts = [{ gives: range(0, 4) }, { gives: range(4, 8) }];
  const swarm = await orphans(parts, { knowsDigest: false });

  for (const events of await Promise.all(swarm.downloads))
    expect(eventOf(events, "done").md5).toBe(swarm.content.md5);
}, 60_000);

test("pieces that no neighbour has are read from the source, by ranges, and told to readers", async () => {
  const swarm = await orphans([{ gives: range(0, 3) }, { gives: range(3, 6) }]);

  const ends = await Promise.all(swarm.downloads);

  const fromSource = ends.map((events) => eventOf(events, "done").bytes.source);
  expect(ends.map((events) => eventOf(events, "done").md5)).toEqual([
    swarm.content.md5,
    swarm.content.md5,
  ]);
  // Two pieces are missing; a peer may read one that the other reads too.
  expect(Math.max(...fromSource)).toBeLessThanOrEqual(2 * PIECE_LENGTH);
  expect(swarm.source.gets).toBeLessThanOrEqual(4);
  const notices = ends.flatMap((events) => events.filter(({ event }) => event === "notice"));
  expect(notices.length).toBeGreaterThan(0);
}, 60_000);

test("a source that gives no ranges is read whole for what is missing", async () => {
  const swarm = await orphans([{ gives: range(0, 6), neighbours: [] }]);
  swarm.source.givesRanges = false;

  const [events] = await Promise.all(swarm.downloads);

  expect(eventOf(events!, "done").md5).toBe(swarm.content.md5);
  expect(eventOf(events!, "done").bytes).toMatchObject({ source: 2 * PIECE_LENGTH - 1_000 });
}, 60_000);

test("with --no-origin the source is never read, and the supernode's return ends the download", async () => {
  const parts = [{ gives: range(0, 3) }, { gives: range(3, 6) }];
  const swarm = await orphans(parts, { request: { noOrigin: true } });
  const [{ client }] = swarm.peers as [(typeof swarm.peers)[0]];
  const status = async () => (await client.status()).downloads[0]!.doneBytes;
  while ((await status()) < 6 * PIECE_LENGTH) await Bun.sleep(50);
  await Bun.sleep(4_000);
  expect(swarm.source.gets).toBe(0);

  const again = await seededContent(cleanups, swarm.source.url, { data: swarm.data });
  const returned = scriptedSupernode({
    port: swarm.supernode.port,
    on(message, channel) {
      if (message.type !== "join") return;
      channel.say(again.joined(message.request, 1));
      again.give(channel, 1, [6, 7]);
    },
  });
  cleanups.defer(() => returned.stop());

  const ends = await Promise.all(swarm.downloads);
  expect(ends.map((events) => eventOf(events, "done").md5)).toEqual([again.md5, again.md5]);
  expect(swarm.source.gets).toBe(0);
  // One of them may have them from the other.
  expect(again.server.uploadCount).toBeLessThanOrEqual(4);
}, 60_000);

test("a neighbour that gives wrong bytes is dropped, and the pieces come from the others", async () => {
  const folder = await tempFolder(cleanups);
  await writeFile(`${folder}/lies`, randomBytes(PIECES * PIECE_LENGTH));
  const liar = new PieceServer({ hostname: "127.0.0.1", port: 0, uploadSlots: 64, pacers: [] });
  cleanups.defer(() => liar.stop());
  const lies = `127.0.0.1:${liar.port}`;

  const swarmOf = orphans([{ gives: range(0, 4), neighbours: [lies] }, { gives: range(4, 8) }]);
  const swarm = await swarmOf;
  const words = Uint32Array.of(2 ** PIECES - 1);
  const layout = { length: swarm.data.length, pieceLength: PIECE_LENGTH };
  liar.serve(swarm.content.contentId, {
    ...{ path: `${folder}/lies`, layout, words, pieceCount: PIECES },
  });

  const ends = await Promise.all(swarm.downloads);

  expect(ends.map((events) => eventOf(events, "done").md5)).toEqual([
    swarm.content.md5,
    swarm.content.md5,
  ]);
  expect(swarm.peers[0]!.warnings.filter((text) => text.includes("wrong bytes"))).toEqual([
    `${lies} gave wrong bytes: no neighbour any more`,
  ]);
}, 60_000);

test("rows that no supernode told count when two neighbours vouch for them", async () => {
  const rows = range(0, 5);
  const parts = [
    { gives: [0, 1], rows },
    { gives: [2], rows },
    { gives: [3, 4], rows },
  ];
  const swarm = await orphans(parts, { knowsDigest: false });

  const ends = await Promise.all(swarm.downloads);

  for (const events of ends) {
    const { md5, bytes } = eventOf(events, "done");
    expect(md5).toBe(swarm.content.md5);
    expect(bytes.supernode + bytes.peers + bytes.source).toBe(swarm.data.length);
  }
  // Each of three pieces needs two readers.
  const fromSource = ends.reduce((sum, events) => sum + eventOf(events, "done").bytes.source, 0);
  expect(fromSource).toBeGreaterThanOrEqual(2 * (3 * PIECE_LENGTH - 1_000));
}, 60_000);
