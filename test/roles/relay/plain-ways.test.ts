// What the relay does for programs while no peer answers: tunnels, plain requests, refusals.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { TUNNEL_PORTS } from "../../../src/net/proxy/proxy-access.ts";
import { Relay } from "../../../src/roles/relay/relay.ts";
import { exchange, openConnection } from "./raw-client.ts";

interface Seen {
  line: string;
  headers: IncomingHttpHeaders;
  body: string;
}

let relay: Relay;
let port = 0;
let target: Server;
let targetPort = 0;
const tunnelPorts = new Set(TUNNEL_PORTS);
const seen: Seen[] = [];

beforeAll(async () => {
  relay = new Relay({
    listen: { hostname: "127.0.0.1", port: 0 },
    peerSocket: "/nonexistent/proxy.sock",
    access: { credentials: null, allow: null, tunnelPorts },
    onPeer: () => {},
  });
  port = Number(relay.address.split(":")[1]);
  target = createServer(async (request, response) => {
    const chunks: Buffer[] = await Array.fromAsync(request);
    const body = Buffer.concat(chunks).toString();
    seen.push({ line: `${request.method} ${request.url}`, headers: request.headers, body });
    response.writeHead(200, { "content-length": "2", "keep-alive": "timeout=5" });
    response.end("ok");
  });
  const listening = Promise.withResolvers<void>();
  target.listen(0, "127.0.0.1", listening.resolve);
  await listening.promise;
  targetPort = (target.address() as AddressInfo).port;
  tunnelPorts.add(targetPort);
});

afterAll(() => {
  relay.stop();
  target.closeAllConnections();
  target.close();
});

test("a request with a whole URL reaches its server in origin form, without what was for the proxy", async () => {
  const url = `http://127.0.0.1:${targetPort}/a/b?c=%20d`;
  const fields = [
    `Host: 127.0.0.1:${targetPort}`,
    "Proxy-Connection: keep-alive",
    "Proxy-Authorization: Basic c2VjcmV0",
    "Connection: X-Hop",
    "X-Hop: 1",
    "X-Kept: 2",
  ];

  const answer = await exchange(port, `GET ${url} HTTP/1.1\r\n${fields.join("\r\n")}\r\n\r\n`);

  expect(answer).toStartWith("HTTP/1.1 200 OK\r\n");
  expect(answer).toContain("Connection: close\r\n");
  expect(answer.toLowerCase()).not.toContain("keep-alive");
  expect(answer).toEndWith("\r\n\r\nok");
  const { line, headers } = seen.pop()!;
  expect(line).toBe("GET /a/b?c=%20d");
  expect(headers).toEqual({
    host: `127.0.0.1:${targetPort}`,
    "x-kept": "2",
    connection: "close",
  });
});

test("T-27: the target's name is the URL's, whatever Host says, and however often", async () => {
  const url = `http://127.0.0.1:${targetPort}/a`;

  await exchange(port, `GET ${url} HTTP/1.1\r\nHost: inner.test\r\nHost: other.test\r\n\r\n`);

  expect(seen.splice(0).map(({ headers }) => headers.host)).toEqual([`127.0.0.1:${targetPort}`]);
});

test.each([
  "CONNECT 169.254.169.254:80 HTTP/1.1",
  "CONNECT [fe80::1]:443 HTTP/1.1",
  "CONNECT [::ffff:169.254.169.254]:80 HTTP/1.1",
  "GET http://0xa9fea9fe/latest/meta-data/ HTTP/1.1",
  "GET http://100.100.100.200/ HTTP/1.1",
  "CONNECT 0.0.0.0:80 HTTP/1.1",
])("T-12: nobody is led to links and metadata while the peer is away: %s", async (line) => {
  const answer = await exchange(port, `${line}\r\n\r\n`);

  expect(answer).toMatch(/^HTTP\/1\.1 403 Forbidden: df relay: [\x20-\x7e]+\r\n/);
});

test("a body follows its request, whichever way its end is told", async () => {
  const url = `http://127.0.0.1:${targetPort}/upload`;
  const head = `POST ${url} HTTP/1.1\r\nHost: a\r\n`;

  await exchange(port, `${head}Content-Length: 5\r\n\r\nhello`);
  await exchange(port, `${head}Transfer-Encoding: chunked\r\n\r\n5\r\nworld\r\n0\r\n\r\n`);

  expect(seen.splice(0).map(({ body }) => body)).toEqual(["hello", "world"]);
});

test("who waits for 100 Continue gets it before the answer", async () => {
  const url = `http://127.0.0.1:${targetPort}/upload`;
  const connection = await openConnection(port);
  connection.socket.write(
    `PUT ${url} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n`,
  );
  await connection.until("HTTP/1.1 100");
  connection.socket.write("late");
  const answer = await connection.until("HTTP/1.1 200");
  await connection.closed;

  expect(answer.startsWith("HTTP/1.1 100 ")).toBe(true);
  expect(seen.pop()!.body).toBe("late");
});

test("CONNECT opens a plain tunnel, and keeps what was sent along", async () => {
  const request = "GET /in HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

  const answer = await exchange(port, `CONNECT 127.0.0.1:${targetPort} HTTP/1.1\r\n\r\n${request}`);

  expect(answer).toStartWith("HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200 OK\r\n");
  expect(seen.pop()!.line).toBe("GET /in");
});

test("a target that cannot be reached is told with the reason", async () => {
  const closed = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  tunnelPorts.add(closed.port);
  closed.stop();

  const answer = await exchange(port, `CONNECT 127.0.0.1:${closed.port} HTTP/1.1\r\n\r\n`);

  expect(answer).toStartWith("HTTP/1.1 502 ");
  expect(answer).toContain("(ECONNREFUSED)");
});

test.each([
  "CONNECT mail.example:25 HTTP/1.1",
  "CONNECT gate.example:22 HTTP/1.1",
  "CONNECT database.example:5432 HTTP/1.1",
  "GET http://mail.example:25/ HTTP/1.1",
])("T-27: nothing leads to a port of another protocol: %s", async (line) => {
  const place = /(\w+\.example:\d+)/.exec(line)![1]!;

  // All that Docker shows of it; it said "Forbidden", and nobody knew who forbade what.
  const told = `df relay: nothing leads to ${place} from here, see --proxy-allow`;
  expect(await exchange(port, `${line}\r\n\r\n`)).toStartWith(
    `HTTP/1.1 403 Forbidden: ${told}\r\n`,
  );
});

test.each([
  ["two lengths", "Content-Length: 1\r\nContent-Length: 2"],
  ["a length and chunks", "Content-Length: 1\r\nTransfer-Encoding: chunked"],
  ["a length that is none", "Content-Length: +1"],
  ["a folded field", "X-A: 1\r\n 2"],
  ["a space before the colon", "Host : a"],
  ["a bare line feed", "X-A: 1\nX-B: 2"],
  ["a zero byte", "X-A: \0"],
])("T-26: a request with %s goes nowhere", async (_what, fields) => {
  const url = `http://127.0.0.1:${targetPort}/smuggled`;

  const answer = await exchange(port, `GET ${url} HTTP/1.1\r\n${fields}\r\n\r\n`);

  expect(answer).toStartWith("HTTP/1.1 400 Bad Request\r\n");
  expect(seen).toEqual([]);
});

test.each([
  "\x16\x03\x01\x02\r\n\r\n",
  "GET ftp://a/ HTTP/1.1\r\n\r\n",
  "CONNECT a HTTP/1.1\r\n\r\n",
])("what asks for no way is refused: %j", async (text) => {
  expect(await exchange(port, text)).toStartWith("HTTP/1.1 400 ");
});

// Podman tries TLS at a mirror first, and waited ten seconds for each answer.
test("a greeting in TLS is refused without waiting for the end of a head", async () => {
  expect(await exchange(port, "\x16\x03\x01\x02\x00\x01")).toStartWith("HTTP/1.1 400 ");
});

test("a head without an end is refused when it is too long", async () => {
  const answer = await exchange(port, `GET / HTTP/1.1\r\nX: ${"x".repeat(60_000)}`);

  expect(answer).toStartWith("HTTP/1.1 400 ");
});

test("T-29: a client that does not read stops its target, and gets everything when it reads", async () => {
  const block = new Uint8Array(1 << 20);
  const blockCount = 64;
  let taken = 0;
  const fill = (socket: Bun.Socket): void => {
    while (taken < block.length * blockCount) {
      const count = socket.write(block.subarray(taken % block.length));
      taken += count;
      if (count === 0) return;
    }
    socket.end();
  };
  const fast = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { open: fill, drain: fill, data() {} },
  });
  tunnelPorts.add(fast.port);
  const before = process.memoryUsage.rss();
  let received = 0;
  const closed = Promise.withResolvers<void>();
  const established = Promise.withResolvers<void>();
  const client = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: (socket) => void socket.write(`CONNECT 127.0.0.1:${fast.port} HTTP/1.1\r\n\r\n`),
      data: (socket, bytes) => {
        if (received === 0) socket.pause();
        received += bytes.length;
        established.resolve();
      },
      close: () => closed.resolve(),
    },
  });
  await established.promise;
  let last = -1;
  while (last !== taken) {
    last = taken;
    await Bun.sleep(50);
  }

  // Buffers of four sockets, not the content.
  expect(taken).toBeLessThan(32 << 20);
  expect(process.memoryUsage.rss() - before).toBeLessThan(48 << 20);
  client.resume();
  await closed.promise;
  expect(received).toBe(
    block.length * blockCount + "HTTP/1.1 200 Connection established\r\n\r\n".length,
  );
  fast.stop();
});
