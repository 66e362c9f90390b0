// The proxy's port towards its clients: who may ask what, which heads are read, and how long it waits.

import { afterEach, expect, test } from "bun:test";
import fc from "fast-check";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { Secret } from "../../../src/engine/bytes/secret.ts";
import { EgressGuard } from "../../../src/net/egress/egress-guard.ts";
import { DEFAULT_EGRESS } from "../../../src/net/egress/egress-policy.ts";
import { forwardRequest } from "../../../src/net/proxy/forward-request.ts";
import type { ProxyAccess } from "../../../src/net/proxy/proxy-access.ts";
import { TUNNEL_PORTS } from "../../../src/net/proxy/proxy-access.ts";
import { ProxyCredentials } from "../../../src/net/proxy/proxy-credentials.ts";
import { startProxyFront, type ProxyFrontOptions } from "../../../src/net/proxy/proxy-front.ts";
import { Cleanups } from "../../roles/peer-fixture.ts";
import { answerTo, statusOf } from "../../roles/proxy/forward-fixture.ts";

const MIB = 1 << 20;
const NEXT = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

interface FrontFixtureOptions extends Partial<Omit<ProxyFrontOptions, "access" | "listen">> {
  access?: Partial<ProxyAccess>;
  hostname?: string;
}

/** A front that forwards what is not of the origin form, and answers that with its path. */
async function frontFixture({
  access = {},
  hostname = "127.0.0.1",
  ...options
}: FrontFixtureOptions = {}) {
  const egress = new EgressGuard({
    policy: { ...DEFAULT_EGRESS, reach: "host" },
    ...{ connectionsMax: 64, waitingMax: 64 },
  });
  const via = "df-test";
  const seen: string[] = [];
  const front = await startProxyFront({
    ...{ listen: { hostname, port: 0 }, egress, via, interception: null },
    access: { credentials: null, allow: null, tunnelPorts: new Set(TUNNEL_PORTS), ...access },
    handler: async (request, response) => {
      seen.push(`${request.message.method} ${request.form} ${request.url.href}`);
      if (request.form === "origin") return void response.end(request.url.pathname);
      const outlet = egress.outlet({ ca: null, isInsecure: false });
      response.once("close", () => outlet.close());
      await forwardRequest(request, response, { outlet, url: request.url, via });
    },
    upgrade: async (_request, socket) => void socket.destroy(),
    ...options,
  });
  cleanups.defer(() => front.stop());
  const port = Number(front.address.slice(front.address.lastIndexOf(":") + 1));
  egress.become({ ...egress.policy, listeners: [{ hostname, port }] });
  return { front, port, seen };
}

/** Answers each request with what came: its line, fields and body. */
async function echoServer() {
  const requests: string[] = [];
  const server = createHttpServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { method, url, rawHeaders } = request;
      const text = JSON.stringify({
        method,
        url,
        rawHeaders,
        body: Buffer.concat(chunks).toString(),
      });
      requests.push(text);
      response.writeHead(200, { connection: "X-Hop", "x-hop": "1", "content-type": "text/x-echo" });
      response.end(text);
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  cleanups.defer(() => void server.close());
  return { port: (server.address() as AddressInfo).port, requests };
}

const REQUEST = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString("base64")}`;

const outside = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ internal, family }) => !internal && family === "IPv4")?.address;
if (outside === undefined)
  console.warn("SKIPPED: a remote client needs an address beside loopback");

const guarded = (): Partial<ProxyAccess> => ({
  credentials: new ProxyCredentials(new Secret(["me:secret"])),
});

test("T-27: a remote client without the right user and password gets 407, whatever it asks", async () => {
  const { port: target, requests } = await echoServer();
  const access = { ...guarded(), allow: [`127.0.0.1:${target}`] };
  const { port } = await frontFixture({ access });
  const asks = [`GET http://127.0.0.1:${target}/a`, `CONNECT 127.0.0.1:${target}`];

  for (const ask of asks) {
    for (const shown of ["", `Proxy-Authorization: ${basic("me:wrong")}\r\n`]) {
      const answer = await answerTo(port, `${ask} HTTP/1.1\r\nHost: a\r\n${shown}\r\n`);
      expect(statusOf(answer)).toBe(407);
      expect(answer.toLowerCase()).toContain("proxy-authenticate: basic");
    }
    const shown = `Proxy-Authorization: ${basic("me:secret")}\r\n`;
    expect(statusOf(await answerTo(port, `${ask} HTTP/1.1\r\nHost: a\r\n${shown}\r\n`))).toBe(200);
  }
  expect(requests).toHaveLength(1);
  expect(requests[0]).not.toContain(basic("me:secret"));
});

test.if(outside !== undefined)(
  "T-27: a remote client asks the port itself for nothing without user and password",
  async () => {
    const { port, seen } = await frontFixture({ access: guarded(), hostname: "0.0.0.0" });
    const ask = (fields: string): Promise<number> =>
      new Promise((resolve) => {
        const socket = connect(port, outside, () => {
          socket.write(`GET /v2/ HTTP/1.1\r\nHost: a\r\n${fields}\r\n`);
        });
        socket.once("data", (data) => {
          resolve(statusOf(data.toString()));
          socket.destroy();
        });
      });

    expect(await ask("")).toBe(407);
    expect(await ask(`Proxy-Authorization: ${basic("me:secret")}\r\n`)).toBe(200);
    expect(seen).toHaveLength(1);
  },
);

test("T-27: a remote client is none of this machine's because its connection is gone", async () => {
  if (outside === undefined) return;
  const { port, seen } = await frontFixture({ hostname: "0.0.0.0", access: guarded() });
  const sockets = Array.from({ length: 10 }, () => connect(port, outside));
  await Promise.all(sockets.map((socket) => once(socket, "connect")));

  for (const socket of sockets) socket.write(REQUEST, () => socket.resetAndDestroy());
  // Request and reset are both there when the port looks again.
  await Bun.sleep(0);
  Bun.sleepSync(200);
  await Bun.sleep(300);

  expect(seen).toEqual([]);
});

test("T-27: CONNECT to :22, :25 and others' ports is refused with 403, and nothing is connected to", async () => {
  const { port } = await frontFixture();
  const connected: number[] = [];
  const other = createServer((socket) => {
    connected.push(1);
    socket.destroy();
  });
  await new Promise<void>((resolve) => void other.listen(0, "127.0.0.1", resolve));
  cleanups.defer(() => void other.close());
  const otherPort = (other.address() as AddressInfo).port;

  for (const target of ["127.0.0.1:22", "127.0.0.1:25", `127.0.0.1:${otherPort}`, "[::1]:6379"]) {
    const answer = await answerTo(port, `CONNECT ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
    expect({ target, status: statusOf(answer) }).toEqual({ target, status: 403 });
    // All that Docker shows of a tunnel that is refused.
    const [line] = answer.split("\r\n");
    expect(line).toContain(
      `403 Forbidden: df: error: connect to ${target}: the proxy does not lead`,
    );
    expect(line).toContain("--proxy-allow");
  }
  expect(connected).toEqual([]);
});

test("T-27: with a list of targets nothing else is asked for, and a named port is one", async () => {
  const { port: target } = await echoServer();
  const { port } = await frontFixture({ access: { allow: ["files.test", `127.0.0.1:${target}`] } });

  const status = async (head: string): Promise<number> =>
    statusOf(await answerTo(port, `${head} HTTP/1.1\r\nHost: a\r\n\r\n`));
  expect(await status(`GET http://127.0.0.1:${target}/`)).toBe(200);
  expect(await status(`CONNECT 127.0.0.1:${target}`)).toBe(200);
  expect(await status("GET http://127.0.0.1:1/")).toBe(403);
  expect(await status("GET http://other.test/")).toBe(403);
  expect(await status("CONNECT other.test:443")).toBe(403);
  expect(await status("CONNECT files.test:22")).toBe(403);
});

test("T-12: neither tunnels nor forwarded requests lead to the port itself, to links or metadata", async () => {
  const own = await frontFixture();

  const statuses = [];
  for (const head of [
    ...["GET http://169.254.169.254/latest/meta-data", "CONNECT 169.254.169.254:80"],
    ...["GET http://metadata.google.internal/", "GET http://[::ffff:169.254.169.254]/"],
    ...[`GET http://localhost:${own.port}/`, `GET http://127.0.0.1:${own.port}/v2/`],
  ]) {
    const answer = await answerTo(
      own.port,
      `${head} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    );
    statuses.push(statusOf(answer));
  }
  expect(statuses).toEqual(Array(6).fill(403));
  // Only the requests themselves came, none a second time.
  expect(own.seen).toHaveLength(5);
});

test("a request that came through here before is refused", async () => {
  const { port: target } = await echoServer();
  const { port } = await frontFixture({ access: { tunnelPorts: new Set([target]) } });
  const via = "Via: 1.1 other, 1.1 df-test\r\n";

  for (const head of [`GET http://127.0.0.1:${target}/`, `CONNECT 127.0.0.1:${target}`]) {
    expect(statusOf(await answerTo(port, `${head} HTTP/1.1\r\nHost: a\r\n${via}\r\n`))).toBe(403);
  }
});

test("a forwarded request is the client's in all but what is between two hops", async () => {
  const { port: target } = await echoServer();
  const { port } = await frontFixture();

  const answer = await answerTo(
    port,
    `PUT http://127.0.0.1:${target}/a%2fb?c=d HTTP/1.1\r\nHost: lies.test\r\nProxy-Connection: keep-alive\r\n` +
      "Proxy-Authorization: Basic c2VjcmV0\r\nConnection: close, X-Own\r\nX-Own: 1\r\nX-End: 2\r\n" +
      "Authorization: Bearer mine\r\nContent-Length: 5\r\n\r\nhello",
  );

  const [head, body] = [answer.split("\r\n\r\n")[0]!, answer.slice(answer.indexOf("{"))];
  const {
    method,
    url,
    rawHeaders,
    body: sent,
  } = JSON.parse(body.slice(0, body.lastIndexOf("}") + 1));
  const fields = Object.fromEntries(
    (rawHeaders as string[]).flatMap((name, i) =>
      i % 2 === 0 ? [[name.toLowerCase(), rawHeaders[i + 1]]] : [],
    ),
  );
  expect({ method, url, sent }).toEqual({ method: "PUT", url: "/a%2fb?c=d", sent: "hello" });
  expect(fields).toMatchObject({
    ...{ host: `127.0.0.1:${target}`, "x-end": "2", authorization: "Bearer mine" },
    ...{ via: "1.1 df-test", "content-length": "5" },
  });
  for (const name of ["x-own", "proxy-connection", "proxy-authorization"]) {
    expect(fields).not.toHaveProperty(name);
  }
  expect(head).toContain("text/x-echo");
  expect(head.toLowerCase()).toContain("via: 1.1 df-test");
  expect(head.toLowerCase()).not.toContain("x-hop");
});

test("bodies of unknown length and requests one after the other pass on one connection", async () => {
  const { port: target, requests } = await echoServer();
  const { port } = await frontFixture();
  const chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";

  const answer = await answerTo(
    port,
    `POST http://127.0.0.1:${target}/1 HTTP/1.1\r\nHost: a\r\n${chunked}` +
      `DELETE http://127.0.0.1:${target}/2 HTTP/1.1\r\nHost: a\r\n\r\n` +
      `HEAD http://127.0.0.1:${target}/3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
  );

  expect(answer.match(/HTTP\/1\.1 200/g)).toHaveLength(3);
  expect(requests.map((text): string => JSON.parse(text).method).toSorted()).toEqual([
    "DELETE",
    "HEAD",
    "POST",
  ]);
  expect(requests.some((text) => JSON.parse(text).body === "hello world")).toBe(true);
});

test.each([
  ["both lengths", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
  ["two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"],
  ["a list of lengths", "Content-Length: 5, 5\r\n\r\nhello"],
  ["a signed length", "Content-Length: +5\r\n\r\nhello"],
  ["a folded field", "X: b\r\n c: d\r\n\r\n"],
  ["a bare line feed", "X: y\nZ: x\r\n\r\n"],
  ["an unknown coding", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"],
  ["two codings", "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"],
  ["a space before the colon", "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"],
  ["a zero byte", "X: b\0c\r\n\r\n"],
  ["a second host", "Host: b\r\n\r\n"],
])("T-26: %s is refused by the proxy, and what follows is not a request", async (_what, rest) => {
  const { port: target, requests } = await echoServer();
  const { port, seen } = await frontFixture();

  for (const url of [`http://127.0.0.1:${target}/a`, "/a"]) {
    const answer = await answerTo(port, `POST ${url} HTTP/1.1\r\nHost: a\r\n${rest}${NEXT}`);
    const statuses = [...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
    expect(statuses).toEqual(["400"]);
  }
  expect(requests).toEqual([]);
  expect(seen).toEqual([]);
});

test.each(["GET", "DELETE", "OPTIONS", "POST"])(
  "T-26: a body of %s that Connection takes the length from is no request of its own",
  async (method) => {
    const { port: target, requests } = await echoServer();
    const { port } = await frontFixture();
    const head =
      `${method} http://127.0.0.1:${target}/a HTTP/1.1\r\nHost: a\r\n` +
      `Connection: content-length\r\nContent-Length: ${NEXT.length}\r\n\r\n`;

    await answerTo(port, head + NEXT, 300);

    expect(requests.map((text): string => JSON.parse(text).body)).toEqual([NEXT]);
  },
);

test.each([
  ["a status that there is not", "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n"],
  ["words that nobody may write", "HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n"],
  ["another protocol", "HTTP/1.1 101 Now\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nbytes"],
])("T-32: a target that answers with %s is out of order for the client", async (_what, words) => {
  const target = createServer((socket) =>
    socket.on("error", () => {}).once("data", () => socket.write(words)),
  );
  await new Promise<void>((resolve) => void target.listen(0, "127.0.0.1", resolve));
  cleanups.defer(() => void target.close());
  const { port } = await frontFixture();
  const url = `http://127.0.0.1:${(target.address() as AddressInfo).port}/`;

  const answer = await answerTo(port, `GET ${url} HTTP/1.1\r\nHost: a\r\n\r\n`);

  expect(statusOf(answer)).toBe(502);
});

test.each([
  "nonsense\r\n\r\n",
  "GET /b HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
  "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: a\r\n\r\n",
])(
  "T-26: %j behind a request whose answer is on its way becomes no part of that answer",
  async (next) => {
    const { port } = await frontFixture({
      handler: async (_request, response) => {
        response.writeHead(200, { "content-length": "1000" });
        response.write("a".repeat(500));
        await Bun.sleep(300);
        response.end("a".repeat(500));
      },
    });

    const answer = await answerTo(port, `GET /a HTTP/1.1\r\nHost: a\r\n\r\n${next}`);

    expect(answer.match(/HTTP\/1\.1/g)?.length ?? 0).toBeLessThanOrEqual(1);
    expect(answer).not.toContain("error");
  },
);

test("T-32: no bytes bring the port down or open a connection", async () => {
  const { port: target, requests } = await echoServer();
  const { port } = await frontFixture();
  const piece = fc.constantFrom(
    ...[
      "GET ",
      "CONNECT ",
      "POST ",
      "/",
      "*",
      "http://",
      "https://",
      "ftp://",
      "[::1]",
      "127.0.0.1:22",
    ],
    ...[" HTTP/1.1", " HTTP/1.0", " HTTP/2.0", "\r\n", "\n", "Host: a\r\n", "Upgrade: x\r\n"],
    ...[
      "Connection: upgrade\r\n",
      "Content-Length: 9\r\n",
      "\0",
      " ",
      ":",
      "\x16\x03\x01",
      "é",
      "@",
    ],
  );

  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 14 }), async (pieces) => {
      await answerTo(port, `${pieces.join("")}\r\n\r\n`, 30);
    }),
    { numRuns: 300 },
  );

  expect(requests).toEqual([]);
  expect(
    statusOf(await answerTo(port, `GET http://127.0.0.1:${target}/ HTTP/1.1\r\nHost: a\r\n\r\n`)),
  ).toBe(200);
}, 60_000);

test("the port says that it lives", async () => {
  const { port } = await frontFixture();

  const answer = await answerTo(
    port,
    "GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
  );

  expect(statusOf(answer)).toBe(200);
});

test("a head that does not end, and a body that does not come, end their connection", async () => {
  const { port } = await frontFixture({ limits: { headMs: 1_000, idleMs: 1_000, stallMs: 1_000 } });
  const closed = (text: string, more: string[] = []): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1", () => socket.write(text));
      const drip = setInterval(() => socket.write(more.shift() ?? "x"), 200);
      if (more.length === 0) clearInterval(drip);
      socket.on("error", () => {});
      socket.on("data", () => {});
      socket.on("close", () => {
        clearInterval(drip);
        resolve();
      });
    });

  await Promise.all([
    closed(""),
    closed("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ", ["x"]),
    closed("POST http://127.0.0.1:9/ HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"),
    closed("GET /done HTTP/1.1\r\nHost: a\r\n\r\n"),
    closed("GET /done HTTP/1.1\r\nHost: a\r\n\r\nGET /next HT", ["T"]),
  ]);
}, 20_000);

test("T-29: a client that reads nothing of its answer is cut off, one that reads slowly is not", async () => {
  const block = Buffer.alloc(MIB);
  const { port, front } = await frontFixture({
    limits: { stallMs: 2_000 },
    handler: async ({ signal }, response) => {
      response.writeHead(200, { "content-length": String(512 * MIB) });
      const left = new Promise<void>((resolve) => response.once("close", () => resolve()));
      while (!signal.aborted) {
        if (response.write(block)) continue;
        const drained = new Promise<void>((resolve) => response.once("drain", () => resolve()));
        await Promise.race([drained, left]);
      }
    },
  });
  const clients = ["stalled", "slow"].map((name) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(REQUEST));
    socket.on("error", () => {});
    cleanups.defer(() => void socket.destroy());
    socket.pause();
    return { name, socket };
  });
  const slow = clients[1]!.socket;
  const reading = setInterval(() => slow.read(), 100);
  cleanups.defer(() => clearInterval(reading));
  while (front.connections < 2) await Bun.sleep(10);

  while (front.connections === 2) await Bun.sleep(100);

  expect(slow.destroyed).toBe(false);
  expect(front.connections).toBe(1);
}, 20_000);

test("T-28: two thousand clients that dribble their heads cost others nothing and are cut off", async () => {
  const { port, front } = await frontFixture({ limits: { headMs: 5_000 } });
  const ask = async (): Promise<number> => statusOf(await answerTo(port, REQUEST, 20_000));
  await ask();
  const before = process.memoryUsage.rss();
  let closed = 0;
  const sockets = Array.from({ length: 2_000 }, () => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.on("error", () => {});
    socket.on("close", () => closed++);
    socket.write("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    return socket;
  });
  cleanups.defer(() => sockets.forEach((socket) => void socket.destroy()));
  const dribble = setInterval(() => sockets.forEach((socket) => void socket.write("a")), 1_000);
  cleanups.defer(() => clearInterval(dribble));

  const statuses: number[] = [];
  while (closed < sockets.length) {
    statuses.push(await ask());
    await Bun.sleep(100);
  }

  expect(statuses.every((status) => status === 200)).toBe(true);
  expect(front.connections).toBe(0);
  // Both ends of two thousand sockets are in this process.
  expect((process.memoryUsage.rss() - before) / MIB).toBeLessThan(160);
}, 60_000);

test("T-28: one connection has so many requests under way and no more", async () => {
  let [underWay, most] = [0, 0];
  const { port } = await frontFixture({
    limits: { requestsMax: 5 },
    handler: async (request, response) => {
      most = Math.max(most, ++underWay);
      request.signal.addEventListener("abort", () => underWay--, { once: true });
      if (request.url.pathname === "/quick") response.end("quick");
    },
  });
  const request = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

  const answers = await answerTo(port, request("/quick").repeat(4), 300);
  expect(answers.match(/quick/g)).toHaveLength(4);
  await answerTo(port, request("/slow").repeat(1_000), 300);

  expect(most).toBe(5);
  expect(underWay).toBe(0);
});

test("when all places are taken, who waits longest without a request makes room", async () => {
  const { port, front } = await frontFixture({ limits: { connectionsMax: 3 } });
  const closed: number[] = [];
  const idle: Socket[] = [];
  for (let i = 0; i < 3; i++) {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.on("close", () => closed.push(i));
    await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
    while (front.connections < i + 1) await Bun.sleep(5);
    idle.push(socket);
  }
  cleanups.defer(() => idle.forEach((socket) => void socket.destroy()));

  const answer = await answerTo(port, "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");

  expect(statusOf(answer)).toBe(200);
  expect(closed).toEqual([0]);
});
