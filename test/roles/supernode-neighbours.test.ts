// Whom a supernode names to its peers for the time when it falls silent.

import { afterEach, expect, test } from "bun:test";
import {
  isType,
  scriptedSwarmPeer,
  type ScriptedSwarmPeer,
} from "../fixtures/scripted-swarm-peer.ts";
import { provingHost } from "../fixtures/proving-host.ts";
import { supernodeFixture } from "../fixtures/supernode-fixture.ts";
import { Cleanups, randomBytes, sourceFixture } from "./peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

async function fixture() {
  const supernode = await supernodeFixture();
  cleanups.defer(() => supernode.stop());
  const source = sourceFixture(cleanups, randomBytes(200_000));
  const join = async (
    hello: Parameters<typeof scriptedSwarmPeer>[1] = {},
    zoned: Record<string, string> = {},
  ) => {
    const host = provingHost(cleanups, zoned);
    const peer = await scriptedSwarmPeer(supernode.current.address, { ...host.hello, ...hello });
    cleanups.defer(() => peer.close());
    await peer.join(source.url);
    return { peer, address: host.address, zonedAddress: host.hello.zonedAddresses?.[0]?.address };
  };
  return { join };
}

/** The addresses told last, once there are so many. */
async function named(peer: ScriptedSwarmPeer, count: number): Promise<string[]> {
  for (;;) {
    const { addresses } = await peer.next(isType("neighbours"));
    if (addresses.length === count) return addresses.toSorted();
  }
}

test("each peer hears of the others, and again when the swarm has grown or some are gone", async () => {
  const { join } = await fixture();
  const a = await join();
  const b = await join();

  expect(await named(a.peer, 1)).toEqual([b.address]);
  expect(await named(b.peer, 1)).toEqual([a.address]);

  const c = await join();
  const d = await join();
  expect(await named(a.peer, 3)).toEqual([b.address, c.address, d.address].toSorted());

  d.peer.close();
  expect(await named(a.peer, 2)).toEqual([b.address, c.address].toSorted());
});

test("hosts that only download and hosts of other zones are not named", async () => {
  const { join } = await fixture();
  const a = await join({ labels: { zone: "east" } });
  await join({ labels: { zone: "west" } });
  await join({ labels: { zone: "east" }, pieceAddress: null });
  const far = await join({ labels: { zone: "west" } }, { east: "127.0.0.2" });
  const e = await join({ labels: { zone: "east" } });

  expect(await named(a.peer, 2)).toEqual([e.address, far.zonedAddress!].toSorted());
});

test("T-13: hosts that were not found at the address that they told are not named", async () => {
  const { join } = await fixture();
  const a = await join();
  const { address } = provingHost(cleanups);
  await join({ pieceAddress: address });
  await join({ pieceAddress: "192.0.2.9:65002" });
  const d = await join();

  expect(await named(a.peer, 1)).toEqual([d.address]);
  for (let i = 0; i < 3; i++) await join();
  const addresses = await named(a.peer, 4);
  expect(addresses).toContain(d.address);
  expect(addresses).not.toContain(address);
});
