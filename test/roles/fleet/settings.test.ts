// Settings on their whole way: set at df config, applied by running supernodes and peers, taken back.

import { expect, test } from "bun:test";
import { CountingSource, randomPayload } from "../../../bench/harness/counting-source.ts";
import { downloadThrough } from "../../../bench/harness/local-api-client.ts";
import { Session, waitUntil } from "../../../bench/harness/session.ts";
import { fleetFixture, type FleetFixture } from "../../fixtures/fleet-fixture.ts";

const MB = 1_000_000;
/** At it 16 MB take four minutes: a test that ends in time has seen another one. */
const CRAWL = 65_536;

const NOTHING_GIVEN = {
  downloadRateBytesPerSec: undefined,
  uploadRateBytesPerSec: undefined,
  diskRateBytesPerSec: undefined,
  quotaBytes: undefined,
  uploadSlots: undefined,
};
const NOTHING_GIVEN_TO_SUPERNODE = {
  ...{ sourceRate: undefined, uploadRate: undefined, diskRate: undefined, quotaBytes: undefined },
};

async function set(fleet: FleetFixture, layer: string, settings: unknown): Promise<number> {
  const { status, json } = await fleet.call(`PATCH settings/${layer}`, { body: { set: settings } });
  expect(status).toBe(200);
  return json.version as number;
}

/** Waits until every supernode says to df config that it has applied a version. */
async function applied(fleet: FleetFixture, version: number): Promise<void> {
  await waitUntil("apply the settings", async () => {
    const { json } = await fleet.call("GET supernodes");
    const supernodes = json.supernodes as { report: { settingsVersion: number } | null }[];
    return supernodes.every(({ report }) => report?.settingsVersion === version);
  });
}

test(
  "a supernode's source rate and a peer's quota change while they run, and a roll-back takes both back",
  () =>
    Session.run("fleet-settings", async (session) => {
      const bytes = randomPayload(16 * MB);
      await using source = await CountingSource.start({ bytes });
      const fleet = await fleetFixture(session);
      const supernode = await fleet.supernode("default", NOTHING_GIVEN_TO_SUPERNODE);
      const peer = await fleet.peer(NOTHING_GIVEN);
      await waitUntil("connect", () =>
        peer.running.status().supernodes.some(({ connected }) => connected),
      );

      await set(fleet, "labels/role%3Dsupernode", { sourceRate: CRAWL });
      await applied(fleet, await set(fleet, "fleet", { quota: 500 * MB }));
      await waitUntil("tell the peer", () => peer.running.status().store.quotaBytes === 500 * MB);
      const download = downloadThrough(peer.running.socketPath, {
        url: source.url,
        noOrigin: true,
      });
      await waitUntil("begin", () => source.bodyBytes > 0);
      const crawled = source.bodyBytes;
      const { json } = await fleet.call("POST settings/rollback", { body: { version: 0 } });
      const { length } = await download;

      expect(supernode.running.status().store.quotaBytes).toBeNull();
      expect(crawled).toBeLessThan(2 * MB);
      expect(length).toBe(16 * MB);
      await applied(fleet, json.version);
      await waitUntil("tell the peer", () => peer.running.status().store.quotaBytes === null);
    }),
  60_000,
);

test(
  "a label's layer counts for hosts that have the label, and their own flags win",
  () =>
    Session.run("fleet-settings", async (session) => {
      const fleet = await fleetFixture(session);
      await fleet.supernode("default");
      const inRack = await fleet.peer({ ...NOTHING_GIVEN, labels: { rack: "r1" } });
      const elsewhere = await fleet.peer({ ...NOTHING_GIVEN, labels: { rack: "r2" } });
      const stubborn = await fleet.peer({
        ...{ ...NOTHING_GIVEN, labels: { rack: "r1" }, quotaBytes: 300 * MB },
      });

      await set(fleet, "labels/rack%3Dr1", { quota: 200 * MB });
      await set(fleet, "clusters/default", { quota: 400 * MB });
      const quotas = () =>
        [inRack, elsewhere, stubborn].map(({ running }) => running.status().store.quotaBytes);

      await waitUntil("apply", () => quotas()[0] === 200 * MB && quotas()[1] === 400 * MB);
      expect(quotas()).toEqual([200 * MB, 400 * MB, 300 * MB]);
    }),
  60_000,
);

test(
  "a denied source is refused by peer and supernode, until it is denied no more",
  () =>
    Session.run("fleet-settings", async (session) => {
      await using source = await CountingSource.start({ bytes: randomPayload(MB) });
      const fleet = await fleetFixture(session);
      await fleet.supernode("default", NOTHING_GIVEN_TO_SUPERNODE);
      const peer = await fleet.peer(NOTHING_GIVEN);
      const bring = () =>
        downloadThrough(peer.running.socketPath, { url: source.url, noOrigin: true });

      await applied(fleet, await set(fleet, "fleet", { deny: ["127.0.0.1"] }));
      const denied = await bring().catch((error: unknown) => error);
      await fleet.call("PATCH settings/fleet", { body: { unset: ["deny"] } });

      expect(denied).toMatchObject({ code: "denied" });
      expect(source.requests).toBe(0);
      let brought = await bring().catch(() => null);
      while (brought === null) brought = await bring().catch(() => null);
      expect(brought.length).toBe(MB);
    }),
  60_000,
);

test(
  "piece length and digest of new contents follow the settings",
  () =>
    Session.run("fleet-settings", async (session) => {
      await using source = await CountingSource.start({ bytes: randomPayload(MB) });
      const fleet = await fleetFixture(session);
      const supernode = await fleet.supernode("default", NOTHING_GIVEN_TO_SUPERNODE);
      const peer = await fleet.peer(NOTHING_GIVEN);
      const version = await set(fleet, "fleet", { pieceLength: 262_144, digest: "sha256" });
      await applied(fleet, version);

      const request = { url: source.url, noOrigin: true };
      let sha256: string | null = null;
      for await (const event of peer.client.download(request, new AbortController().signal))
        if (event.event === "done") ({ sha256 } = event);

      expect(supernode.running.status().contents).toMatchObject([
        { pieces: Math.ceil(MB / 262_144) },
      ]);
      expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    }),
  60_000,
);

test(
  "a host that starts while its supernodes and df config are away keeps to what it heard",
  () =>
    Session.run("fleet-settings", async (session) => {
      const fleet = await fleetFixture(session);
      const address = await fleet.address();
      const supernode = await fleet.supernode("default");
      const first = await fleet.peer({ ...NOTHING_GIVEN, fleet: address });
      await set(fleet, "fleet", { quota: 200 * MB });
      await waitUntil("apply", () => first.running.status().store.quotaBytes === 200 * MB);
      await first.stop();
      await supernode.stop();
      await fleet.config.stop();

      const again = await fleet.peer({
        ...{ ...NOTHING_GIVEN, fleet: address, dataDir: first.dataDir },
      });

      expect(again.running.status().store.quotaBytes).toBe(200 * MB);
    }),
  60_000,
);

test(
  "URLs that differ only in a parameter that the fleet looks through are one content",
  () =>
    Session.run("fleet-settings", async (session) => {
      await using source = await CountingSource.start({ bytes: randomPayload(MB) });
      const fleet = await fleetFixture(session);
      await fleet.supernode("default", NOTHING_GIVEN_TO_SUPERNODE);
      const [one, other] = [await fleet.peer(NOTHING_GIVEN), await fleet.peer(NOTHING_GIVEN)];
      await set(fleet, "fleet", { filterQuery: { "127.0.0.1": ["sid"] }, quota: 200 * MB });
      const quotas = () => [one, other].map(({ running }) => running.status().store.quotaBytes);
      await waitUntil("apply", () => quotas().every((quota) => quota === 200 * MB));

      await downloadThrough(one.running.socketPath, { url: `${source.url}?sid=1`, noOrigin: true });
      await downloadThrough(other.running.socketPath, {
        url: `${source.url}?sid=2`,
        noOrigin: true,
      });

      expect(source.bodyBytes).toBe(MB);
    }),
  60_000,
);

test(
  "where the fleet forbids the way back to the source, a lost supernode is an error",
  () =>
    Session.run("fleet-settings", async (session) => {
      await using source = await CountingSource.start({ bytes: randomPayload(MB) });
      const fleet = await fleetFixture(session);
      const supernode = await fleet.supernode("default", NOTHING_GIVEN_TO_SUPERNODE);
      const peer = await fleet.peer(NOTHING_GIVEN);
      await set(fleet, "fleet", { backToSource: false, quota: 200 * MB });
      await waitUntil("apply", () => peer.running.status().store.quotaBytes === 200 * MB);
      await supernode.stop();

      const failed = await downloadThrough(peer.running.socketPath, { url: source.url }).catch(
        (error: unknown) => error,
      );

      expect(failed).toMatchObject({ code: "no-supernode" });
      expect(source.requests).toBe(0);
    }),
  60_000,
);
