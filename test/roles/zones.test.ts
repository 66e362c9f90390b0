// Isolated networks: peers of two zones that see only the supernode between them.

import { afterEach, expect, test } from "bun:test";
import { PieceOutcome } from "../../src/engine/core/scheduler-events.ts";
import {
  isKind,
  scriptedSwarmPeer,
  type ScriptedSwarmPeer,
} from "../fixtures/scripted-swarm-peer.ts";
import { supernodeFixture } from "../fixtures/supernode-fixture.ts";
import {
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

async function supernode() {
  const started = await supernodeFixture();
  cleanups.defer(() => started.stop());
  return started.current;
}

test("peers of two zones that see only the supernode both end, and only it feeds across", async () => {
  const { address } = await supernode();
  const data = randomBytes(3_000_000);
  const source = sourceFixture(cleanups, data);
  // Nobody answers there: a peer that was sent to one of the other zone would not get its piece.
  const unreachable = "192.0.2.1:65002";
  const peerIn = (zone: string, advertise: string | null) =>
    peerFixture(cleanups, { supernodes: [address], labels: { zone }, advertise });
  const east = await peerIn("east", unreachable);
  const west = await peerIn("west", unreachable);

  const ends = await Promise.all(
    [east, west].map(({ client }) => eventsOf(client.download({ url: source.url }, never))),
  );

  for (const events of ends)
    expect(eventOf(events, "done").bytes).toMatchObject({ supernode: data.length, peers: 0 });
}, 30_000);

test("a peer is told the address that a parent has for its zone", async () => {
  const { address } = await supernode();
  const source = sourceFixture(cleanups, randomBytes(3_000_000));
  let hosts = 0;
  const join = async (zone: string, hello: Parameters<typeof scriptedSwarmPeer>[1] = {}) => {
    const peer = await scriptedSwarmPeer(address, {
      ...{ hostId: (++hosts).toString().padStart(64, "0"), labels: { zone } },
      ...{ pieceAddress: `10.0.0.${hosts}:65002`, uploadSlots: 8, ...hello },
    });
    cleanups.defer(() => peer.close());
    return { peer, handle: (await peer.join(source.url)).handle };
  };
  const zonedAddresses = [{ address: "203.0.113.9:65002", zone: "west" }];
  const bridge = await join("east", { zonedAddresses });
  const pieces = await takeAll(bridge.peer, bridge.handle);
  const inEast = await join("east");
  const inWest = await join("west");
  const inNorth = await join("north");

  const parents = async ({ peer, handle }: typeof inEast): Promise<Set<string>> => {
    const seen = new Set<string>();
    for (let taken = 0; taken < pieces;) {
      peer.pull(handle, { slots: 8 });
      const { assignments } = await peer.next(isKind("assign"));
      taken += assignments.length;
      for (const assignment of assignments) seen.add(assignment.address);
      const reports = assignments.map(({ piece, parent }) => {
        return { piece, parent, outcome: PieceOutcome.finished, elapsedMs: 1 };
      });
      peer.pull(handle, { slots: 8, reports });
    }
    return seen;
  };

  expect(await parents(inEast)).toContain("10.0.0.1:65002");
  const west = await parents(inWest);
  expect(west).toContain("203.0.113.9:65002");
  expect(west).not.toContain("10.0.0.1:65002");
  const north = await parents(inNorth);
  expect([...north].every((parent) => parent.startsWith("127.0.0.1:"))).toBe(true);
}, 30_000);

/** Takes every piece and says so; returns how many there are. */
async function takeAll(peer: ScriptedSwarmPeer, handle: number): Promise<number> {
  const taken = new Set<number>();
  peer.pull(handle, { slots: 8 });
  while (taken.size < 184) {
    const { assignments } = await peer.next(isKind("assign"));
    const reports = assignments.map(({ piece, parent }) => {
      taken.add(piece);
      return { piece, parent, outcome: PieceOutcome.finished, elapsedMs: 1 };
    });
    peer.pull(handle, { slots: 8, reports });
  }
  return taken.size;
}
