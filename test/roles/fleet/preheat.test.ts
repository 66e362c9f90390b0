// Preheats on their whole way in one process: ordered at df config, done by supernodes and peers,
// kept from eviction, cancelled, and picked up again after restarts.

import { expect, test } from "bun:test";
import { CountingSource, randomPayload } from "../../../bench/harness/counting-source.ts";
import { Session, waitUntil } from "../../../bench/harness/session.ts";
import type { Preheat } from "../../../src/net/wire/preheat-api.ts";
import { openStore } from "../../../src/store/open-store.ts";
import { fleetFixture, type FleetFixture, type PeerOfFleet } from "../../fixtures/fleet-fixture.ts";

const MB = 1_000_000;
const NOTHING_GIVEN = { downloadRateBytesPerSec: undefined, quotaBytes: undefined };

async function peersOf(fleet: FleetFixture, count: number): Promise<PeerOfFleet[]> {
  const peers = await Promise.all(Array.from({ length: count }, () => fleet.peer(NOTHING_GIVEN)));
  await waitUntil("register", async () => {
    const { json } = await fleet.call("GET hosts?limit=1000");
    const hosts = json.hosts as { supernodes: string[] }[];
    return hosts.filter(({ supernodes }) => supernodes.length > 0).length === count;
  });
  return peers;
}

async function order(fleet: FleetFixture, body: unknown): Promise<string> {
  const { status, json } = await fleet.call("POST preheats", { body });
  expect({ status, json }).toMatchObject({ status: 200 });
  return json.id as string;
}

async function until(
  fleet: FleetFixture,
  id: string,
  isIt: (preheat: Preheat) => boolean,
): Promise<Preheat> {
  let preheat: Preheat | undefined;
  await waitUntil(
    `preheat ${id}`,
    async () => {
      preheat = (await fleet.call(`GET preheats/${id}`)).json as Preheat;
      return isIt(preheat);
    },
    60_000,
  );
  return preheat!;
}

const isDone = ({ state }: Preheat): boolean => state === "done";

/** Contents that a stopped machine keeps from eviction. */
async function pinnedIn(dataDir: string): Promise<boolean[]> {
  const store = await openStore({ dir: dataDir, quotaBytes: null, onWarning: () => {} });
  const pins = store.list().map(({ isPinned }) => isPinned);
  await store.close();
  return pins;
}

test(
  "supernodes bring what is ordered once from the source and keep it from eviction",
  () =>
    Session.run("fleet-preheat", async (session) => {
      const bytes = randomPayload(3 * MB);
      await using source = await CountingSource.start({ bytes });
      const fleet = await fleetFixture(session);
      const supernodes = [await fleet.supernode("default"), await fleet.supernode("default")];
      await waitUntil("meet", async () => {
        const { json } = await fleet.call("GET supernodes");
        return (json.supernodes as { state: string }[]).every(({ state }) => state === "alive");
      });

      const id = await order(fleet, { urls: [source.url], scope: "supernodes" });
      const { counts } = await until(fleet, id, isDone);
      for (const { stop } of supernodes) await stop();

      expect(counts).toMatchObject({ done: 2 });
      for (const { dataDir } of supernodes) expect(await pinnedIn(dataDir)).toEqual([true]);
      expect(source.bodyBytes).toBeLessThanOrEqual(1.01 * bytes.length);
    }),
  90_000,
);

test(
  "half of the hosts bring what is ordered, without a reader, and nobody else does",
  () =>
    Session.run("fleet-preheat", async (session) => {
      const bytes = randomPayload(2 * MB);
      await using source = await CountingSource.start({ bytes });
      const fleet = await fleetFixture(session);
      await fleet.supernode("default");
      const peers = await peersOf(fleet, 6);
      const urls = [source.url, `${source.url}?2`];

      const id = await order(fleet, { urls, scope: "50%" });
      const preheat = await until(fleet, id, isDone);

      expect(preheat).toMatchObject({ counts: { done: 6 }, doneBytes: 6 * bytes.length });
      const held = peers.map(({ running }) => running.status().store.contents);
      expect(held.toSorted((a, b) => a - b)).toEqual([0, 0, 0, 2, 2, 2]);
      expect(source.bodyBytes).toBeLessThanOrEqual(1.01 * 2 * bytes.length);
      for (const { stop, dataDir, running } of peers) {
        const contents = running.status().store.contents;
        await stop();
        expect(await pinnedIn(dataDir)).toEqual(Array(contents).fill(true));
      }
    }),
  90_000,
);

test(
  "a cancelled preheat stops what runs and lets go of what was brought",
  () =>
    Session.run("fleet-preheat", async (session) => {
      await using quick = await CountingSource.start({ bytes: randomPayload(MB) });
      await using slow = await CountingSource.start({
        bytes: randomPayload(8 * MB),
        bytesPerSec: 1e5,
      });
      const fleet = await fleetFixture(session);
      await fleet.supernode("default");
      const [peer] = await peersOf(fleet, 1);
      const id = await order(fleet, { urls: [quick.url, slow.url], scope: "peers" });
      await until(fleet, id, ({ counts }) => counts.done === 1 && counts.running === 1);

      await fleet.call(`DELETE preheats/${id}`);
      const preheat = await until(fleet, id, ({ counts }) => counts.cancelled === 2);

      expect(preheat.state).toBe("cancelled");
      await peer!.stop();
      expect((await pinnedIn(peer!.dataDir)).every((isPinned) => !isPinned)).toBe(true);
    }),
  90_000,
);

test(
  "df config restarts in the middle, and a host that was away brings its part when it is back",
  () =>
    Session.run("fleet-preheat", async (session) => {
      const bytes = randomPayload(2 * MB);
      await using source = await CountingSource.start({ bytes });
      const fleet = await fleetFixture(session);
      await fleet.supernode("default");
      const address = await fleet.address();
      await peersOf(fleet, 1);
      const away = await fleet.peer({ ...NOTHING_GIVEN, fleet: address });
      await waitUntil("register", async () => (await fleet.call("GET hosts")).json.total === 2);
      await away.stop();

      const id = await order(fleet, { urls: [source.url], scope: "peers" });
      await until(fleet, id, ({ counts }) => counts.done === 1);
      const { hostname, port } = new URL(fleet.url);
      await fleet.config.stop();
      const again = await fleetFixture(session, {
        ...{ dataDir: fleet.dataDir, listen: { hostname, port: Number(port) } },
      });
      const back = await fleet.peer({ ...NOTHING_GIVEN, fleet: address, dataDir: away.dataDir });
      await until(again, id, isDone);

      expect(back.running.status().store.contents).toBe(1);
      expect(source.bodyBytes).toBeLessThanOrEqual(1.01 * bytes.length);
    }),
  90_000,
);

test(
  "what the source does not have fails with its reason, and is not asked for again and again",
  () =>
    Session.run("fleet-preheat", async (session) => {
      let requests = 0;
      const source = Bun.serve({
        ...{ hostname: "127.0.0.1", port: 0, development: false },
        fetch: () => {
          requests++;
          return new Response(null, { status: 404 });
        },
      });
      session.defer(() => source.stop(true));
      const fleet = await fleetFixture(session);
      await fleet.supernode("default");
      await peersOf(fleet, 2);

      const id = await order(fleet, { urls: [`${source.url.href}x`], scope: "peers" });
      await until(fleet, id, ({ state }) => state === "failed");
      const { json } = await fleet.call(`GET preheats/${id}/targets`);

      expect(json.targets).toMatchObject([
        { state: "failed", attempts: 1, error: { code: "source-not-found" } },
        { state: "failed", attempts: 1, error: { code: "source-not-found" } },
      ]);
      expect(requests).toBeLessThanOrEqual(4);
    }),
  90_000,
);
