// A fleet over TLS, all real: `df config`, supernodes and hosts believe each other by the fleet's CA, and
// nobody who stands in between.

import { expect, test } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { CountingSource, randomPayload } from "../../bench/harness/counting-source.ts";
import { Session, waitUntil } from "../../bench/harness/session.ts";
import { tlsOptionsOf } from "../../src/net/tls/server-proof.ts";
import { endpointOf, httpUrlOf } from "../../src/net/tls/supernode-endpoint.ts";
import { SUPERNODE_TLS_NAME } from "../../src/net/wire/fleet-api.ts";
import { configFixture } from "../fixtures/config-fixture.ts";
import {
  fleetFixture,
  type FleetFixture,
  type PeerOfFleet,
  type SupernodeOfFleet,
} from "../fixtures/fleet-fixture.ts";
import { eventOf, eventsOf } from "./peer-fixture.ts";

async function download({ client }: PeerOfFleet, url: string): Promise<number> {
  const events = client.download({ url, noOrigin: true }, AbortSignal.timeout(60_000));
  return eventOf(await eventsOf(events), "done").length;
}

/** One by which others reach this machine; undefined: none. */
const ownAddress = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ internal, family }) => !internal && family === "IPv4")?.address;

/** Everybody on loopback, where TLS must be asked for. */
async function tlsFleet(session: Session): Promise<FleetFixture> {
  const fleet = await fleetFixture(session, { tls: "on" });
  return {
    ...fleet,
    supernode: (cluster, change = {}) => fleet.supernode(cluster, { tls: "on", ...change }),
  };
}

const isConnected = ({ running }: PeerOfFleet): boolean =>
  running.status().supernodes.some(({ connected }) => connected);

/** What a client that believes no certificate but the system's, and one that asks in plain text, hear. */
async function strangersHear(address: string): Promise<string[]> {
  const codeOf = (error: unknown): string => (error as { code?: string }).code ?? "";
  const ask = (url: string): Promise<string> =>
    fetch(url, { signal: AbortSignal.timeout(60_000) }).then(({ status }) => `${status}`, codeOf);
  return Promise.all([ask(`https://${address}/livez`), ask(`http://${address}/livez`)]);
}

test("a download goes through a fleet that speaks TLS only", () =>
  Session.run("tls", async (session) => {
    await using source = await CountingSource.start({ bytes: randomPayload(3_000_000) });
    const fleet = await tlsFleet(session);
    const supernode = await fleet.supernode("a");
    const [first, second] = [await fleet.peer(), await fleet.peer()];

    expect(await download(first, source.url)).toBe(3_000_000);
    expect(await download(second, source.url)).toBe(3_000_000);

    expect(source.bodyBytes).toBe(3_000_000);
    const refusals = ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "ECONNRESET"];
    expect(await strangersHear(supernode.running.address)).toEqual(refusals);
    expect(await strangersHear(fleet.config.address)).toEqual(refusals);
  }));

test("supernodes of a cluster and its upstream take contents from each other over TLS", () =>
  Session.run("tls", async (session) => {
    await using source = await CountingSource.start({ bytes: randomPayload(2_000_000) });
    const fleet = await tlsFleet(session);
    const up = await fleet.supernode("up");
    const made = await fleet.call("POST clusters", { body: { name: "down", upstream: "up" } });
    expect(made.status).toBeLessThan(300);
    const members = [await fleet.supernode("down"), await fleet.supernode("down")];
    for (const { running } of members) {
      await waitUntil("the members are connected", () => running.status().peers >= 1);
    }
    const peers = [await fleet.peer({ fleet: await fleet.address("down") })];
    peers.push(await fleet.peer({ fleet: await fleet.address("down") }));

    for (const peer of peers) {
      await waitUntil("both are known", () => peer.supernodes().length >= 2);
      for (let i = 0; i < 4; i++) {
        expect(await download(peer, `${source.url}?n=${i}`)).toBe(2_000_000);
      }
    }

    const readsOf = ({ running }: SupernodeOfFleet): number => running.status().sourceReads;
    expect(members.map(readsOf)).toEqual([0, 0]);
    expect(readsOf(up)).toBe(4);
  }));

test("a machine keeps what it trusts for itself, and starts with it while df config is gone", () =>
  Session.run("tls", async (session) => {
    await using source = await CountingSource.start({ bytes: randomPayload(200_000) });
    const fleet = await tlsFleet(session);
    const supernode = await fleet.supernode("a");
    const peer = await fleet.peer();
    await fleet.config.stop();
    await Promise.all([peer.stop(), supernode.stop()]);

    const { urls, fleetKey } = fleet.config;
    const port = Number(supernode.running.address.split(":").at(-1));
    const machine = { fleet: { urls, fleetKey } };
    await fleet.supernode("a", {
      ...{ ...machine, dataDir: supernode.dataDir },
      listen: { hostname: "127.0.0.1", port },
      pieceListen: { hostname: "127.0.0.1", port: 0 },
    });
    const again = await fleet.peer({ ...machine, dataDir: peer.dataDir });

    await waitUntil("it is connected", () => isConnected(again));
    expect(await download(again, source.url)).toBe(200_000);
    for (const file of ["membership.json", "tls-key.pem"]) {
      expect(statSync(join(supernode.dataDir, file)).mode & 0o777).toBe(0o600);
    }
    expect(readFileSync(join(peer.dataDir, "membership.json"), "utf8")).toContain('"secrets":null');
  }));

test.if(ownAddress !== undefined)("beyond loopback a fleet speaks TLS without being told to", () =>
  Session.run("tls", async (session) => {
    await using source = await CountingSource.start({ bytes: randomPayload(300_000) });
    const listen = { hostname: ownAddress!, port: 0 };
    const fleet = await fleetFixture(session, { listen });
    const originAllow = [new URL(source.url).host];
    const supernode = await fleet.supernode("a", { listen, originAllow });
    const peer = await fleet.peer();

    expect(await download(peer, source.url)).toBe(300_000);

    expect(fleet.config.urls).toEqual([`https://${fleet.config.address}`]);
    const refusals = ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "ECONNRESET"];
    expect(await strangersHear(supernode.running.address)).toEqual(refusals);
    expect([...fleet.warnings, ...supernode.warnings]).toEqual([]);
  }),
);

test("what an earlier version kept of a membership is completed at the next start", () =>
  Session.run("tls", async (session) => {
    await using source = await CountingSource.start({ bytes: randomPayload(200_000) });
    const fleet = await fleetFixture(session);
    const [supernode, peer] = [await fleet.supernode("a"), await fleet.peer()];
    await Promise.all([supernode.stop(), peer.stop()]);
    for (const { dataDir } of [supernode, peer]) {
      const path = join(dataDir, "membership.json");
      const { urls, credential, cluster, fleetKey } = JSON.parse(readFileSync(path, "utf8"));
      writeFileSync(path, JSON.stringify({ urls, credential, cluster, fleetKey }));
    }

    await fleet.supernode("a", { dataDir: supernode.dataDir, tls: "on" });
    const again = await fleet.peer({ dataDir: peer.dataDir });

    await waitUntil("it is connected", () => isConnected(again));
    expect(await download(again, source.url)).toBe(200_000);
  }));

test("a machine that goes to an older fleet believes that one, whatever the newer one said last", () =>
  Session.run("tls", async (session) => {
    await using source = await CountingSource.start({ bytes: randomPayload(200_000) });
    const older = await fleetFixture(session);
    await Bun.sleep(20);
    const newer = await fleetFixture(session);
    const [supernode, peer] = [await newer.supernode("a"), await newer.peer()];
    await Promise.all([supernode.stop(), peer.stop()]);

    const moved = await older.supernode("b", { dataDir: supernode.dataDir });
    const host = await older.peer({ dataDir: peer.dataDir });

    expect(await download(host, source.url)).toBe(200_000);
    expect([...moved.warnings, ...host.warnings]).toEqual([]);
    const kept = JSON.parse(readFileSync(join(moved.dataDir, "fleet.json"), "utf8"));
    expect(kept).toMatchObject({ cluster: "b", fleetKey: older.config.fleetKey });
  }));

test("a host without a join line believes the CA that it saw first, and no other later", () =>
  Session.run("tls", async (session) => {
    const fleet = await fleetFixture(session, { tls: "on", isOpen: true });
    await fleet.supernode("a", { tls: "on" });
    const { urls } = fleet.config;
    const peer = await fleet.peer({ fleet: { urls } });
    await waitUntil("it is connected", () => isConnected(peer));
    await Promise.all([peer.stop(), fleet.config.stop()]);
    const listen = { hostname: "127.0.0.1", port: Number(new URL(urls[0]!).port) };
    const other = await configFixture(session, { tls: "on", isOpen: true, listen });

    const again = await fleet.peer({ fleet: { urls }, dataDir: peer.dataDir });

    await waitUntil("it met the other", () => again.warnings.length > 0);
    expect(again.warnings[0]).toContain("its certificate is not believed");
    await waitUntil("it is connected all the same", () => isConnected(again));
    expect((await other.call("GET hosts")).json.total).toBe(0);
  }));

test("tools that know a supernode's address alone believe it by the fleet's CA", () =>
  Session.run("tls", async (session) => {
    const fleet = await tlsFleet(session);
    const { running } = await fleet.supernode("a");
    const { hostId } = running.status();
    const { ca } = fleet.proof!;
    const statusBy = async (serverName: string): Promise<number> => {
      const url = httpUrlOf({ address: running.address, proof: fleet.proof }, "/v1/status");
      const answer = await fetch(url, tlsOptionsOf({ ca, serverName })).catch(() => null);
      return answer?.status ?? 0;
    };
    const named = endpointOf({ address: running.address, hostId, isTls: true }, ca).proof!;

    expect(await statusBy(SUPERNODE_TLS_NAME)).toBe(200);
    expect(await statusBy(named.serverName)).toBe(200);
    expect(await statusBy("config.df")).toBe(0);
    expect(await statusBy("127.0.0.1")).toBe(0);
  }));
