// Whom a supernode names to its peers for the time when it falls silent.

import { afterEach, expect, test } from "bun:test";
import {
  isType,
  scriptedSwarmPeer,
  type ScriptedSwarmPeer,
} from "../fixtures/scripted-swarm-peer.ts";
import { supernodeFixture } from "../fixtures/supernode-fixture.ts";
import { Cleanups, randomBytes, sourceFixture } from "./peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

let hosts = 0;

async function fixture() {
  const supernode = await supernodeFixture();
  cleanups.defer(() => supernode.stop());
  const source = sourceFixture(cleanups, randomBytes(200_000));
  const join = async (hello: Parameters<typeof scriptedSwarmPeer>[1] = {}) => {
    const number = ++hosts;
    const peer = await scriptedSwarmPeer(supernode.current.address, {
      hostId: number.toString(16).padStart(64, "0"),
      pieceAddress: `10.0.0.${number}:65002`,
      uploadSlots: 3,
      ...hello,
    });
    cleanups.defer(() => peer.close());
    await peer.join(source.url);
    return { peer, address: `10.0.0.${number}:65002` };
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
  const zonedAddresses = [{ address: "192.0.2.9:65002", zone: "east" }];
  await join({ labels: { zone: "west" }, zonedAddresses });
  const e = await join({ labels: { zone: "east" } });

  expect(await named(a.peer, 2)).toEqual([e.address, "192.0.2.9:65002"].toSorted());
});
