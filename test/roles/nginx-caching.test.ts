// Caching with nginx as the source: its own headers, its own 304s, its own access log as the count
// of what reached it. Supernode and peers are real, in this process.

import { expect, test } from "bun:test";
import { rename, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePortPair } from "../../bench/harness/free-port.ts";
import { Session } from "../../bench/harness/session.ts";
import { startNginx, type Nginx, type SourceCounts } from "../../bench/swarm-real/nginx.ts";
import { VALIDATED_FRESH_MS } from "../../src/limits.ts";
import type { LocalClient } from "../../src/net/local-client.ts";
import { supernodeFixture, type SupernodeFixture } from "../fixtures/supernode-fixture.ts";
import { bytesOf, Cleanups, eventOf, eventsOf, peerFixture, randomBytes } from "./peer-fixture.ts";

const hasNginx = Bun.which("nginx") !== null;
if (!hasNginx) console.warn("SKIPPED: caching with nginx as the source needs nginx");

const PEERS = 4;
const LENGTH = 400_000;
const never = new AbortController().signal;

const DIRECTIVES = `
  location /max-age/ { alias ROOT/; add_header Cache-Control "public, max-age=60"; }
  location /expires/ { alias ROOT/; expires 1m; }
  location /no-cache/ { alias ROOT/; add_header Cache-Control "no-cache"; }
  location /no-store/ { alias ROOT/; add_header Cache-Control "no-store"; }
  location /second/ { alias ROOT/; add_header Cache-Control "max-age=1"; }
  location /weak/ { alias ROOT/; etag off; add_header ETag 'W/"one"'; add_header Last-Modified ""; }
  location /strict/ {
    alias ROOT/; add_header Cache-Control "max-age=0, must-revalidate";
    if (-f ROOT/down) { return 503; }
  }
  location /lenient/ { alias ROOT/; if (-f ROOT/down) { return 503; } }
`;

interface Run {
  nginx: Nginx;
  supernode: SupernodeFixture;
  clients: LocalClient[];
  /** Gives the source's file other bytes at once, as deployments do. */
  publish: (bytes: Uint8Array, modifiedAgoSeconds?: number) => Promise<void>;
  root: string;
}

function withNginx(work: (run: Run) => Promise<void>): Promise<void> {
  return Session.run("caching", async (session) => {
    const cleanups = new Cleanups();
    session.defer(() => cleanups.run());
    const root = session.folder;
    const options = { host: null, root, name: "source", port: await freePortPair() };
    const directives = DIRECTIVES.replaceAll("ROOT", root);
    const nginx = await startNginx(session, { ...options, directives });
    const publish = async (bytes: Uint8Array, modifiedAgoSeconds = 0): Promise<void> => {
      const file = join(root, "new");
      await writeFile(file, bytes);
      const at = Date.now() / 1_000 - modifiedAgoSeconds;
      await utimes(file, at, at);
      await rename(file, join(root, "file"));
    };
    const port = await freePortPair();
    const supernode = await supernodeFixture({ listen: { hostname: "127.0.0.1", port } });
    cleanups.defer(() => supernode.stop());
    const supernodes = [supernode.current.address];
    const peers = await Promise.all(
      Array.from({ length: PEERS }, () => peerFixture(cleanups, { supernodes })),
    );
    await work({ nginx, supernode, clients: peers.map(({ client }) => client), publish, root });
  });
}

async function get(client: LocalClient, url: string): Promise<{ bytes: Buffer; notices: string }> {
  const events = await eventsOf(client.download({ url }, never));
  const contents = events.filter((event) => event.event === "content");
  const { contentId } = contents.at(-1)!;
  const bytes = await bytesOf(client, contentId, eventOf(events, "done").length);
  const notices = events.flatMap((event) => (event.event === "notice" ? event.message : []));
  return { bytes, notices: notices.join("; ") };
}

const getAll = ({ clients }: Run, url: string) =>
  Promise.all(clients.map((client) => get(client, url)));

/** What reached the source during some work. */
async function countsOf({ nginx }: Run, work: () => Promise<unknown>): Promise<SourceCounts> {
  const before = await nginx.counts();
  await work();
  const after = await nginx.counts();
  return {
    bodyBytes: after.bodyBytes - before.bodyBytes,
    requests: after.requests - before.requests,
    probes: after.probes - before.probes,
  };
}

test.if(hasNginx)("hosts that ask again after a restart cost what the headers say", () =>
  withNginx(async (run) => {
    const { supernode, publish, nginx } = run;
    const bytes = randomBytes(LENGTH);
    await publish(bytes, 86_400);

    const found: Record<string, SourceCounts> = {};
    for (const place of ["max-age", "expires", "no-cache", "weak"]) {
      const url = nginx.url(`${place}/file`);
      const first = await countsOf(run, () => getAll(run, url));
      expect(first).toMatchObject({ bodyBytes: LENGTH, probes: 0 });
      await supernode.restart();
      found[place] = await countsOf(run, async () => {
        for (const { bytes: again } of await getAll(run, url))
          expect(again.equals(bytes)).toBe(true);
      });
    }
    // A file as it is, changed a day ago, is taken for fresh; one that has just changed is not.
    const url = nginx.url("file");
    await getAll(run, url);
    await supernode.restart();
    found["old file"] = await countsOf(run, () => getAll(run, url));
    await publish(randomBytes(LENGTH), 1);
    await supernode.restart();
    await getAll(run, `${url}?new`);
    await supernode.restart();
    found["new file"] = await countsOf(run, () => getAll(run, `${url}?new`));

    const nothing = { bodyBytes: 0, requests: 0, probes: 0 };
    const oneProbe = { bodyBytes: 0, requests: 1, probes: 1 };
    expect(found).toEqual({
      ...{ "max-age": nothing, expires: nothing, "old file": nothing },
      ...{ "no-cache": oneProbe, weak: oneProbe, "new file": oneProbe },
    });
  }),
);

test.if(hasNginx)("a missing file costs one request, however many hosts ask how often", () =>
  withNginx(async (run) => {
    const url = run.nginx.url("missing");

    const counts = await countsOf(run, async () => {
      for (let round = 0; round < 25; round++) {
        const ends = run.clients.map((client) => eventsOf(client.download({ url }, never)));
        for (const end of await Promise.allSettled(ends)) {
          expect(end).toMatchObject({ status: "rejected", reason: { code: "source-not-found" } });
        }
      }
    });

    expect(counts).toEqual({ bodyBytes: 0, requests: 1, probes: 1 });
  }),
);

test.if(hasNginx)(
  "what must not be stored is read once for those who ask together, and leaves the supernode",
  () =>
    withNginx(async (run) => {
      const bytes = randomBytes(LENGTH);
      await run.publish(bytes, 86_400);
      const url = run.nginx.url("no-store/file");

      const together = await countsOf(run, () => getAll(run, url));
      while (run.supernode.current.status().store.contents > 0) await Bun.sleep(10);

      expect(together.bodyBytes).toBe(LENGTH);
    }),
);

test.if(hasNginx)(
  "a failing source: its last version with a notice, or none where it forbids that",
  () =>
    withNginx(async (run) => {
      const { publish, nginx, root, supernode, clients } = run;
      const bytes = randomBytes(LENGTH);
      await publish(bytes);
      const strict = nginx.url("strict/file");
      const lenient = nginx.url("lenient/file");
      await getAll(run, strict);
      await getAll(run, lenient);
      await writeFile(join(root, "down"), "");
      await Bun.sleep(VALIDATED_FRESH_MS + 100);

      const failing = await countsOf(run, async () => {
        for (const { bytes: again, notices } of await getAll(run, lenient)) {
          expect(again.equals(bytes)).toBe(true);
          expect(notices).toContain("answered 503");
        }
      });
      const refused = eventsOf(clients[0]!.download({ url: strict }, never));
      await expect(refused).rejects.toMatchObject({ code: "source-busy" });
      await rm(join(root, "down"));
      await supernode.restart();
      const recovered = await countsOf(run, async () => {
        for (const { notices } of await getAll(run, lenient)) expect(notices).toBe("");
      });

      // One probe, tried twice; then one that is answered.
      expect(failing).toEqual({ bodyBytes: 0, requests: 2, probes: 2 });
      expect(recovered).toEqual({ bodyBytes: 0, requests: 1, probes: 1 });
    }),
);

test.if(hasNginx)(
  "while the source changes again and again every output is one version, and each version is read once",
  () =>
    withNginx(async (run) => {
      const url = run.nginx.url("second/file");
      const versions: Buffer[] = [];
      const next = async (): Promise<void> => {
        versions.push(randomBytes(LENGTH + versions.length));
        await run.publish(versions.at(-1)!);
      };
      await next();

      const counts = await countsOf(run, async () => {
        for (let round = 0; round < 6; round++) {
          const outputs = getAll(run, url);
          if (round % 2 === 1) await next();
          for (const { bytes } of await outputs) {
            expect(versions.some((version) => version.equals(bytes))).toBe(true);
          }
          await Bun.sleep(VALIDATED_FRESH_MS / 2);
        }
      });

      const lengths = versions.reduce((sum, { length }) => sum + length, 0);
      expect(counts.bodyBytes).toBeLessThanOrEqual(lengths);
    }),
);
