// Tunnels: what comes through, who waits for whom, and when they end.

import { afterEach, expect, test } from "bun:test";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { joinSockets } from "../../../src/net/proxy/tunnel.ts";
import { Cleanups } from "../../roles/peer-fixture.ts";

const MIB = 1 << 20;

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

async function listening(onSocket: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    onSocket(socket);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  cleanups.defer(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A port that leads to another one through a tunnel. */
async function tunnelTo(port: number, options: { idleMs?: number; signal?: AbortSignal } = {}) {
  const ended = Promise.withResolvers<void>();
  const { signal = new AbortController().signal, ...rest } = options;
  const front = await listening((client) => {
    const source = connect({ port, host: "127.0.0.1", allowHalfOpen: true }, () => {
      joinSockets(client, source, rest, signal).then(ended.resolve, ended.reject);
    });
  });
  return { port: front, ended: ended.promise };
}

function clientOf(port: number): Socket {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => {});
  cleanups.defer(() => void socket.destroy());
  return socket;
}

test("a side that said all still hears the other to its end", async () => {
  const source = await listening((socket) => {
    let heard = "";
    socket.on("data", (data) => (heard += data.toString()));
    socket.on("end", () => {
      setTimeout(() => socket.end(`you said ${heard}`), 50);
    });
  });
  const tunnel = await tunnelTo(source);

  const client = clientOf(tunnel.port);
  let answer = "";
  client.on("data", (data) => (answer += data.toString()));
  const closed = new Promise<void>((resolve) => client.once("close", () => resolve()));
  client.end("all of it");
  await Promise.all([tunnel.ended, closed]);

  expect(answer).toBe("you said all of it");
});

test("a reader that stalls holds up the source, not the memory", async () => {
  let sent = 0;
  const source = await listening((socket) => {
    const block = Buffer.alloc(MIB);
    const fill = (): void => {
      while (sent < 512 * MIB && socket.write(block)) sent += MIB;
    };
    socket.on("drain", fill);
    fill();
  });
  const tunnel = await tunnelTo(source);
  const before = process.memoryUsage.rss();

  const client = clientOf(tunnel.port);
  client.pause();
  let seen = -1;
  while (seen !== sent) {
    seen = sent;
    await Bun.sleep(300);
  }

  expect(sent).toBeLessThan(64 * MIB);
  expect((process.memoryUsage.rss() - before) / MIB).toBeLessThan(64);
});

test("megabytes pass both ways at once, unchanged", async () => {
  const source = await listening((socket) => void socket.pipe(socket));
  const tunnel = await tunnelTo(source);
  const data = Buffer.alloc(8 * MIB, crypto.getRandomValues(new Uint8Array(4_099)));

  const client = clientOf(tunnel.port);
  const chunks: Buffer[] = [];
  client.on("data", (data: Buffer) => chunks.push(data));
  client.end(data);
  await tunnel.ended;

  expect(Buffer.concat(chunks).equals(data)).toBe(true);
});

test("a tunnel in which nothing moves is closed, one in which little moves is not", async () => {
  const source = await listening((socket) => {
    socket.on("data", (data) => void socket.write(data));
  });
  const idle = await tunnelTo(source, { idleMs: 200 });
  const used = await tunnelTo(source, { idleMs: 200 });
  const closed: string[] = [];
  for (const [name, tunnel] of Object.entries({ idle, used })) {
    void tunnel.ended.then(() => closed.push(name));
  }

  clientOf(idle.port);
  const client = clientOf(used.port);
  const beat = setInterval(() => client.write("."), 20);
  cleanups.defer(() => clearInterval(beat));
  await idle.ended;

  expect(closed).toEqual(["idle"]);
});

test("a connection that breaks off, or an abort, ends both", async () => {
  const closedAtSource = Promise.withResolvers<void>();
  const source = await listening((socket) => {
    socket.resume();
    socket.once("end", () => socket.end());
    socket.once("close", () => closedAtSource.resolve());
  });
  const tunnel = await tunnelTo(source);
  const client = clientOf(tunnel.port);
  client.write("a", () => client.resetAndDestroy());
  await Promise.all([tunnel.ended, closedAtSource.promise]);

  const abort = new AbortController();
  const other = await tunnelTo(source, { signal: abort.signal });
  const reader = clientOf(other.port);
  const closedAtClient = new Promise<void>((resolve) => reader.once("close", () => resolve()));
  reader.resume();
  reader.on("end", () => reader.end());
  await Bun.sleep(50);
  abort.abort();
  await Promise.all([other.ended, closedAtClient]);
});
