// The relay with a peer that lives, dies, hangs and comes back, and with real targets behind it.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PeerState } from "../../../src/roles/relay/peer-probe.ts";
import { Relay } from "../../../src/roles/relay/relay.ts";
import { exchange, openConnection } from "./raw-client.ts";
import { RawPeer } from "./raw-peer.ts";

let folder = "";
let peer: RawPeer;
let relay: Relay;
let port = 0;
let states: PeerState[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "df-relay-"));
  const peerSocket = join(folder, "proxy.sock");
  peer = new RawPeer(peerSocket);
  states = [];
  relay = new Relay({
    listen: { hostname: "127.0.0.1", port: 0 },
    peerSocket,
    access: { credentials: null, allow: null, tunnelPorts: new Set() },
    onPeer: (state) => states.push(state),
  });
  port = Number(relay.address.split(":")[1]);
});

afterEach(() => {
  relay.stop();
  peer.kill();
  rmSync(folder, { recursive: true });
});

test("a living peer gets every byte from the first on, and the end of each direction", async () => {
  peer.start();

  const connection = await openConnection(port);
  connection.socket.write("\x16\x03\x01 no HTTP at all");
  const echoed = await connection.until("at all");
  connection.socket.shutdown();
  await connection.closed;

  expect(echoed).toBe("peer:\x16\x03\x01 no HTTP at all");
  expect(states).toEqual([null]);
});

test("without a peer a mirror's request is refused at once, as registries refuse", async () => {
  const answer = await exchange(port, "GET /v2/library/alpine/manifests/3 HTTP/1.1\r\n\r\n");

  const [head, body] = answer.split("\r\n\r\n");
  expect(head).toStartWith("HTTP/1.1 503 Service Unavailable\r\n");
  expect(head).toContain("Connection: close");
  expect(JSON.parse(body!)).toEqual({
    errors: [
      {
        code: "UNAVAILABLE",
        message: "df relay: the Dragonfly peer of this host does not answer",
        detail: null,
      },
    ],
  });
});

test("a refused HEAD has no body", async () => {
  const answer = await exchange(port, "HEAD /v2/ HTTP/1.1\r\n\r\n");

  expect(answer).toStartWith("HTTP/1.1 503 ");
  expect(answer).toEndWith("\r\n\r\n");
});

test("a peer that comes back has the next connection", async () => {
  const before = await exchange(port, "GET /v2/ HTTP/1.1\r\n\r\n");
  peer.start();
  const connection = await openConnection(port);
  connection.socket.write("GET /v2/ HTTP/1.1\r\n\r\n");
  const after = await connection.until("\r\n\r\n");
  connection.socket.end();

  expect(before).toStartWith("HTTP/1.1 503 ");
  expect(after).toStartWith("peer:GET /v2/");
  expect(states).toEqual(["Failed to connect (ENOENT)", null]);
});

test("a peer that dies takes its connections with it, and the next is led without it", async () => {
  peer.start();
  const connection = await openConnection(port);
  connection.socket.write("hello");
  await connection.until("hello");

  peer.kill();
  await connection.closed;
  const answer = await exchange(port, "GET /v2/ HTTP/1.1\r\n\r\n");

  expect(answer).toStartWith("HTTP/1.1 503 ");
});

test("a peer that accepts and does not answer is waited for once, and used again when it answers", async () => {
  peer.isHanging = true;
  peer.start();

  const answers = await Promise.all([
    exchange(port, "GET /v2/ HTTP/1.1\r\n\r\n"),
    exchange(port, "GET /v2/ HTTP/1.1\r\n\r\n"),
  ]);
  // The question is still under way: nobody waits for its answer any more.
  answers.push(await exchange(port, "GET /v2/ HTTP/1.1\r\n\r\n"));
  const questionCount = peer.questionCount;
  peer.recover();
  const recovered = await untilPeerAnswers();

  for (const answer of answers) expect(answer).toStartWith("HTTP/1.1 503 ");
  expect(questionCount).toBe(1);
  expect(recovered).toStartWith("peer:");
  expect(states).toEqual(["no answer within 1 s", null]);
});

/** The late answer and the next connection are two sockets: the order of their events is the system's. */
async function untilPeerAnswers(): Promise<string> {
  for (;;) {
    const connection = await openConnection(port);
    connection.socket.write("GET /v2/ HTTP/1.1\r\n\r\n");
    const answer = await connection.until("\r\n\r\n");
    connection.socket.end();
    if (answer.startsWith("peer:")) return answer;
  }
}

test.each([
  ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "it answers 503"],
  ["no HTTP ".repeat(20), "it answers no HTTP"],
  ["", "it closed the connection"],
])("a peer whose answer is %j is none", async (answer, state) => {
  peer.answer = answer;
  peer.start();

  expect(await exchange(port, "GET /v2/ HTTP/1.1\r\n\r\n")).toStartWith("HTTP/1.1 503 ");

  expect(states).toEqual([state]);
});

test("a peer without /livez lives as well", async () => {
  peer.answer = "HTTP/1.1 404 Not Found\r\n\r\n";
  peer.start();

  const connection = await openConnection(port);
  connection.socket.write("hello");

  expect(await connection.until("hello")).toBe("peer:hello");
  connection.socket.end();
});
