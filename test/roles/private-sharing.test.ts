// Private contents in a whole fleet in this process: who was proven at the source shares what others
// brought, who was not gets the source's own answer and nothing else.

import { expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { freePortPair } from "../../bench/harness/free-port.ts";
import { Session } from "../../bench/harness/session.ts";
import type { LocalClient } from "../../src/net/local-client.ts";
import type { DfError } from "../../src/errors.ts";
import { openStore } from "../../src/store/open-store.ts";
import { splitRequest } from "../../src/net/task-request.ts";
import type { DownloadRequest, DownloadStreamEvent } from "../../src/net/wire/local-api.ts";
import {
  fleetFixture,
  type FleetFixture,
  type PeerOfFleet,
  type SupernodeOfFleet,
} from "../fixtures/fleet-fixture.ts";
import { guardedSource, type GuardedSource } from "../fixtures/guarded-source.ts";
import { randomBytes } from "./peer-fixture.ts";

interface Place {
  session: Session;
  fleet: FleetFixture;
  supernode: SupernodeOfFleet;
  source: GuardedSource;
  /** As `df get -H "Authorization: USER"` asks. */
  as: (user: string, more?: Partial<DownloadRequest>) => DownloadRequest;
}

function withPrivateSource(
  work: (place: Place) => Promise<void>,
  bytes: Uint8Array = randomBytes(700_000),
): Promise<void> {
  return Session.run("private", async (session) => {
    const fleet = await fleetFixture(session);
    const source = await guardedSource(bytes);
    session.defer(() => source.stop());
    const supernode = await fleet.supernode("default");
    const as = (user: string, more = {}): DownloadRequest => ({
      ...splitRequest({ url: source.url, headers: { Authorization: user } }),
      ...{ noOrigin: true, ...more },
    });
    await work({ session, fleet, supernode, source, as });
  });
}

interface Got {
  bytes: Buffer;
  contentId: string;
  done: Extract<DownloadStreamEvent, { event: "done" }>;
}

/** Downloads and reads everything as `df get` does. */
async function get(
  { client }: Pick<PeerOfFleet, "client">,
  request: DownloadRequest,
  signal = AbortSignal.timeout(60_000),
): Promise<Got> {
  let content: Extract<DownloadStreamEvent, { event: "content" }> | undefined;
  for await (const event of client.download(request, signal)) {
    if (event.event === "content") content = event;
    if (event.event !== "done") continue;
    const { contentId, access } = content!;
    const bytes = await bytesOf(client, contentId, event.length, access);
    return { bytes, contentId, done: event };
  }
  throw new Error("no end");
}

async function bytesOf(
  client: LocalClient,
  contentId: string,
  to: number,
  access?: string,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  const range = { from: 0, to, ...(access === undefined ? {} : { access }) };
  for await (const chunk of client.contents(contentId, range, AbortSignal.timeout(60_000)))
    chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The disk of a stopped supernode loses its pieces; the rows stay, as when they came first. */
async function losePieces(dataDir: string): Promise<void> {
  const store = await openStore({ dir: dataDir, quotaBytes: null, onWarning: () => {} });
  const [content] = store.list();
  const { facts, manifest } = content!;
  const { layout } = manifest;
  const rows = manifest.learned.map((piece) => ({ piece, row: manifest.row(piece)! }));
  await store.delete(facts.contentId);
  const empty = await store.create({ ...facts, layout });
  for (const { piece, row } of rows) empty.addRow(piece, row);
  await store.close();
}

/** Every file below a folder that holds a text or some bytes. */
function filesWith(folder: string, text: string | Uint8Array): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile() && readFileSync(path).includes(text));
}

test(
  "T-05: two users with the right share one read of the source, a third gets its 403 and no byte, on any host",
  () =>
    withPrivateSource(async ({ fleet, source, as }) => {
      source.allowed.add("Bearer a").add("Bearer b");
      const peers = await Promise.all(Array.from({ length: 6 }, () => fleet.peer()));
      const [first, ...others] = peers as [PeerOfFleet, ...PeerOfFleet[]];

      const a = await get(first, as("Bearer a"));
      const b = await get(others[0]!, as("Bearer b"));
      for (const peer of others.slice(1)) await get(peer, as("Bearer a"));

      expect(a.bytes.equals(source.bytes)).toBe(true);
      expect(b.bytes.equals(source.bytes)).toBe(true);
      expect(b.contentId).toBe(a.contentId);
      expect(source.reads).toBe(1);
      expect(source.bodyBytes).toBe(source.bytes.length);
      for (const peer of peers) {
        const denied = get(peer, as("Bearer c"));
        await expect(denied).rejects.toMatchObject({ code: "source-forbidden" });
        // Who knows the content's name has nothing yet.
        const stolen = bytesOf(peer.client, a.contentId, 10);
        await expect(stolen).rejects.toThrow();
        const guessed = bytesOf(peer.client, a.contentId, 10, "00".repeat(16));
        await expect(guessed).rejects.toThrow();
      }
      expect(source.bodyBytes).toBe(source.bytes.length);
    }),
  60_000,
);

test(
  "T-05: a right that ended at the source opens nothing that is on the user's own host",
  () =>
    withPrivateSource(async ({ fleet, source }) => {
      const signed = (signature: string): DownloadRequest => ({
        ...splitRequest({ url: `${source.url}?v=1&X-Amz-Signature=${signature}` }),
        noOrigin: true,
      });
      const valid = new Set(["one", "two"]);
      source.admits = ({ url }) =>
        valid.has(new URL(url ?? "", source.url).searchParams.get("X-Amz-Signature") ?? "");
      const peer = await fleet.peer();

      const first = await get(peer, signed("one"));
      valid.delete("one");
      const second = await get(peer, signed("two"));
      const expired = get(peer, signed("three"));

      // T-06: another signature of the same object is the same task; an expired one is nothing.
      expect(second.contentId).toBe(first.contentId);
      expect(source.reads).toBe(1);
      await expect(expired).rejects.toMatchObject({ code: "source-unauthorized" });
    }),
  60_000,
);

test(
  "T-07: who is denied makes the same requests and hears the same, whether the content is here or not",
  () =>
    withPrivateSource(async ({ fleet, source, as }) => {
      source.allowed.add("Bearer a");
      const peer = await fleet.peer();

      const told = (error: DfError): string => JSON.stringify(error.toWire());
      const before = await get(peer, as("Bearer c")).catch(told);
      const proofsBefore = source.proofs.splice(0);
      await get(peer, as("Bearer a"));
      source.proofs.splice(0);
      const after = await get(peer, as("Bearer c")).catch(told);

      expect(source.proofs).toEqual(proofsBefore);
      expect(proofsBefore).toEqual(["Bearer c"]);
      expect(after).toBe(before);
    }),
  60_000,
);

test(
  "two local users share a transfer only after both were proven; the third is refused while it runs",
  () =>
    withPrivateSource(async ({ fleet, source, as }) => {
      source.allowed.add("Bearer a").add("Bearer b");
      source.chunkDelayMs = 60;
      const peer = await fleet.peer();

      const a = get(peer, as("Bearer a"));
      while (source.bodyBytes === 0) await Bun.sleep(10);
      const b = get(peer, as("Bearer b"));
      const c = get(peer, as("Bearer c"));

      await expect(c).rejects.toMatchObject({ code: "source-forbidden" });
      const [gotA, gotB] = await Promise.all([a, b]);
      expect(gotA.bytes.equals(source.bytes)).toBe(true);
      expect(gotB.bytes.equals(source.bytes)).toBe(true);
      expect(source.reads).toBe(1);
      expect(source.proofs.toSorted()).toEqual(["Bearer a", "Bearer b", "Bearer c"]);
    }),
  60_000,
);

test(
  "a read whose credential dies goes on with another requester's, and nothing is read twice",
  () =>
    withPrivateSource(
      async ({ fleet, supernode, source, as }) => {
        source.allowed.add("Bearer a").add("Bearer b");
        source.chunkDelayMs = 300;
        const [one, two] = [await fleet.peer(), await fleet.peer()];

        const a = get(one, as("Bearer a"));
        while (source.bodyBytes === 0) await Bun.sleep(10);
        const b = get(two, as("Bearer b"));
        while (supernode.running.status().contents[0]?.children !== 2) await Bun.sleep(10);
        source.diesAfter.set("Bearer a", 0);
        source.chunkDelayMs = 0;
        const [gotA, gotB] = await Promise.all([a, b]);

        expect(gotA.bytes.equals(source.bytes)).toBe(true);
        expect(gotB.bytes.equals(source.bytes)).toBe(true);
        expect(source.readers).toContain("Bearer b");
        // What was under way when the credential died may come twice.
        expect(source.bodyBytes).toBeLessThanOrEqual(source.bytes.length + (4 << 20));
      },
      randomBytes(12 << 20),
    ),
  60_000,
);

test(
  "without another requester a dead credential ends the download with the source's own answer",
  () =>
    withPrivateSource(
      async ({ fleet, source, as }) => {
        source.allowed.add("Bearer a");
        source.diesAfter.set("Bearer a", 2 << 20);
        const peer = await fleet.peer();

        const got = get(peer, as("Bearer a"));

        await expect(got).rejects.toMatchObject({ code: "source-forbidden" });
      },
      randomBytes(12 << 20),
    ),
  60_000,
);

test(
  "a version that the source names to one user alone is given to him alone",
  () =>
    withPrivateSource(async ({ fleet, source, as }) => {
      source.allowed.add("Bearer a").add("Bearer b");
      // A date and a length do not tell two users' bytes apart.
      source.etag = null;
      source.lastModified = new Date(Date.now() - 86_400_000).toUTCString();
      const [one, two] = [await fleet.peer(), await fleet.peer()];

      const a = await get(one, as("Bearer a"));
      source.bytes = randomBytes(source.bytes.length);
      const b = await get(two, as("Bearer b"));

      expect(b.contentId).not.toBe(a.contentId);
      expect(b.bytes.equals(source.bytes)).toBe(true);
      expect(source.reads).toBe(2);
    }),
  60_000,
);

test(
  "headers that may choose the bytes keep two requests apart, though the source names one version",
  () =>
    withPrivateSource(async ({ fleet, source }) => {
      source.admits = () => true;
      const wanting = (mode: string): DownloadRequest => ({
        ...splitRequest({ url: source.url, headers: { "X-Mode": mode } }),
        noOrigin: true,
      });
      const peer = await fleet.peer();

      const one = await get(peer, wanting("canary-one"));
      const same = await get(peer, wanting("canary-one"));
      const other = await get(peer, wanting("canary-two"));

      expect(same.contentId).toBe(one.contentId);
      expect(other.contentId).not.toBe(one.contentId);
      expect(source.reads).toBe(2);
    }),
  60_000,
);

test(
  "private contents of two schemes or authorities are never one",
  () =>
    withPrivateSource(async ({ fleet, source }) => {
      source.allowed.add("Bearer a");
      const at = (host: string): DownloadRequest => ({
        ...splitRequest({
          url: source.url.replace("127.0.0.1", host),
          headers: { Authorization: "Bearer a" },
        }),
        noOrigin: true,
      });
      const peer = await fleet.peer();

      const one = await get(peer, at("127.0.0.1"));
      const other = await get(peer, at("localhost"));

      expect(other.contentId).not.toBe(one.contentId);
      expect(source.reads).toBe(2);
    }),
  60_000,
);

test(
  "a new version is read with the credentials of who asks for it, and the old one is not given any more",
  () =>
    withPrivateSource(async ({ fleet, source, as }) => {
      source.allowed.add("Bearer a").add("Bearer b");
      const peer = await fleet.peer();
      await get(peer, as("Bearer a"));
      source.bytes = randomBytes(400_000);
      source.etag = '"v2"';

      const second = await get(peer, as("Bearer b"));

      expect(second.bytes.equals(source.bytes)).toBe(true);
      expect(source.readers.at(-1)).toBe("Bearer b");
    }),
  60_000,
);

test(
  "T-05: what an earlier process left in part is no version for one to whom the source names another",
  () =>
    withPrivateSource(async ({ fleet, supernode, source, as }) => {
      source.allowed.add("Bearer a").add("Bearer b");
      const one = await fleet.peer();
      const former = await get(one, as("Bearer a"));
      await supernode.stop();
      await losePieces(supernode.dataDir);
      source.allowed.delete("Bearer a");
      source.bytes = randomBytes(source.bytes.length);
      source.etag = '"v2"';
      await fleet.supernode("default", { dataDir: supernode.dataDir });
      const two = await fleet.peer();

      const told: string[] = [];
      for await (const event of two.client.download(as("Bearer b"), AbortSignal.timeout(60_000)))
        if (event.event === "content") told.push(event.contentId);

      expect(told.length).toBeGreaterThan(0);
      expect(told).not.toContain(former.contentId);
    }, randomBytes(3_000_000)),
  60_000,
);

test(
  "two users of one host who come to one new version by two downloads both have it",
  () =>
    withPrivateSource(
      async ({ fleet, source, as }) => {
        source.allowed.add("Bearer a").add("Bearer b");
        source.chunkDelayMs = 40;
        const peer = await fleet.peer();

        const a = get(peer, as("Bearer a"));
        while (source.bodyBytes < 1 << 20) await Bun.sleep(10);
        source.bytes = randomBytes(source.bytes.length);
        source.etag = '"v2"';
        const b = get(peer, as("Bearer b"));
        const [gotA, gotB] = await Promise.all([a, b]);

        expect(gotA.bytes.equals(source.bytes)).toBe(true);
        expect(gotB.bytes.equals(source.bytes)).toBe(true);
      },
      randomBytes(24 << 20),
    ),
  60_000,
);

test(
  "a user whose question went down with its supernode is proven at the next one",
  () =>
    Session.run("private", async (session) => {
      const fleet = await fleetFixture(session);
      const source = await guardedSource(randomBytes(12 << 20));
      session.defer(() => source.stop());
      source.allowed.add("Bearer a").add("Bearer b");
      source.chunkDelayMs = 40;
      const listen = { hostname: "127.0.0.1", port: await freePortPair() };
      const supernode = await fleet.supernode("default", { listen });
      const peer = await fleet.peer();
      const as = (user: string): DownloadRequest => ({
        ...splitRequest({ url: source.url, headers: { Authorization: user } }),
        noOrigin: true,
      });

      const a = get(peer, as("Bearer a"));
      while (source.bodyBytes < 1 << 20) await Bun.sleep(10);
      const gate = Promise.withResolvers<void>();
      source.proofGate = gate.promise;
      const b = get(peer, as("Bearer b"));
      while (!source.proofs.includes("Bearer b")) await Bun.sleep(10);
      await supernode.stop();
      source.proofGate = null;
      gate.resolve();
      await fleet.supernode("default", { listen, dataDir: supernode.dataDir });

      const [gotA, gotB] = await Promise.all([a, b]);
      expect(gotA.bytes.equals(source.bytes)).toBe(true);
      expect(gotB.bytes.equals(source.bytes)).toBe(true);
    }),
  60_000,
);

test(
  "what the source forbids to keep is shared in flight alone",
  () =>
    withPrivateSource(async ({ fleet, source, as }) => {
      source.allowed.add("Bearer a").add("Bearer b");
      source.cacheControl = "private";
      const [one, two] = [await fleet.peer(), await fleet.peer()];

      await get(one, as("Bearer a"));
      await Bun.sleep(100);
      const later = await get(two, as("Bearer b"));

      expect(later.bytes.equals(source.bytes)).toBe(true);
      expect(source.reads).toBe(2);
    }),
  60_000,
);

test(
  "a restarted peer holds private contents locked: its users are proven anew, and are then served from it",
  () =>
    withPrivateSource(async ({ fleet, source, as }) => {
      source.allowed.add("Bearer a");
      const before = await fleet.peer();
      const { contentId } = await get(before, as("Bearer a"));
      await before.stop();
      const after = await fleet.peer({ dataDir: before.dataDir });

      const stolen = bytesOf(after.client, contentId, 10);
      await expect(stolen).rejects.toThrow();
      const denied = get(after, as("Bearer b"));
      await expect(denied).rejects.toMatchObject({ code: "source-forbidden" });
      const again = await get(after, as("Bearer a"));

      expect(again.bytes.equals(source.bytes)).toBe(true);
      expect(again.done.bytes.cache).toBe(source.bytes.length);
      expect(source.reads).toBe(1);
    }),
  60_000,
);

test(
  "private pieces rest sealed on every host, and no file, log or status holds a credential",
  () =>
    withPrivateSource(async ({ session, fleet, supernode, source }) => {
      source.admits = ({ headers }) => headers.authorization !== undefined;
      const url = source.url.replace("//", "//user:canary-password@");
      const request = {
        ...splitRequest({
          url: `${url}?token=canary-token`,
          headers: { "X-Api-Key": "canary-key", Cookie: "session=canary-cookie" },
        }),
        noOrigin: true,
      };
      const peer = await fleet.peer();

      const { bytes } = await get(peer, request);
      await supernode.stop();
      await peer.stop();

      expect(bytes.equals(source.bytes)).toBe(true);
      expect(filesWith(session.folder, "canary")).toEqual([]);
      // No compressor shrinks these: unsealed they would lie there as they are.
      expect(filesWith(session.folder, source.bytes.slice(1_000, 1_032))).toEqual([]);
      const said = [...supernode.warnings, ...peer.warnings].join("\n");
      const shown = JSON.stringify([supernode.running.status(), peer.running.status()]);
      expect(said + shown).not.toContain("canary");
    }),
  60_000,
);

test(
  "with encryption off private contents are still given to proven users alone",
  () =>
    Session.run("private", async (session) => {
      const fleet = await fleetFixture(session);
      const source = await guardedSource(randomBytes(300_000));
      session.defer(() => source.stop());
      const supernode = await fleet.supernode("default", { encryption: "off" });
      source.allowed.add("Bearer a");
      const peer = await fleet.peer();
      const as = (user: string): DownloadRequest => ({
        ...splitRequest({ url: source.url, headers: { Authorization: user } }),
        noOrigin: true,
      });

      const got = await get(peer, as("Bearer a"));
      const denied = get(peer, as("Bearer b"));

      expect(got.bytes.equals(source.bytes)).toBe(true);
      await expect(denied).rejects.toMatchObject({ code: "source-forbidden" });
      expect(supernode.warnings.join()).toContain("private contents are not sealed");
    }),
  60_000,
);

test(
  "a public content that is to be sealed rests sealed, and is another task than the plain one",
  () =>
    withPrivateSource(async ({ session, fleet, source }) => {
      source.admits = () => true;
      const peer = await fleet.peer();
      const request = { url: source.url, noOrigin: true };

      const sealed = await get(peer, { ...request, isSealed: true });
      const some = source.bytes.slice(1_000, 1_032);
      const found = filesWith(session.folder, some);
      const plain = await get(peer, request);

      expect(sealed.bytes.equals(source.bytes)).toBe(true);
      expect(found).toEqual([]);
      expect(filesWith(session.folder, some)).not.toEqual([]);
      expect(plain.contentId).not.toBe(sealed.contentId);
    }),
  60_000,
);
