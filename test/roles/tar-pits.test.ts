// Sources that accept a connection and never answer: whoever asks for others is not kept waiting.

import { createServer, type Socket } from "node:net";
import { afterEach, expect, test } from "bun:test";
import { READ_CONNECTIONS } from "../../src/limits.ts";
import { startBadSource } from "../fixtures/bad-source.ts";
import {
  isType,
  type ScriptedSwarmPeer,
  scriptedSwarmPeer,
  taskOf,
} from "../fixtures/scripted-swarm-peer.ts";
import { supernodeFixture } from "../fixtures/supernode-fixture.ts";
import { Cleanups } from "./peer-fixture.ts";

const PITS = 300;

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

/** Listens on all of 127.0.0.0/8, takes every connection, and says nothing. */
async function tarPit(): Promise<{ port: number; open: Set<Socket>; most: () => number }> {
  const open = new Set<Socket>();
  let most = 0;
  const server = createServer((socket) => {
    open.add(socket);
    most = Math.max(most, open.size);
    socket.on("error", () => {});
    socket.on("close", () => open.delete(socket));
    // Read, so that the other end's closing is heard of.
    socket.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  cleanups.defer(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return { port: (server.address() as { port: number }).port, open, most: () => most };
}

async function setUp() {
  const supernode = await supernodeFixture();
  cleanups.defer(() => supernode.stop());
  const connect = async (): Promise<ScriptedSwarmPeer> => {
    const peer = await scriptedSwarmPeer(supernode.current.address);
    cleanups.defer(() => peer.close());
    return peer;
  };
  const peer = await connect();
  // One peer may have 256 joins waiting: two ask for what holds up.
  const askers = [await connect(), await connect()];
  const ask = (urls: readonly string[]): void =>
    urls.forEach((url, i) => askers[i % 2]!.say({ type: "join", request: i, task: taskOf(url) }));
  const pit = await tarPit();
  const healthy = await startBadSource((reply) => reply.serve(new Uint8Array(100_000)));
  cleanups.defer(() => healthy.stop());
  const isAnswered = () => askers.some(({ told }) => told.some(isType("refused")));
  return { peer, ask, pit, healthy, isAnswered };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await Bun.sleep(5);
}

test("T-28: a healthy source is read while 300 others are held up, each by a host of its own", async () => {
  const { peer, ask, pit, healthy, isAnswered } = await setUp();
  ask(
    Array.from(
      { length: PITS },
      (_, i) => `http://127.1.${i >> 7}.${(i & 127) + 1}:${pit.port}/${i}`,
    ),
  );
  await until(() => pit.open.size === PITS);

  const joined = await peer.join(healthy.url);
  await peer.next(isType("closed"));

  expect(joined.length).toBe(100_000);
  // Counted, not timed: not one of them had been given up by then.
  expect(pit.open.size).toBe(PITS);
  expect(isAnswered()).toBe(false);
});

test("T-28: a healthy source is read while 300 URLs of one held-up source wait for its share", async () => {
  const { peer, ask, pit, healthy, isAnswered } = await setUp();
  ask(Array.from({ length: PITS }, (_, i) => `http://127.0.0.1:${pit.port}/${i}`));
  await until(() => pit.open.size === READ_CONNECTIONS.connectionsMax);

  await peer.join(healthy.url);
  await peer.next(isType("closed"));

  expect(isAnswered()).toBe(false);
  expect(pit.most()).toBe(READ_CONNECTIONS.connectionsMax);
});
