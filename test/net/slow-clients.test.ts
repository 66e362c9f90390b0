// Clients that hold connections without using them: they may not cost others their place, nor the
// server its memory.

import { afterEach, expect, test } from "bun:test";
import { connect } from "node:net";
import { join } from "node:path";
import {
  SLOW_PIECE_BYTES,
  SLOW_PIECES,
  slowPath,
  slowReader,
  slowServer,
} from "../fixtures/slow-reader.ts";

const SLOTS_SCRIPT = join(import.meta.dir, "../fixtures/slow-slots.ts");
const PIECE = SLOW_PIECE_BYTES;
const MIB = 1 << 20;

const cleanups: (() => unknown)[] = [];
const defer = (cleanup: () => unknown): void => void cleanups.push(cleanup);
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const canMakeNetworks = process.platform === "linux" && process.getuid?.() === 0;
if (!canMakeNetworks) console.warn("SKIPPED: slow readers of a real link need root");

function pieceUrl(port: number, piece: number): string {
  return `http://127.0.0.1:${port}${slowPath(piece)}`;
}

test.if(canMakeNetworks)(
  "T-28: a host whose slow readers hold every slot keeps nobody else out",
  async () => {
    // Loopback takes a whole piece into its buffers; a link of 1,500 bytes a packet does not.
    const script = `ip link set lo mtu 1500 up && exec ${process.execPath} ${SLOTS_SCRIPT}`;
    const child = Bun.spawn(["unshare", "--net", "sh", "-c", script], { stderr: "inherit" });
    const result: unknown = JSON.parse(await new Response(child.stdout).text());

    expect(result).toEqual({
      held: 3,
      fromTheSameHost: "HTTP/1.1 503 Service Unavailable",
      fromAnother: Array(20).fill(PIECE),
    });
  },
  60_000,
);

test("T-28: two thousand connections that dribble their requests are cut off, and cost others nothing", async () => {
  const { port } = await slowServer(3, defer);
  const before = process.memoryUsage.rss();
  let closed = 0;
  const sockets = Array.from({ length: 2_000 }, () => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.on("error", () => {});
    socket.on("close", () => closed++);
    socket.write("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    return socket;
  });
  defer(() => sockets.forEach((socket) => socket.destroy()));
  const dribble = setInterval(() => sockets.forEach((socket) => socket.write("a")), 1_000);
  defer(() => clearInterval(dribble));

  const healthy: number[] = [];
  while (closed < sockets.length) {
    healthy.push(
      (await (await fetch(pieceUrl(port, healthy.length % SLOW_PIECES))).bytes()).length,
    );
    await Bun.sleep(100);
  }

  expect(healthy.every((length) => length === PIECE)).toBe(true);
  // Both ends of two thousand sockets are in this process.
  expect((process.memoryUsage.rss() - before) / MIB).toBeLessThan(128);
}, 60_000);

test.if(process.platform === "linux")(
  "T-29: a hundred clients that hardly read cost no memory",
  async () => {
    const { port } = await slowServer(200, defer);
    await (await fetch(pieceUrl(port, 0))).bytes();
    Bun.gc(true);
    const before = process.memoryUsage.rss();

    const readers = await Promise.all(
      Array.from({ length: 100 }, (_, piece) => slowReader(port, piece, defer)),
    );
    for (let seconds = 0; seconds < 3; seconds++) {
      for (const socket of readers) socket.read(1024);
      await Bun.sleep(1_000);
    }

    expect((process.memoryUsage.rss() - before) / MIB).toBeLessThan(64);
  },
  60_000,
);
