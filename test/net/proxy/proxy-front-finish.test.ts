// The proxy's port towards its end: what is under way is not broken off, and nothing new begins.

import { afterEach, expect, test } from "bun:test";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { EgressGuard } from "../../../src/net/egress/egress-guard.ts";
import { DEFAULT_EGRESS } from "../../../src/net/egress/egress-policy.ts";
import { startProxyFront } from "../../../src/net/proxy/proxy-front.ts";
import { writePart } from "../../../src/roles/proxy/write-part.ts";
import { Cleanups, randomBytes } from "../../roles/peer-fixture.ts";

const MIB = 1 << 20;
const PART = randomBytes(MIB);
const PARTS = 32;
const NEVER = new AbortController().signal;

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

/** A front that answers `/blob` with 32 MiB, `/late` when it is told to, and the rest with "ok". */
async function frontFixture({ restMs = 60_000, tunnelPort = 0 } = {}) {
  const late = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const front = await startProxyFront({
    listen: { hostname: "127.0.0.1", port: 0 },
    access: { credentials: null, allow: null, tunnelPorts: new Set([tunnelPort]) },
    egress: new EgressGuard({
      policy: { ...DEFAULT_EGRESS, reach: "host" },
      ...{ connectionsMax: 8, waitingMax: 8 },
    }),
    ...{ interception: null, via: "df-test", limits: { restMs } },
    handler: async ({ url, signal }, response) => {
      if (url.pathname === "/late") {
        asked.resolve();
        await late.promise;
      }
      if (url.pathname !== "/blob") return void response.end("ok");
      response.writeHead(200, { "content-length": PARTS * MIB });
      for (let i = 0; i < PARTS; i++) await writePart(response, PART, signal);
      response.end();
    },
    upgrade: async (_request, socket) => void socket.destroy(),
  });
  cleanups.defer(() => front.stop());
  return { front, answerLate: late.resolve, untilAsked: asked.promise };
}

async function open(address: string): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port: Number(address.split(":")[1]) });
  cleanups.defer(() => void socket.destroy());
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

const requestOf = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

/** Asks for the blob, and reads nothing after the first bytes. */
async function slowReader(address: string): Promise<{ socket: Socket; first: Buffer }> {
  const socket = await open(address);
  socket.write(requestOf("/blob"));
  const [first] = (await once(socket, "data")) as [Buffer];
  socket.pause();
  return { socket, first };
}

/** What comes until the other side closes. */
async function restOf(socket: Socket): Promise<string> {
  const parts: Buffer[] = [];
  socket.on("data", (part: Buffer) => parts.push(part));
  socket.on("end", () => socket.end());
  socket.resume();
  await once(socket, "close");
  return Buffer.concat(parts).toString("latin1");
}

const bodyOf = (answer: string): string => answer.slice(answer.indexOf("\r\n\r\n") + 4);

test("a slow reader gets all of its answer while new connections are refused, and then it is over", async () => {
  const { front } = await frontFixture();
  const { socket, first } = await slowReader(front.address);

  const finished = front.finish(NEVER);
  const refused = await open(front.address).then(
    () => "accepted",
    (error: NodeJS.ErrnoException) => error.code,
  );
  const answer = first.toString("latin1") + (await restOf(socket));
  await finished;

  expect(refused).toBe("ECONNREFUSED");
  expect(bodyOf(answer) === PART.toString("latin1").repeat(PARTS)).toBe(true);
}, 30_000);

test("a reader that stalls is waited for until the bound", async () => {
  const { front } = await frontFixture();
  await slowReader(front.address);
  const bound = new AbortController();

  const finished = front.finish(bound.signal).then(() => "over");
  const before = await Promise.race([finished, Bun.sleep(1_500).then(() => "waiting")]);
  bound.abort();
  await finished;

  expect(before).toBe("waiting");
  expect(front.connections).toBe(1);
});

test("without an answer under way it is over at once, also with kept connections", async () => {
  const { front } = await frontFixture();
  const kept = await open(front.address);
  kept.write(requestOf("/"));
  await once(kept, "data");

  const rest = restOf(kept);
  await front.finish(NEVER);

  expect(front.connections).toBe(0);
  expect(await rest).toBe("");
});

test("who is here asks on while another answer is under way, on new and on kept connections", async () => {
  const { front, answerLate, untilAsked } = await frontFixture();
  const late = await open(front.address);
  late.write(requestOf("/late"));
  const kept = await open(front.address);
  kept.write(requestOf("/"));
  await once(kept, "data");
  const fresh = await open(front.address);
  while (front.connections < 3) await Bun.sleep(1);
  await untilAsked;

  const finished = front.finish(NEVER);
  kept.write(requestOf("/"));
  fresh.write(requestOf("/"));
  const answers = [await once(kept, "data"), await once(fresh, "data")].map(String);
  answerLate();
  const last = await restOf(late);
  await finished;

  for (const answer of answers) expect(bodyOf(answer)).toBe("ok");
  expect(bodyOf(last)).toBe("ok");
  expect(front.connections).toBe(0);
});

test("a tunnel goes on until nothing comes through it any more", async () => {
  const target = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (bytes) => socket.write(bytes));
  });
  target.listen(0, "127.0.0.1");
  await once(target, "listening");
  cleanups.defer(() => void target.close());
  const { port } = target.address() as AddressInfo;
  const { front } = await frontFixture({ restMs: 100, tunnelPort: port });
  const socket = await open(front.address);
  socket.write(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  await once(socket, "data");

  const finished = front.finish(NEVER);
  socket.write("still here");
  const [echoed] = (await once(socket, "data")) as [Buffer];
  await finished;

  expect(echoed.toString()).toBe("still here");
  expect(front.connections).toBe(0);
});
