// Isolated networks: peers of two zones that see only the supernode between them.

import { afterEach, expect, test } from "bun:test";
import { PieceOutcome } from "../../src/engine/core/scheduler-events.ts";
import {
  isKind,
  scriptedSwarmPeer,
  type ScriptedSwarmPeer,
} from "../fixtures/scripted-swarm-peer.ts";
import { provingHost } from "../fixtures/proving-host.ts";
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
  /** Proves itself to the supernode and gives no piece: a peer that was sent there would fail. */
  let strangers = 0;
  const peerIn = async (zone: string) => {
    const listen = Promise.withResolvers<string>();
    const gate = Bun.serve({
      ...{ hostname: "127.0.0.1", port: 0 },
      async fetch(request) {
        const { pathname, search } = new URL(request.url);
        if (pathname === "/v1/address")
          return fetch(`http://${await listen.promise}${pathname}${search}`);
        strangers++;
        return new Response(null, { status: 404 });
      },
    });
    cleanups.defer(() => gate.stop(true));
    const advertise = `127.0.0.1:${gate.port}`;
    const peer = await peerFixture(cleanups, {
      ...{ supernodes: [address], labels: { zone }, advertise },
    });
    listen.resolve(peer.peer.listen);
    return peer;
  };
  const east = await peerIn("east");
  const west = await peerIn("west");

  const ends = await Promise.all(
    [east, west].map(({ client }) => eventsOf(client.download({ url: source.url }, never))),
  );

  for (const events of ends)
    expect(eventOf(events, "done").bytes).toMatchObject({ supernode: data.length, peers: 0 });
  expect(strangers).toBe(0);
}, 60_000);

test("a peer is told the address that a parent has for its zone", async () => {
  const { address, pieceAddress } = await supernode();
  const source = sourceFixture(cleanups, randomBytes(3_000_000));
  const join = async (zone: string, zoned: Record<string, string> = {}) => {
    const host = provingHost(cleanups, zoned);
    const peer = await scriptedSwarmPeer(address, { ...host.hello, labels: { zone } });
    cleanups.defer(() => peer.close());
    return { ...{ peer, host }, handle: (await peer.join(source.url)).handle };
  };
  const bridge = await join("east", { west: "127.0.0.2" });
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

  expect(await parents(inEast)).toContain(bridge.host.address);
  const west = await parents(inWest);
  expect(west).toContain(bridge.host.hello.zonedAddresses![0]!.address);
  expect(west).not.toContain(bridge.host.address);
  const north = await parents(inNorth);
  expect([...north]).toEqual([pieceAddress]);
}, 60_000);

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
