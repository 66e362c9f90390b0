// A relay that is told to stop while connections go through it.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Session, waitUntil } from "../../../bench/harness/session.ts";
import { Relay } from "../../../src/roles/relay/relay.ts";
import { openConnection } from "./raw-client.ts";
import { RawPeer } from "./raw-peer.ts";

const MAIN = join(import.meta.dir, "../../../src/main.ts");
const NEVER = new AbortController().signal;

let folder = "";
let peerSocket = "";
let peer: RawPeer;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "df-relay-"));
  peerSocket = join(folder, "proxy.sock");
  peer = new RawPeer(peerSocket);
  peer.start();
});

afterEach(() => {
  peer.kill();
  rmSync(folder, { recursive: true });
});

function relayFixture(restMs: number): { relay: Relay; port: number } {
  const relay = new Relay({
    listen: { hostname: "127.0.0.1", port: 0 },
    peerSocket,
    access: { credentials: null, allow: null, tunnelPorts: new Set() },
    onPeer: () => {},
    restMs,
  });
  return { relay, port: Number(relay.address.split(":")[1]) };
}

/** A connection through which a word went to the peer and back. */
async function usedConnection(port: number) {
  const connection = await openConnection(port);
  connection.socket.write("hello");
  await connection.until("hello");
  return connection;
}

test("a connection goes on while new ones are refused, and is closed when nothing comes through it", async () => {
  const { relay, port } = relayFixture(500);
  const connection = await usedConnection(port);

  const finished = relay.finish(NEVER);
  const refused = await openConnection(port).then(
    () => "accepted",
    () => "refused",
  );
  connection.socket.write("once more");
  const echoed = await connection.until("once more");
  await finished;
  await connection.closed;

  expect(refused).toBe("refused");
  expect(echoed).toBe("peer:helloonce more");
  expect(relay.connections).toBe(0);
});

test("a connection that never rests is broken off at the bound", async () => {
  const { relay, port } = relayFixture(60_000);
  const connection = await usedConnection(port);
  const bound = new AbortController();

  const finished = relay.finish(bound.signal);
  bound.abort();
  await finished;
  const { connections } = relay;
  relay.stop();
  await connection.closed;

  expect(connections).toBe(1);
});

test("without connections it is over at once", async () => {
  const { relay } = relayFixture(60_000);

  await relay.finish(NEVER);

  expect(relay.connections).toBe(0);
});

test("a second signal does not wait for connections", async () => {
  await Session.run("relay-stopping", async (session) => {
    const logPath = join(session.folder, "log");
    const child = session.start(
      [process.execPath, MAIN, "relay", "--listen", "127.0.0.1:0", "--socket", peerSocket],
      { logPath },
    );
    let port = 0;
    await waitUntil("start the relay", async () => {
      const log = await Bun.file(logPath).text();
      port = Number(/ready on 127\.0\.0\.1:(\d+)/.exec(log)?.[1] ?? 0);
      return port > 0;
    });
    const connection = await usedConnection(port);

    child.kill("SIGTERM");
    await waitUntil("stop listening", async () => {
      const another = await openConnection(port).catch(() => null);
      another?.socket.end();
      return another === null;
    });
    child.kill("SIGTERM");
    const exitCode = await child.exited;
    await connection.closed;

    expect(exitCode).toBe(143);
  });
}, 30_000);
