// T-13: what a supernode does with the addresses that hosts tell it.

import { afterEach, expect, test } from "bun:test";
import { isKind, isType, scriptedSwarmPeer } from "../fixtures/scripted-swarm-peer.ts";
import { provingHost } from "../fixtures/proving-host.ts";
import { supernodeFixture } from "../fixtures/supernode-fixture.ts";
import { PieceSet } from "../../src/engine/core/piece-set.ts";
import { Cleanups, peerFixture, randomBytes, sourceFixture } from "./peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

async function supernode() {
  const started = await supernodeFixture();
  cleanups.defer(() => started.stop());
  return started.current;
}

async function connect(address: string, hello: Parameters<typeof scriptedSwarmPeer>[1]) {
  const peer = await scriptedSwarmPeer(address, hello);
  cleanups.defer(() => peer.close());
  return peer;
}

/** Passes on to a host's piece server and counts who asks for its address. */
function countingGate(target: string) {
  let asked = 0;
  const server = Bun.serve({
    ...{ hostname: "127.0.0.1", port: 0 },
    fetch(request) {
      const { pathname, search } = new URL(request.url);
      if (pathname === "/v1/address") asked++;
      return fetch(`http://${target}${pathname}${search}`);
    },
  });
  cleanups.defer(() => server.stop(true));
  return { address: `127.0.0.1:${server.port}`, asked: () => asked };
}

test("T-13: a host that holds everything is no parent where another host answers", async () => {
  const node = await supernode();
  const source = sourceFixture(cleanups, randomBytes(300_000));
  const first = await connect(node.address, {});
  const { contentId, pieceLength } = await first.join(source.url);
  await first.next(isType("closed"));
  const victim = provingHost(cleanups);
  const liar = provingHost(cleanups);
  const have = PieceSet.full(Math.ceil(300_000 / pieceLength))
    .toBytes()
    .toBase64();
  const attacker = await connect(node.address, { ...liar.hello, pieceAddress: victim.address });
  attacker.say({ type: "hold", contents: [{ contentId, have }] });

  const child = await connect(node.address, {});
  const { handle } = await child.join(source.url);
  const parents = new Set<string>();
  for (let given = 0; given < 18;) {
    child.pull(handle, {});
    const { assignments } = await child.next(isKind("assign"));
    given += assignments.length;
    for (const { address } of assignments) parents.add(address);
    child.pull(handle, {
      reports: assignments.map(({ piece, parent }) => {
        return { piece, parent, outcome: 0, elapsedMs: 1 };
      }),
    });
  }

  expect([...parents]).toEqual([node.pieceAddress]);
});

test("a host that only downloads because of its address is told so, and why its operator reads once", async () => {
  const node = await supernode();
  const { warnings } = await peerFixture(cleanups, {
    ...{ supernodes: [node.address], advertise: "169.254.169.254:80" },
  });

  while (warnings.length === 0) await Bun.sleep(10);

  expect(warnings).toEqual([expect.stringContaining("169.254.169.254:80")]);
});

test("a host that comes back is not dialled again", async () => {
  const node = await supernode();
  const source = sourceFixture(cleanups, randomBytes(300_000));
  const host = provingHost(cleanups);
  const { address, asked } = countingGate(host.address);
  const hello = { ...host.hello, pieceAddress: address };
  const other = await connect(node.address, provingHost(cleanups).hello);
  await other.join(source.url);

  for (let channel = 0; channel < 3; channel++) {
    const peer = await connect(node.address, hello);
    await peer.join(source.url);
    for (let named = false; !named;)
      named = (await other.next(isType("neighbours"))).addresses.includes(address);
    peer.close();
    for (let named = true; named;)
      named = (await other.next(isType("neighbours"))).addresses.includes(address);
  }

  expect(asked()).toBe(1);
}, 60_000);

test("a host that becomes reachable later is a parent from then on", async () => {
  const node = await supernode();
  const source = sourceFixture(cleanups, randomBytes(300_000));
  const host = provingHost(cleanups);
  const refused = Bun.serve({
    ...{ hostname: "127.0.0.1", port: 0 },
    fetch: () => new Response(null, { status: 503 }),
  });
  const { port } = refused;
  const other = await connect(node.address, provingHost(cleanups).hello);
  await other.join(source.url);
  const late = await connect(node.address, {
    ...host.hello,
    pieceAddress: `127.0.0.1:${port}`,
  });
  await late.join(source.url);
  while (refused.pendingRequests > 0) await Bun.sleep(10);
  await refused.stop(true);
  const gate = Bun.serve({
    ...{ hostname: "127.0.0.1", port: port! },
    fetch: (request) => fetch(request.url.replace(`127.0.0.1:${port}`, host.address)),
  });
  cleanups.defer(() => gate.stop(true));
  // Who joins makes the swarm's neighbours be told anew.
  for (let i = 0; i < 3; i++) {
    const joiner = await connect(node.address, provingHost(cleanups).hello);
    await joiner.join(source.url);
  }

  for (let named = false; !named;) {
    await Bun.sleep(300);
    const joiner = await connect(node.address, provingHost(cleanups).hello);
    await joiner.join(source.url);
    const told = other.told.filter(isType("neighbours"));
    named = told.some(({ addresses }) => addresses.includes(`127.0.0.1:${port}`));
  }

  expect(other.isClosed()).toBe(false);
}, 60_000);
