// A supernode of a fleet whose disk is lost: what its peers hold is brought from them, under the rows
// that it signed before, and the source is asked for headers alone.

import { expect, test } from "bun:test";
import { CountingSource, randomPayload } from "../../bench/harness/counting-source.ts";
import { freePortPair } from "../../bench/harness/free-port.ts";
import { Session } from "../../bench/harness/session.ts";
import type { StartPeerOptions } from "../../src/roles/peer/start-peer.ts";
import type { SupernodeOptions } from "../../src/roles/supernode/supernode-options.ts";
import { fleetFixture, type PeerOfFleet } from "../fixtures/fleet-fixture.ts";
import { startForgingProxy } from "../fixtures/forging-proxy.ts";
import { wipeStore } from "../fixtures/wipe-store.ts";
import { bytesOf, Cleanups, eventOf, eventsOf, sourceFixture } from "./peer-fixture.ts";

const never = new AbortController().signal;
const LENGTH = 9_000_001;

/** Brings the task through a peer; the source is left to the supernode. */
async function bring({ client }: PeerOfFleet, url: string): Promise<Buffer> {
  const events = await eventsOf(client.download({ url, noOrigin: true }, never));
  expect(eventOf(events, "failed")).toBeUndefined();
  return bytesOf(client, eventOf(events, "content").contentId, LENGTH);
}

/** A fleet of one supernode that can lose its disk, and a source that counts. */
async function lossFixture(session: Session, change: Partial<SupernodeOptions> = {}) {
  const bytes = randomPayload(LENGTH);
  const source = await CountingSource.start({ bytes });
  session.defer(() => source[Symbol.asyncDispose]());
  const fleet = await fleetFixture(session);
  const listen = { hostname: "127.0.0.1", port: await freePortPair() };
  let supernode = await fleet.supernode("default", { listen, ...change });
  const peers = (count: number, change: Partial<StartPeerOptions> = {}): Promise<PeerOfFleet[]> =>
    Promise.all(Array.from({ length: count }, () => fleet.peer(change)));
  return {
    ...{ bytes, source, peers },
    status: () => supernode.running.status(),
    warnings: () => supernode.warnings,
    loseDisk: async (): Promise<void> => {
      await supernode.stop();
      wipeStore(supernode.dataDir);
      supernode = await fleet.supernode("default", { listen, dataDir: supernode.dataDir });
    },
  };
}

test("a supernode that lost its data has it again from its peers, and reads no byte of the source", async () => {
  await Session.run("lost", async (session) => {
    const { source, bytes, peers, loseDisk, status, warnings } = await lossFixture(session);
    for (const peer of await peers(3)) await bring(peer, source.url);
    expect(source.bodyBytes).toBe(LENGTH);

    await loseDisk();
    const [late] = await peers(1);
    const brought = await bring(late!, source.url);

    expect(brought.equals(bytes)).toBe(true);
    expect(source.bodyBytes).toBe(LENGTH);
    expect(status()).toMatchObject({ sourceReads: 0, sourceBytes: 0 });
    expect(warnings()).toEqual([]);
  });
}, 60_000);

test("a private content comes back as a private one, for those alone whom the source gives it", async () => {
  await Session.run("lost", async (session) => {
    const { source, bytes, peers, loseDisk, status } = await lossFixture(session);
    const credentials = { url: source.url, headers: { authorization: "Bearer mine" } };
    const bringMine = async ({ client }: PeerOfFleet): Promise<string> => {
      const request = { url: source.url, credentials, noOrigin: true };
      return eventOf(await eventsOf(client.download(request, never)), "done").md5;
    };
    for (const peer of await peers(2)) await bringMine(peer);
    const { bodyBytes } = source;

    await loseDisk();
    const [late] = await peers(1);

    expect(await bringMine(late!)).toBe(new Bun.CryptoHasher("md5").update(bytes).digest("hex"));
    expect(status().sourceReads).toBe(0);
    // Each proof asks for one byte, and is broken off at the headers.
    expect(source.bodyBytes - bodyBytes).toBeLessThanOrEqual(8);
    const { contentId } = status().contents[0]!;
    const { listen } = late!.running;
    const answer = await fetch(`http://${listen}/v1/signatures/${contentId}?from=0`);
    expect(answer.status).toBe(404);
  });
}, 60_000);

test("a holder that forges rows is not believed, and the others are", async () => {
  await Session.run("lost", async (session) => {
    const { source, bytes, peers, loseDisk } = await lossFixture(session);
    const listen = { hostname: "127.0.0.1", port: await freePortPair() };
    const proxy = startForgingProxy(`127.0.0.1:${listen.port}`);
    session.defer(() => proxy.stop());
    const [liar] = await peers(1, { listen, advertise: proxy.address });
    await bring(liar!, source.url);

    await loseDisk();
    const [honest] = await peers(1);
    expect((await bring(honest!, source.url)).equals(bytes)).toBe(true);
    // The liar alone had it: nothing of its rows was taken, and the source was read.
    expect(proxy.forged).toBeGreaterThan(0);
    expect(source.bodyBytes).toBe(2 * LENGTH);

    await loseDisk();
    const [late] = await peers(1);
    expect((await bring(late!, source.url)).equals(bytes)).toBe(true);
    expect(source.bodyBytes).toBe(2 * LENGTH);
  });
}, 60_000);

test("what no peer has is read from the source, and no more", async () => {
  await Session.run("lost", async (session) => {
    const parts = await lossFixture(session, { uploadRate: 1_500_000 });
    const { source, bytes, loseDisk, status } = parts;
    const peers = await parts.peers(2);
    const downloads = peers.map((peer) => bring(peer, source.url));
    const held = (): number =>
      peers.reduce((sum, { running }) => {
        return sum + (running.status().downloads[0]?.doneBytes ?? 0);
      }, 0);
    while (held() < LENGTH / 2) await Bun.sleep(20);

    await loseDisk();
    const brought = await Promise.all(downloads);

    for (const one of brought) expect(one.equals(bytes)).toBe(true);
    expect(status().sourceReads).toBe(1);
    // Each had a part of its own: together at least a quarter of the whole.
    expect(source.bodyBytes).toBeLessThan(LENGTH * 1.75);
  });
}, 60_000);

test("a version that the source has no more is not brought back", async () => {
  await Session.run("lost", async (session) => {
    const { peers, loseDisk } = await lossFixture(session);
    const cleanups = new Cleanups();
    session.defer(() => cleanups.run());
    const source = sourceFixture(cleanups, randomPayload(LENGTH));
    for (const peer of await peers(2)) await bring(peer, source.url);

    source.data = randomPayload(LENGTH);
    source.etag = '"v2"';
    await loseDisk();
    const [late] = await peers(1);

    expect((await bring(late!, source.url)).equals(source.data)).toBe(true);
  });
}, 60_000);
