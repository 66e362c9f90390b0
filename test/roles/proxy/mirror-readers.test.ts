// Many engines of one host before its mirror: a slow one costs nobody memory or time, and one that leaves
// costs nobody anything.

import { expect, test } from "bun:test";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import { connect, type Socket } from "node:net";
import { waitUntil } from "../../../bench/harness/session.ts";
import { askRaw, mirrorFixture } from "../../fixtures/mirror-fixture.ts";
import { withMirrorProcess } from "../../fixtures/mirror-process.ts";
import { Cleanups, randomBytes } from "../peer-fixture.ts";

const MIB = 1 << 20;

/** Most memory that a process had since it started, bytes. */
function peakBytes({ pid }: Bun.Subprocess): number {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(text)![1]) * 1024;
}

/** Sends a request and reads no more than the head of its answer. */
async function stalledReader(mirror: string, path: string): Promise<Socket> {
  const [host, port] = mirror.split(":") as [string, string];
  const socket = connect({ host, port: Number(port) });
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${mirror}\r\n\r\n`);
  await once(socket, "data");
  socket.pause();
  return socket;
}

test("a hundred engines read one blob, one of them slowly: all are served and memory stays flat", async () => {
  await withMirrorProcess(async ({ child, registry, mirror }) => {
    const blob = randomBytes(32 * MIB);
    const path = `/v2/team/app/blobs/${registry.add(blob)}`;
    const warm = await askRaw(`http://${mirror}${path}`);
    const before = peakBytes(child);

    const slow = await stalledReader(mirror, path);
    const lengths = await Promise.all(
      Array.from({ length: 99 }, () => countBody(`http://${mirror}${path}`)),
    );
    const rest = new Promise<void>((resolve) => slow.once("close", () => resolve()));
    slow.destroy();
    await rest;

    expect(warm.body.equals(blob)).toBe(true);
    expect(new Set(lengths)).toEqual(new Set([blob.length]));
    expect(registry.bodyBytes).toBe(blob.length);
    expect((peakBytes(child) - before) / MIB).toBeLessThan(192);
  });
}, 120_000);

test("a hundred engines that stop reading hold no more than their share of memory", async () => {
  await withMirrorProcess(async ({ child, registry, mirror }) => {
    const blob = randomBytes(32 * MIB);
    const path = `/v2/team/app/blobs/${registry.add(blob)}`;
    await askRaw(`http://${mirror}${path}`);
    const before = peakBytes(child);

    const sockets = await Promise.all(
      Array.from({ length: 100 }, () => stalledReader(mirror, path)),
    );
    // Whoever comes after them is served as if they were not there.
    const length = await countBody(`http://${mirror}${path}`);

    expect(length).toBe(blob.length);
    expect((peakBytes(child) - before) / MIB).toBeLessThan(192);
    for (const socket of sockets) socket.destroy();
  });
}, 120_000);

test("who asks for a blob while it is being synced gets what is here: the registry sends it once", async () => {
  const cleanups = new Cleanups();
  try {
    const { registry, mirror } = await mirrorFixture(cleanups, { hasSupernode: false });
    // The moment between the last byte and the end of the sync is short.
    for (let round = 1; round <= 10; round++) {
      const blob = randomBytes(3 * MIB);
      blob[0] = round;
      const url = `${mirror.url}/v2/team/app/blobs/${registry.add(blob)}`;
      await askRaw(url);

      const lengths = await Promise.all(Array.from({ length: 8 }, () => countBody(url)));

      expect(new Set(lengths)).toEqual(new Set([blob.length]));
      expect(registry.bodyBytes).toBe(round * blob.length);
    }
  } finally {
    await cleanups.run();
  }
}, 60_000);

test("an engine that leaves in the middle lets the download end, and the next one gets all of it", async () => {
  const cleanups = new Cleanups();
  try {
    const { registry, mirror } = await mirrorFixture(cleanups);
    const blob = randomBytes(6 * MIB);
    const digest = registry.add(blob);
    const url = `${mirror.url}/v2/team/app/blobs/${digest}`;
    const opened = Promise.withResolvers<void>();
    registry.gate = ({ headers }) =>
      headers.range === undefined || headers.range.startsWith("bytes=0-")
        ? undefined
        : opened.promise;

    const request = http.get(url, { agent: false });
    request.on("error", () => {});
    const [message] = (await once(request, "response")) as [http.IncomingMessage];
    await once(message, "data");
    message.on("error", () => {});
    request.destroy();
    await waitUntil("have no reader", async () =>
      mirror.peer.status().downloads.every(({ readers }) => readers === 0),
    );
    opened.resolve();
    const again = await askRaw(url);

    expect(again.body.equals(blob)).toBe(true);
    const metrics = await (await (await mirror.peer.health()).request("/metrics")).text();
    expect(metrics).toContain('dragonfly_mirror_requests_total{result="left"} 1');
    expect(mirror.warnings).toEqual([]);
  } finally {
    await cleanups.run();
  }
}, 30_000);

// A manifest's refusal was taken as fast as the registry sent it: gigabytes rested in the peer's memory.
test("a refusal that never ends waits at the registry for an engine that does not read it", async () => {
  const cleanups = new Cleanups();
  try {
    const { registry, mirror } = await mirrorFixture(cleanups);
    let sentBytes = 0;
    registry.instead = (_request, response) => {
      response.writeHead(401, { "www-authenticate": 'Basic realm="r"' });
      const chunk = Buffer.alloc(MIB);
      const send = (): void => {
        if (response.destroyed || sentBytes >= 512 * MIB) return;
        sentBytes += chunk.length;
        response.write(chunk, send);
      };
      send();
      return true;
    };

    const socket = await stalledReader(mirror.address, "/v2/team/app/manifests/latest");
    let before: number;
    do {
      before = sentBytes;
      await Bun.sleep(500);
    } while (sentBytes !== before);

    expect(sentBytes / MIB).toBeLessThan(64);
    socket.destroy();
  } finally {
    await cleanups.run();
  }
}, 60_000);

/** Reads a body as fast as it comes and keeps none of it. */
async function countBody(url: string): Promise<number> {
  const request = http.get(url, { agent: false });
  const [message] = (await once(request, "response")) as [http.IncomingMessage];
  let length = 0;
  for await (const part of message) length += (part as Buffer).length;
  return length;
}
