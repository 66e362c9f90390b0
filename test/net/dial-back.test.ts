// T-13: a supernode finds out by itself whether a host is at the address that it told, and nobody is
// ever asked who cannot be such a host.

import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { dialBack } from "../../src/net/piece/dial-back.ts";
import { PieceServer } from "../../src/net/piece/piece-server.ts";
import { newIdentity } from "../../src/roles/peer/host-identity.ts";

const never = new AbortController().signal;
const here = { allowsLoopback: true };
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

const host = newIdentity();

function pieceServer(identity = host, hostname = "127.0.0.1"): string {
  const options = { hostname, port: 0, uploadSlots: 0, pacers: [], identity };
  const server = new PieceServer(options);
  closers.push(() => server.stop());
  return hostname.includes(":") ? `[${hostname}]:${server.port}` : `${hostname}:${server.port}`;
}

/** Somebody else's service, which counts who came and what was sent. */
async function sentinel(answer: (socket: Socket) => void = () => {}) {
  const sockets = new Set<Socket>();
  let heard = "";
  let connections = 0;
  const server: Server = createServer((socket) => {
    connections++;
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      heard += bytes.toString("latin1");
      answer(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { port, heard: () => heard, connections: () => connections };
}

describe("T-13: a host is found", () => {
  test.each(["127.0.0.1", "127.0.0.2", "::1"])(
    "where its own piece server answers: %s",
    async (at) => {
      const address = pieceServer(host, at);

      expect(await dialBack(address, host, here, never)).toEqual({ kind: "proven", address });
    },
  );

  test("by a name, and others are sent to the address that answered", async () => {
    const port = pieceServer().split(":")[1];

    const answer = await dialBack(`localhost:${port}`, host, here, never);

    expect(answer).toEqual({ kind: "proven", address: `127.0.0.1:${port}` });
  });
});

describe("T-13: a host is not found", () => {
  test("where another host's piece server answers", async () => {
    const address = pieceServer(newIdentity());

    expect(await dialBack(address, host, here, never)).toEqual({ kind: "unproven" });
  });

  test("when its ID is not the digest of its key", async () => {
    const address = pieceServer();
    const liar = { ...host, hostId: newIdentity().hostId };

    expect(await dialBack(address, liar, here, never)).toEqual({ kind: "unproven" });
  });

  const answers: [string, string][] = [
    [
      "a redirect to where it is",
      "HTTP/1.1 302 Found\r\nlocation: /v1/address\r\ncontent-length: 0",
    ],
    ["a page", `HTTP/1.1 200 OK\r\ncontent-length: 88\r\n\r\n${"x".repeat(88)}`],
    ["a signature of nothing", `HTTP/1.1 200 OK\r\ncontent-length: 88\r\n\r\n${"A".repeat(86)}==`],
    ["a long page", "HTTP/1.1 200 OK\r\ncontent-length: 1000000000"],
    ["a head without end", `HTTP/1.1 200 OK\r\n${"x: y\r\n".repeat(4_000)}`],
    ["another protocol", "-ERR wrong number of arguments for 'get' command"],
  ];
  test.each(answers)("where the answer is %s", async (_, text) => {
    const { port } = await sentinel((socket) => socket.write(`${text}\r\n\r\n`));

    expect(await dialBack(`127.0.0.1:${port}`, host, here, never)).toEqual({ kind: "unproven" });
  });

  test("where nobody answers within three seconds, or at all", async () => {
    const { port, heard } = await sentinel();
    const gone = pieceServer();
    await closers.pop()!();

    const all = [`127.0.0.1:${port}`, gone].map((address) => dialBack(address, host, here, never));

    expect(await Promise.all(all)).toEqual([{ kind: "unproven" }, { kind: "unproven" }]);
    expect(heard()).toMatch(/^GET \/v1\/address\?nonce=[0-9a-f]{32} HTTP\/1\.1\r\n/);
    expect(heard().length).toBeLessThan(200);
  });

  test("any more when its channel closes meanwhile", async () => {
    const { port } = await sentinel();
    const left = new AbortController();

    const answer = dialBack(`127.0.0.1:${port}`, host, here, left.signal);
    left.abort();

    expect(await answer).toEqual({ kind: "unproven" });
  });
});

describe("T-13: nobody is asked", () => {
  test.each([
    "127.0.0.1",
    "127.8.8.8",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "localhost",
    "0.0.0.0",
    "[::]",
  ])("on this machine for a host of another one: %s", async (name) => {
    const { port, connections } = await sentinel();

    const answer = await dialBack(`${name}:${port}`, host, { allowsLoopback: false }, never);

    expect(answer).toEqual({ kind: "forbidden" });
    expect(connections()).toBe(0);
  });

  test.each([
    "169.254.169.254:80",
    "[fe80::1]:65002",
    "[fd00:ec2::254]:80",
    "100.100.100.200:80",
    "224.0.0.1:65002",
    "255.255.255.255:65002",
    "[ff02::1]:65002",
    "240.0.0.1:65002",
    "10.0.0.1:22",
    "10.0.0.1:6667",
  ])("at %s, whoever names it", async (address) => {
    expect(await dialBack(address, host, here, never)).toEqual({ kind: "forbidden" });
  });
});
