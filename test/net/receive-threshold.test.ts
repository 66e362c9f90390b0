// When the kernel wakes the receiver of a body: never for more than is still to come.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { PieceConnection } from "../../src/net/piece/piece-connection.ts";
import { thresholdFor } from "../../src/net/piece/receive-threshold.ts";

test("an unknown or slow rate is woken by every packet", () => {
  expect(thresholdFor(0, 65_536)).toBe(1);
  expect(thresholdFor(0.004, 65_536)).toBe(1);
});

test("a third of a 10 Mb/s link is woken for the end of a small piece, and every 64 KiB of a large one", () => {
  expect(thresholdFor(416, 65_000)).toBe(65_000);
  expect(thresholdFor(416, 1 << 20)).toBe(65_536);
  expect(thresholdFor(416, 1_000)).toBe(1_000);
  expect(thresholdFor(416, 0)).toBe(1);
});

test("no body waits for more bytes than it still has, nor for more than 250 ms of its rate", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e7, noNaN: true }), fc.nat(1 << 24), (rate, left) => {
      const threshold = thresholdFor(rate, left);
      expect(Number.isInteger(threshold) && threshold >= 1).toBe(true);
      expect(threshold <= Math.max(1, left)).toBe(true);
      expect(threshold <= Math.max(1, rate * 250)).toBe(true);
    }),
  );
});

test("a body that drips in wakes its reader for several drips at once, and arrives whole", async () => {
  const drip = new Uint8Array(4096).fill(7);
  const dripCount = 100;
  await using source = await drippingServer(drip, dripCount);
  const connection = await PieceConnection.open(
    `127.0.0.1:${source.port}`,
    { onClosed: () => {}, stallTimeoutMs: 5_000 },
    new AbortController().signal,
  );
  const parts: number[] = [];

  await connection.ask(
    {
      path: "/",
      range: { first: 0, last: drip.length * dripCount - 1 },
      fields: {},
      onHead: () => true,
      onBody: (bytes) => parts.push(bytes.length),
    },
    new AbortController().signal,
  );

  expect(parts.reduce((sum, length) => sum + length, 0)).toBe(drip.length * dripCount);
  if (process.platform === "linux") expect(parts.length).toBeLessThan(dripCount / 2);
  connection.close();
});

/** Answers every request with drips, each on its way before the next one. */
async function drippingServer(drip: Uint8Array, count: number) {
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on("error", () => {});
    socket.once("data", () => void drop(socket));
  });
  const drop = async (socket: Socket): Promise<void> => {
    const length = drip.length * count;
    socket.write(
      `HTTP/1.1 206 Partial Content\r\nContent-Length: ${length}\r\nContent-Range: bytes 0-${length - 1}/${length}\r\n\r\n`,
    );
    for (let sent = 0; sent < count; sent++) {
      socket.write(drip);
      await Bun.sleep(4);
    }
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}
