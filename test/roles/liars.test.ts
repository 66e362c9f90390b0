// Hosts that lie among twenty: with their bytes, and with their word about others.

import { afterEach, expect, test } from "bun:test";
import { PieceOutcome } from "../../src/engine/core/scheduler-events.ts";
import { startFlippingProxy } from "../fixtures/flipping-proxy.ts";
import { provingHost } from "../fixtures/proving-host.ts";
import { isKind, scriptedSwarmPeer } from "../fixtures/scripted-swarm-peer.ts";
import { supernodeFixture } from "../fixtures/supernode-fixture.ts";
import {
  bytesOf,
  Cleanups,
  eventOf,
  eventsOf,
  peerFixture,
  randomBytes,
  sourceFixture,
} from "./peer-fixture.ts";

const never = new AbortController().signal;
const cleanups = new Cleanups();
afterEach(() => cleanups.run());

type Peer = Awaited<ReturnType<typeof peerFixture>>;

/** A supernode of so little rate that the hosts need each other. */
async function swarmFixture(length: number) {
  const supernode = await supernodeFixture({ uploadRate: 3_000_000 });
  cleanups.defer(() => supernode.stop());
  const data = randomBytes(length);
  const source = sourceFixture(cleanups, data);
  const { address } = supernode.current;
  const download = async ({ client }: Peer) => {
    const events = await eventsOf(client.download({ url: source.url }, never));
    const { bytes } = eventOf(events, "done");
    const { contentId } = eventOf(events, "content");
    const isRight = (await bytesOf(client, contentId, data.length)).equals(data);
    return { bytes, isRight };
  };
  const hosts = (count: number): Promise<Peer[]> =>
    Promise.all(
      Array.from({ length: count }, () => peerFixture(cleanups, { supernodes: [address] })),
    );
  return { supernode, source, data, address, download, hosts };
}

test("T-01: a liar among twenty peers is caught, all outputs are right, the source is read once", async () => {
  const { supernode, source, data, address, download, hosts } = await swarmFixture(4_000_000);
  let behind = "";
  // Half of the pieces, always the same.
  const spoils = (path: string): boolean => Bun.hash.crc32(path) % 2 === 0;
  const proxy = startFlippingProxy(() => behind, spoils);
  cleanups.defer(() => proxy[Symbol.asyncDispose]());
  const liar = await peerFixture(cleanups, { supernodes: [address], advertise: proxy.address });
  behind = liar.peer.listen;
  await download(liar);

  const honest = await hosts(19);
  const ends = await Promise.all(honest.map(download));

  expect(ends.every(({ isRight }) => isRight)).toBe(true);
  expect(supernode.current.status().sourceBytes).toBe(data.length);
  expect(source.gets).toBeLessThanOrEqual(4);
  expect(supernode.warnings).toEqual([
    expect.stringContaining(`${proxy.address} gave wrong bytes`),
  ]);
  // Each child takes one wrong piece at most, the supernode one more; then nobody is sent there.
  expect(proxy.flipped()).toBeGreaterThan(0);
  expect(proxy.flipped()).toBeLessThanOrEqual(19 + 1);
  const before = proxy.flipped();
  await liar.stop();
  const again = await peerFixture(cleanups, {
    ...{ supernodes: [address], advertise: proxy.address, dataDir: `${liar.folder}/data` },
  });
  behind = again.peer.listen;
  while (!again.peer.status().supernodes[0]!.connected) await Bun.sleep(10);
  const [late] = await hosts(1);
  await download(late!);
  expect(proxy.flipped()).toBe(before);
}, 60_000);

test("T-42: a liar that accuses twenty honest hosts has none of them shut out", async () => {
  const { supernode, source, address, download, hosts } = await swarmFixture(2_000_000);
  const honest = await hosts(20);
  await Promise.all(honest.map(download));
  const addresses = new Set(honest.map(({ peer }) => peer.listen));
  const accused = new Set<string>();
  const liar = await scriptedSwarmPeer(address, { ...provingHost(cleanups).hello });
  cleanups.defer(() => liar.close());

  const { handle } = await liar.join(source.url);
  liar.pull(handle, { slots: 4 });
  while (accused.size < 20) {
    const { assignments } = await liar.next(isKind("assign"));
    const reports = assignments.map(({ piece, parent, address: from }) => {
      if (addresses.has(from)) accused.add(from);
      const outcome = addresses.has(from) ? PieceOutcome.corrupt : PieceOutcome.cancelled;
      return { piece, parent, outcome, elapsedMs: 1 };
    });
    liar.pull(handle, { slots: 4, reports });
  }
  const [late] = await hosts(1);
  const { bytes, isRight } = await download(late!);

  expect(accused.size).toBe(20);
  expect(supernode.warnings).toEqual([]);
  expect(isRight).toBe(true);
  expect(bytes.peers).toBeGreaterThan(0);
}, 60_000);
