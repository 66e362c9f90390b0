// A peer without a supernode: its own reads, its store, its socket, and what it refuses.

import { afterEach, expect, test } from "bun:test";
import fc from "fast-check";
import { statSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { digestNow, toHex } from "../../src/engine/bytes/digest.ts";
import { LocalClient } from "../../src/net/local-client.ts";
import {
  bytesOf,
  Cleanups,
  eventOf,
  eventsOf,
  peerFixture,
  randomBytes,
  sourceFixture,
} from "./peer-fixture.ts";

const never = new AbortController().signal;
const cleanups = new Cleanups();
afterEach(() => cleanups.run());

test("a peer without supernodes reads the source once for two readers", async () => {
  const data = randomBytes(3_000_000);
  const source = sourceFixture(cleanups, data);
  const { client } = await peerFixture(cleanups);

  const [first, second] = await Promise.all([
    eventsOf(client.download({ url: source.url }, never)),
    eventsOf(client.download({ url: source.url }, never)),
  ]);

  const md5 = toHex(digestNow("md5", data));
  expect(eventOf(first, "done")).toMatchObject({ md5, length: data.length });
  expect(eventOf(second, "done").bytes.source).toBe(data.length);
  const { contentId } = eventOf(first, "content");
  expect((await bytesOf(client, contentId, data.length)).equals(data)).toBe(true);
});

test("two downloads of one task, one of them from the source alone, never write at the same time", async () => {
  const data = randomBytes(3_000_000);
  const source = sourceFixture(cleanups, data);
  const { client } = await peerFixture(cleanups);

  const [first, second] = await Promise.all([
    eventsOf(client.download({ url: source.url }, never)),
    eventsOf(client.download({ url: source.url, source: "origin" }, never)),
  ]);

  const read = [first, second].map((events) => eventOf(events, "done").bytes.source);
  expect(read.toSorted((a, b) => a - b)).toEqual([0, data.length]);
  const { contentId } = eventOf(second, "content");
  expect((await bytesOf(client, contentId, data.length)).equals(data)).toBe(true);
});

test("a peer without supernodes checks its cache at the source and reads a new version anew", async () => {
  const source = sourceFixture(cleanups, randomBytes(100_000));
  const { client } = await peerFixture(cleanups);
  await eventsOf(client.download({ url: source.url }, never));

  const cached = await eventsOf(client.download({ url: source.url }, never));
  source.data = randomBytes(100_001);
  source.etag = '"v2"';
  const renewed = await eventsOf(client.download({ url: source.url }, never));

  expect(eventOf(cached, "done").bytes).toMatchObject({ cache: 100_000, source: 0 });
  expect(eventOf(renewed, "done")).toMatchObject({
    length: 100_001,
    bytes: { cache: 0, source: 100_001 },
  });
});

test.each([
  ["a private URL", { url: "http://user:secret@files.test/a" }, "not-shareable"],
  ["no URL", { url: "files.test/a" }, "usage"],
  ["another scheme", { url: "ftp://files.test/a" }, "usage"],
  [
    "no source allowed and no supernode",
    { url: "http://files.test/a", noOrigin: true },
    "no-supernode",
  ],
])("a peer refuses %s with %s", async (_, request, code) => {
  const { client } = await peerFixture(cleanups);

  const failing = eventsOf(client.download(request, never));

  await expect(failing).rejects.toMatchObject({ code });
});

test("a source that is not there fails its download and leaves others alive", async () => {
  const source = sourceFixture(cleanups, randomBytes(1_000));
  const { client } = await peerFixture(cleanups);

  const failing = eventsOf(client.download({ url: "http://127.0.0.1:2/none" }, never));
  const events = await eventsOf(client.download({ url: source.url }, never));

  await expect(failing).rejects.toMatchObject({ code: "network" });
  expect(eventOf(events, "done").length).toBe(1_000);
}, 60_000);

test("the quota evicts the least recently used content, and its pieces are gone for children too", async () => {
  const first = sourceFixture(cleanups, randomBytes(200_000));
  const second = sourceFixture(cleanups, randomBytes(200_000));
  const { client, peer } = await peerFixture(cleanups, { quotaBytes: 300_000 });

  const old = eventOf(await eventsOf(client.download({ url: first.url }, never)), "content");
  const piece = `http://${peer.listen}/v1/pieces/${old.contentId}/0`;
  const have = `http://${peer.listen}/v1/have/${old.contentId}`;
  // Asking for the bitmap is no use of the content; an upload would make it the more recent one.
  expect((await fetch(have)).status).toBe(200);
  await eventsOf(client.download({ url: second.url }, never));

  // A content is kept for its readers a moment longer: the quota holds after it.
  while ((await client.status()).store.contents > 1) await Bun.sleep(5);
  expect((await client.status()).store.usedBytes).toBe(200_000);
  expect((await fetch(piece)).status).toBe(404);
});

test("the socket belongs to its user alone, is taken over from a dead peer and not from a living one", async () => {
  const { peer, folder, stop } = await peerFixture(cleanups);

  expect((await stat(peer.socketPath)).mode & 0o777).toBe(0o600);
  const second = peerFixture(cleanups, { socketPath: peer.socketPath });
  await expect(second).rejects.toMatchObject({ code: "usage" });
  await stop();
  await Bun.write(peer.socketPath, "left by a dead peer");
  const third = await peerFixture(cleanups, {
    socketPath: peer.socketPath,
    dataDir: `${folder}/data`,
  });

  expect((await new LocalClient(third.peer.socketPath).status()).pid).toBe(process.pid);
});

test("two peers never share a data directory", async () => {
  const { folder } = await peerFixture(cleanups);

  const second = peerFixture(cleanups, { dataDir: `${folder}/data` });

  await expect(second).rejects.toMatchObject({ code: "denied" });
});

test("a restarted peer is the same host", async () => {
  const before = await peerFixture(cleanups);
  const { peerId } = before.peer.status();
  await before.stop();

  const after = await peerFixture(cleanups, { dataDir: `${before.folder}/data` });

  expect(after.peer.status().peerId).toBe(peerId);
  const { mode } = await stat(`${before.folder}/data/identity.json`);
  expect(mode & 0o777).toBe(0o600);
  expect(await readdir(`${before.folder}/data`)).not.toContain("identity.json.new");
});

test.each([
  ["GET", "/v1/downloads", undefined, 400],
  ["POST", "/v1/downloads", "{", 400],
  ["POST", "/v1/downloads", JSON.stringify({ url: "http://a.test/", path: "/etc/passwd" }), 400],
  ["POST", "/v1/downloads", "x".repeat(300_000), 413],
  ["GET", "/v1/contents/..%2f..%2fetc", undefined, 404],
  ["GET", `/v1/contents/${"0".repeat(64)}`, undefined, 404],
  ["GET", "/", undefined, 404],
  ["DELETE", "/v1/status", undefined, 400],
])(
  "the local API answers %s %s with a 400-class status and lives",
  async (method, path, body, status) => {
    const { peer, client } = await peerFixture(cleanups);

    const answer = await fetch(`http://localhost${path}`, {
      unix: peer.socketPath,
      method,
      ...(body === undefined ? {} : { body }),
    });

    expect(answer.status).toBe(status);
    expect((await client.status()).downloads).toEqual([]);
  },
);

test("a range of a content is answered as one, and one outside it with 416", async () => {
  const data = randomBytes(100_000);
  const source = sourceFixture(cleanups, data);
  const { peer, client } = await peerFixture(cleanups);
  const events = await eventsOf(client.download({ url: source.url }, never));
  const { contentId } = eventOf(events, "content");
  const get = (range: string) =>
    fetch(`http://localhost/v1/contents/${contentId}`, {
      unix: peer.socketPath,
      headers: { range },
    });

  const inside = await get("bytes=70000-70009");
  const toEnd = await get("bytes=99990-");
  const outside = await get("bytes=100000-");

  expect(inside.status).toBe(206);
  expect(inside.headers.get("content-range")).toBe("bytes 70000-70009/100000");
  expect(Buffer.from(await inside.arrayBuffer()).equals(data.subarray(70_000, 70_010))).toBe(true);
  expect((await toEnd.arrayBuffer()).byteLength).toBe(10);
  expect(outside.status).toBe(416);
});

test("an unused peer says so once its linger has passed", async () => {
  const unused = Promise.withResolvers<void>();

  await peerFixture(cleanups, { lingerMs: 20, onUnused: unused.resolve });

  await unused.promise;
});

test("the socket belongs to the peer's user alone, or to a group where that is asked", async () => {
  const own = await peerFixture(cleanups);
  const shared = await peerFixture(cleanups, { socketGroupId: process.getgid!() });
  const modeOf = (path: string): number => statSync(path).mode & 0o777;

  expect(modeOf(own.peer.socketPath)).toBe(0o600);
  expect(modeOf(shared.peer.socketPath)).toBe(0o660);
  expect(statSync(shared.peer.socketPath).gid).toBe(process.getgid!());
});

test("T-32: whatever a local command asks for, it is answered below 500", async () => {
  const { peer, client } = await peerFixture(cleanups);
  const path = fc.oneof(
    fc.constantFrom("/v1/downloads", "/v1/freshness", "/v1/status", "/metrics", "/readyz"),
    fc.webPath().map((rest) => `/v1/contents${rest}`),
    fc.webPath(),
  );
  // No URL of these leads to a source.
  const url = fc.oneof(
    fc.string(),
    fc.constantFrom("http://", "http://me:s3cret@[", "ftp://a/b", "x:y"),
  );
  const fields = {
    headers: fc.oneof(fc.dictionary(fc.string(), fc.string()), fc.jsonValue()),
    tag: fc.jsonValue(),
    filterQuery: fc.oneof(fc.array(fc.string()), fc.jsonValue()),
    checksum: fc.oneof(fc.string(), fc.constant("")),
    credentials: fc.oneof(fc.record({ url, headers: fc.constant({}) }), fc.jsonValue()),
  };
  const asked = fc.record({ url, ...fields }, { requiredKeys: ["url"] });
  const body = fc.oneof(
    asked.map((request) => JSON.stringify(request)),
    fc.json(),
    fc.string(),
  );

  await fc.assert(
    fc.asyncProperty(
      path,
      fc.constantFrom("GET", "POST", "PUT"),
      body,
      async (target, method, text) => {
        const answer = await fetch(`http://localhost${target}`, {
          ...{ unix: peer.socketPath, method },
          headers: { range: text.replaceAll(/[^ -~]/g, "") },
          ...(method === "GET" ? {} : { body: text }),
        });
        const told = await answer.text();
        if (answer.status >= 500) throw new Error(`${answer.status} ${told}`);
        expect(told).not.toContain("s3cret");
      },
    ),
    { numRuns: 200 },
  );

  expect((await client.status()).downloads).toEqual([]);
}, 60_000);
