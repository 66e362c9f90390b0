// The local API's server: streams that a slow reader slows down, ends and failures of streams.

import { afterEach, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { DfError } from "../../src/errors.ts";
import { serveLocalApi, type LocalApi } from "../../src/net/local/local-server.ts";
import { LocalClient } from "../../src/net/local-client.ts";

const CONTENT = "12".repeat(32);
const never = new AbortController().signal;
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function serverFixture(api: Partial<LocalApi>) {
  const folder = await mkdtemp(`${tmpdir()}/df-local-`);
  const socket = `${folder}/api.sock`;
  const server = serveLocalApi(socket, {
    download: () => {
      throw new DfError("internal", "no download in this test");
    },
    content: () => undefined,
    status: () => {
      throw new DfError("internal", "no status in this test");
    },
    freshness: () => Promise.reject(new DfError("internal", "no freshness in this test")),
    ...api,
  });
  cleanups.push(() => rm(folder, { recursive: true }));
  cleanups.push(() => server.stop());
  return { socket, client: new LocalClient(socket) };
}

const nothing = async (): Promise<void> => {};

test("a stalled reader of a content stops its source after what the kernel buffers", async () => {
  let given = 0;
  const ended = Promise.withResolvers<void>();
  const { socket } = await serverFixture({
    content: () => ({
      identity: {},
      discard: nothing,
      length: 1 << 30,
      async *read() {
        try {
          while (given < 1024) {
            given++;
            yield new Uint8Array(1 << 20);
          }
        } finally {
          ended.resolve();
        }
      },
    }),
  });

  const stalled = await Bun.connect({
    unix: socket,
    socket: {
      open(socket) {
        socket.write(`GET /v1/contents/${CONTENT} HTTP/1.1\r\nHost: x\r\n\r\n`);
        socket.pause();
      },
      data() {},
    },
  });
  for (let before = -1; before !== given || given === 0;) {
    before = given;
    await Bun.sleep(50);
  }
  stalled.terminate();

  expect(given).toBeLessThan(64);
  await ended.promise;
});

test("a content that ends early breaks the stream instead of looking whole", async () => {
  const { client } = await serverFixture({
    content: () => ({
      identity: {},
      discard: nothing,
      length: 100,
      async *read() {
        yield new Uint8Array(10);
        throw new DfError("unavailable", "the rest will not come");
      },
    }),
  });

  const reading = Array.fromAsync(client.contents(CONTENT, { from: 0, to: 100 }, never));

  await expect(reading).rejects.toMatchObject({ code: "unavailable" });
});

test("a failure before the first event is an HTTP status, later it is the last event", async () => {
  const { socket, client } = await serverFixture({
    async *download({ url }) {
      if (url === "late") yield { event: "notice", message: "begun" };
      throw new DfError("no-space", "the disk is full", { hint: "free some" });
    },
  });
  const post = (url: string) =>
    fetch("http://localhost/v1/downloads", {
      unix: socket,
      method: "POST",
      body: JSON.stringify({ url }),
    });

  const early = await post("early");
  const late = Array.fromAsync(client.download({ url: "late" }, never));

  expect(early.status).toBe(507);
  expect(await early.json()).toMatchObject({ error: { code: "no-space", hint: "free some" } });
  await expect(late).rejects.toMatchObject({ code: "no-space" });
});

test("a reader that leaves ends its generator, also while that waits", async () => {
  const left = Promise.withResolvers<void>();
  const { client } = await serverFixture({
    async *download(_, signal) {
      yield { event: "notice", message: "begun" };
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      left.resolve();
    },
  });
  const leaving = new AbortController();

  const events = client.download({ url: "http://a.test/" }, leaving.signal);
  await events.next();
  leaving.abort();

  await left.promise;
});

test("a range of a content whose length is not known yet says only what is known", async () => {
  const { socket } = await serverFixture({
    content: () => ({
      identity: {},
      discard: nothing,
      length: null,
      async *read(from, to) {
        yield new Uint8Array((to ?? 20) - from);
      },
    }),
  });
  const get = (range: string) =>
    fetch(`http://localhost/v1/contents/${CONTENT}`, { unix: socket, headers: { range } });

  expect((await get("bytes=5-9")).headers.get("content-range")).toBe("bytes 5-9/*");
  expect((await get("bytes=5-")).headers.get("content-range")).toBe("bytes 5-/*");
});

// Bun closed such a stream after 12 s: server.timeout(request, 0) ends with the first bytes written.
test("a download outlives a silence longer than the server's default idle timeout", async () => {
  const { client } = await serverFixture({
    async *download() {
      yield { event: "notice", message: "begun" };
      await Bun.sleep(13_000);
      yield { event: "notice", message: "the source is back" };
    },
  });

  const events = client.download({ url: "http://a.test/" }, never);
  await events.next();

  expect((await events.next()).value).toMatchObject({ message: "the source is back" });
}, 60_000);
