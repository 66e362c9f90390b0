// Garbage on a supernode's control port: a clear answer or a closed connection, and the process lives.

import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { connect } from "node:net";
import { waitUntil } from "../../bench/harness/session.ts";
import { scriptedSwarmPeer, type ScriptedSwarmPeer } from "../fixtures/scripted-swarm-peer.ts";
import { supernodeFixture, type SupernodeFixture } from "../fixtures/supernode-fixture.ts";

let node: SupernodeFixture;
beforeAll(async () => {
  node = await supernodeFixture();
});
afterAll(() => node.stop());

async function isAlive(): Promise<boolean> {
  return (await fetch(`http://${node.current.address}/livez`)).ok;
}

/** What the port answers to raw bytes until it closes the connection. */
function answerTo(bytes: string | Uint8Array): Promise<string> {
  const [host, port] = node.current.address.split(":") as [string, string];
  return new Promise((resolve) => {
    let text = "";
    const socket = connect({ host, port: Number(port) }, () => socket.end(bytes));
    socket.on("data", (data) => (text += data.toString("latin1")));
    socket.on("error", () => resolve(text));
    socket.on("close", () => resolve(text));
  });
}

async function closedAfter(say: (peer: ScriptedSwarmPeer) => void): Promise<void> {
  const peer = await scriptedSwarmPeer(node.current.address);
  say(peer);
  while (!peer.isClosed()) await Bun.sleep(2);
}

test.each([
  ["TLS", Buffer.from("16030100c8010000c40303", "hex")],
  ["zeros", new Uint8Array(10_000)],
  ["a bad request line", "GET\r\n\r\n"],
  ["another protocol", "SSH-2.0-OpenSSH_9.2\r\n"],
])("%s is answered with a 400 or closed", async (_, bytes) => {
  expect(await answerTo(bytes)).toMatch(/^(HTTP\/1\.1 400|$)/);
  expect(await isAlive()).toBe(true);
});

test("other paths and methods are answered with a JSON error", async () => {
  const answer = await fetch(`http://${node.current.address}/admin`, { method: "POST", body: "x" });

  expect(answer.status).toBe(404);
  expect(await answer.json()).toMatchObject({ error: { code: "usage" } });
});

test("a second supernode on the same port is refused", async () => {
  const port = Number(node.current.address.split(":")[1]);

  const second = supernodeFixture({
    listen: { hostname: "127.0.0.1", port },
    pieceListen: { hostname: "127.0.0.1", port: 0 },
  });

  const failure = await second.catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: "usage", hint: expect.stringContaining("--listen") });
});

test("a swarm channel needs a WebSocket", async () => {
  const answer = await fetch(`http://${node.current.address}/v1/swarm`);

  expect(answer.status).toBe(426);
});

test.each<[string, (peer: ScriptedSwarmPeer) => void]>([
  ["text that is no JSON", (peer) => peer.sayRaw("{")],
  ["an unknown message", (peer) => peer.sayRaw('{"type":"dance"}')],
  ["a message with a wrong field", (peer) => peer.sayRaw('{"type":"leave","handle":-1}')],
  ["a second hello of another protocol", (peer) => peer.sayRaw('{"type":"hello","protocol":{}}')],
  ["a frame that does not parse", (peer) => peer.sayRaw(new Uint8Array([1, 2, 3]))],
  ["a frame only a supernode sends", (peer) => peer.sayRaw(new Uint8Array([2, 0, 0, 0, 0, 0, 0]))],
  ["T-31: a message of brackets", (peer) => peer.sayRaw("[".repeat(120_000) + "]".repeat(120_000))],
  [
    "T-31: a message beyond the limit",
    (peer) => peer.sayRaw(JSON.stringify("x".repeat(300 << 10))),
  ],
])("%s closes the channel and nothing else", async (_, say) => {
  const bystander = await scriptedSwarmPeer(node.current.address);

  await closedAfter(say);

  expect(bystander.isClosed()).toBe(false);
  expect(await isAlive()).toBe(true);
  bystander.close();
});

test("a channel that does not begin with hello is closed", async () => {
  const socket = new WebSocket(`ws://${node.current.address}/v1/swarm`);
  socket.addEventListener("open", () => socket.send('{"type":"leave","handle":1}'));

  const { code } = await new Promise<CloseEvent>((resolve) => {
    socket.addEventListener("close", resolve);
  });

  expect(code).toBe(1002);
});

test("handles and contents that nobody knows are ignored", async () => {
  const peer = await scriptedSwarmPeer(node.current.address);

  peer.pull(4711);
  peer.say({ type: "leave", handle: 4711 });
  peer.say({ type: "drop", contentId: "b".repeat(64) });
  peer.say({ type: "hold", contents: [{ contentId: "b".repeat(64), have: "!!not base64" }] });

  expect(await isAlive()).toBe(true);
  expect(peer.isClosed()).toBe(false);
  peer.close();
});

test("T-32: whatever a message holds, the supernode answers others as before", async () => {
  const words = fc.constantFrom("hello", "hold", "join", "leave", "drop", "commandResult", "x");
  await fc.assert(
    fc.asyncProperty(words, fc.jsonValue(), fc.dictionary(fc.string(), fc.jsonValue()), say),
    { numRuns: 150 },
  );

  async function say(type: string, value: unknown, fields: object): Promise<void> {
    const url = typeof value === "string" ? value : "http://127.0.0.1:1/x";
    const task = { url, headers: {}, tag: "", filterQuery: [], checksum: "", ...fields };
    const peer = await scriptedSwarmPeer(node.current.address);
    peer.sayRaw(JSON.stringify({ type, request: 1, handle: 0, task, contents: value, ...fields }));
    peer.sayRaw(JSON.stringify({ type, request: value, handle: value, contentId: value, task }));
    peer.close();
  }
  expect(await isAlive()).toBe(true);
}, 60_000);

test("T-34: a flood of channels that are nobody's keeps no real peer out", async () => {
  const url = `ws://${node.current.address}/v1/swarm`;
  const hello = { type: "hello", protocol: { min: 1, max: 1 }, hostId: "0", capabilities: [] };
  const opened = Array.from({ length: 1_000 }, (_, i) => {
    const socket = new WebSocket(url);
    const { promise, resolve } = Promise.withResolvers<void>();
    socket.addEventListener("open", () => {
      socket.send(i % 2 === 0 ? JSON.stringify(hello) : "x".repeat(100_000));
    });
    socket.addEventListener("close", () => resolve());
    return promise;
  });

  const admitted = await Promise.all([1, 2, 3].map(() => scriptedSwarmPeer(node.current.address)));
  await Promise.all(opened);

  expect(admitted.map((peer) => peer.isClosed())).toEqual([false, false, false]);
  expect(await isAlive()).toBe(true);
  for (const peer of admitted) peer.close();
}, 60_000);

test("T-34: channels that never say hello are cut off, and keep nobody else out", async () => {
  const address = node.current.address;
  const [host, port] = address.split(":") as [string, string];
  // Bytes by hand: another address of loopback stands for another host.
  const silent = Array.from({ length: 300 }, () => {
    const socket = connect({ host, port: Number(port), localAddress: "127.0.0.2" });
    socket.write(
      `GET /v1/swarm HTTP/1.1\r\nHost: ${address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    const state = { socket, isUpgraded: false, isClosed: false };
    let heard = "";
    socket.setEncoding("latin1").on("data", (text) => {
      heard += String(text);
      state.isUpgraded = heard.startsWith("HTTP/1.1 101");
      // Of a close frame (RFC 6455 §5.5.1) the code 1008, and how its reason begins.
      state.isClosed = heard.includes("\x03\xf0no hello");
    });
    socket.on("error", () => {});
    return state;
  });
  const isHeld = ({ isUpgraded, isClosed }: (typeof silent)[number]): boolean =>
    isUpgraded && !isClosed;
  await waitUntil("all were answered", () => silent.every(({ isUpgraded }) => isUpgraded));
  const bystander = await scriptedSwarmPeer(address);
  await waitUntil("the silent ones are cut off", () => !silent.some(isHeld));

  expect(bystander.isClosed()).toBe(false);
  bystander.close();
  for (const { socket } of silent) socket.destroy();
}, 60_000);
