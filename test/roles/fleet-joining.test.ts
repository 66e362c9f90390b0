// Machines and their fleet, all real: a host is given its supernodes, keeps them fresh and on disk,
// and goes on while `df config` is gone; supernodes admit who belongs to the fleet.

import { expect, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Secret } from "../../src/engine/bytes/secret.ts";
import { Session, waitUntil } from "../../bench/harness/session.ts";
import { fleetFixture, type PeerOfFleet } from "../fixtures/fleet-fixture.ts";
import { configFixture } from "../fixtures/config-fixture.ts";
import { Cleanups, eventOf, eventsOf, randomBytes, sourceFixture } from "./peer-fixture.ts";

function source(session: Session, data: Uint8Array) {
  const cleanups = new Cleanups();
  session.defer(() => cleanups.run());
  return sourceFixture(cleanups, data);
}

async function download(peer: PeerOfFleet, url: string, isFromSwarm = true): Promise<number> {
  const request = { url, noOrigin: isFromSwarm };
  const events = await eventsOf(peer.client.download(request, AbortSignal.timeout(60_000)));
  return eventOf(events, "done").length;
}

/** Addresses, best first. */
function keptList({ dataDir }: PeerOfFleet): string[] {
  const kept: unknown = JSON.parse(readFileSync(join(dataDir, "supernodes.json"), "utf8"));
  return (kept as { supernodes: { address: string }[] }).supernodes.map(({ address }) => address);
}

const isConnectedTo = (peer: PeerOfFleet, address: string): boolean =>
  peer.running
    .status()
    .supernodes.some((supernode) => supernode.address === address && supernode.connected);

test("a host is sent where a rule says, and without one to the supernode of its idc", () =>
  Session.run("joining", async (session) => {
    const fleet = await fleetFixture(session);
    const near = await fleet.supernode("near", { labels: { idc: "paris" } });
    const far = await fleet.supernode("far");
    const labels = { idc: "paris", team: "web" };
    const { json: rule } = await fleet.call("POST rules", {
      body: { priority: 1, conditions: { labels: { team: "web" } }, clusters: ["far"] },
    });

    const peer = await fleet.peer({ labels });
    const order = [far.running.address, near.running.address];
    await waitUntil("the rule is obeyed", () => Bun.deepEquals(keptList(peer), order));
    const first = source(session, randomBytes(200_000));
    expect(await download(peer, first.url)).toBe(200_000);
    expect(far.running.status().contents).toHaveLength(1);
    expect(near.running.status().contents).toHaveLength(0);

    await fleet.call(`DELETE rules/${rule.id}`);
    await waitUntil("it moved", () => Bun.deepEquals(keptList(peer), order.toReversed()));
    const { url } = source(session, randomBytes(300_000));
    expect(await download(peer, url)).toBe(300_000);
    expect(near.running.status().contents).toHaveLength(1);
    expect(far.running.status().contents).toHaveLength(1);
  }));

test("a supernode that joins is in the lists at once, one that is silent leaves them within the lease", () =>
  Session.run("joining", async (session) => {
    const fleet = await fleetFixture(session);
    const first = await fleet.supernode("a");
    const peer = await fleet.peer();
    expect(peer.supernodes()).toEqual([first.running.address]);

    const second = await fleet.supernode("a");
    await waitUntil("it is known", () => isConnectedTo(peer, second.running.address));

    await first.stop();
    await waitUntil("the other is gone", () => peer.supernodes().length === 1);
    expect(peer.supernodes()).toEqual([second.running.address]);
    const { url } = source(session, randomBytes(100_000));
    expect(await download(peer, url)).toBe(100_000);
  }));

test("while df config is gone downloads work, and a peer starts again from its kept list", () =>
  Session.run("joining", async (session) => {
    const fleet = await fleetFixture(session);
    const supernode = await fleet.supernode("a");
    const peer = await fleet.peer();
    const { url } = source(session, randomBytes(100_000));
    await fleet.config.stop();

    expect(await download(peer, url)).toBe(100_000);
    await peer.stop();
    const again = await fleet.peer({
      dataDir: peer.dataDir,
      fleet: { urls: [fleet.url], fleetKey: fleet.config.fleetKey },
    });

    expect(again.supernodes()).toEqual([supernode.running.address]);
    const other = source(session, randomBytes(200_000));
    expect(await download(again, other.url)).toBe(200_000);
    const mode = statSync(join(peer.dataDir, "membership.json")).mode & 0o777;
    expect(mode).toBe(0o600);
  }));

test("a supernode starts again while df config is gone, and still tells members from strangers", () =>
  Session.run("joining", async (session) => {
    const fleet = await fleetFixture(session);
    const supernode = await fleet.supernode("a");
    const peer = await fleet.peer();
    const [address] = peer.supernodes();
    await fleet.config.stop();
    await supernode.stop();

    const port = Number(address!.split(":").at(-1));
    await fleet.supernode("a", {
      dataDir: supernode.dataDir,
      listen: { hostname: "127.0.0.1", port },
      pieceListen: { hostname: "127.0.0.1", port: 0 },
      fleet: { urls: [fleet.url], fleetKey: fleet.config.fleetKey },
    });
    const stranger = await fleet.peer({ fleet: null, supernodes: [address!] });

    await waitUntil("the member is back", () => isConnectedTo(peer, address!));
    await waitUntil("the stranger heard why", () => stranger.warnings.length > 0);
    expect(stranger.warnings).toEqual([
      `supernode ${address} does not admit this host: join the fleet: no credential was shown`,
    ]);
    expect(isConnectedTo(stranger, address!)).toBe(false);
  }));

test("a host that an administrator removes loses its channels", () =>
  Session.run("joining", async (session) => {
    const fleet = await fleetFixture(session);
    const { running } = await fleet.supernode("a");
    const peer = await fleet.peer();
    await waitUntil("it is connected", () => isConnectedTo(peer, running.address));

    await fleet.call(`DELETE hosts/${peer.running.status().peerId}`);

    await waitUntil("it is shut out", () => !isConnectedTo(peer, running.address));
    expect(peer.warnings.join("\n")).toContain("revoked");
  }));

test("df config knows which hosts have a channel to which supernode", () =>
  Session.run("joining", async (session) => {
    const fleet = await fleetFixture(session);
    const { running } = await fleet.supernode("a");
    const peer = await fleet.peer({ labels: { rack: "r7" } });
    const { peerId } = peer.running.status();

    const supernodesOf = async (): Promise<string[]> => {
      const { json } = await fleet.call(`GET hosts/${peerId}`);
      return json.supernodes ?? [];
    };
    await waitUntil("it is noted", async () => (await supernodesOf()).length === 1);

    expect(await supernodesOf()).toEqual([running.status().hostId]);
    const { json } = await fleet.call(`GET hosts/${peerId}`);
    expect(json.labels).toEqual({ rack: "r7" });
  }));

test("an open fleet's address is all that a peer needs; a supernode needs a token", () =>
  Session.run("joining", async (session) => {
    const fleet = await fleetFixture(session, { isOpen: true });
    const address = { urls: [fleet.url] };
    const refusal = await fleet.supernode("default", { fleet: address }).catch(String);
    expect(refusal).toContain("not as supernode");
    const supernode = await fleet.supernode("default");
    const peer = await fleet.peer({ fleet: { urls: [fleet.url] } });

    expect(peer.supernodes()).toEqual([supernode.running.address]);
    const { url } = source(session, randomBytes(50_000));
    expect(await download(peer, url)).toBe(50_000);
  }));

test("an answer that is not the fleet's own changes nothing: the list stays, downloads work", () =>
  Session.run("joining", async (session) => {
    const fleet = await fleetFixture(session);
    const supernode = await fleet.supernode("a");
    const peer = await fleet.peer();
    const { port } = new URL(fleet.url);
    await fleet.config.stop();
    const garbage = [
      () => new Response("<html>", { headers: { "content-type": "text/html" } }),
      () => Response.json({ version: 99, supernodes: [], refreshSeconds: 1 }),
      () => Response.json({ version: -1, supernodes: [{ address: 7 }] }),
      () => new Response("x".repeat(100_000), { status: 500 }),
      () => new Response(null, { status: 302, headers: { location: "/elsewhere" } }),
    ];
    let asked = 0;
    const impostor = Bun.serve({
      ...{ hostname: "127.0.0.1", port: Number(port), development: false },
      fetch: () => garbage[asked++ % garbage.length]!(),
    });
    session.defer(() => impostor.stop(true));

    await waitUntil("each was seen", () => asked >= garbage.length, 60_000);

    expect(peer.supernodes()).toEqual([supernode.running.address]);
    const { url } = source(session, randomBytes(80_000));
    expect(await download(peer, url)).toBe(80_000);
    expect(keptList(peer)).toEqual([supernode.running.address]);
  }));

test("who answers for another fleet is not joined", () =>
  Session.run("joining", async (session) => {
    const fleet = await fleetFixture(session);
    const other = await configFixture(session, { isOpen: true });
    const { token } = await fleet.address();

    const joining = fleet.peer({
      fleet: { urls: [other.url], fleetKey: fleet.config.fleetKey, token: undefined },
    });

    await expect(joining).rejects.toThrow("does not have the fleet's key");
    await expect(
      fleet.peer({ fleet: { urls: [fleet.url], token: new Secret(`${token?.reveal()}x`) } }),
    ).rejects.toThrow();
  }));

test(
  "a supernode tells its hosts that lists changed: one that waits after a fault asks at once",
  () =>
    Session.run("joining", async (session) => {
      const fleet = await fleetFixture(session);
      const { running } = await fleet.supernode("a");
      const asked: number[] = [];
      // A df config of its own for the host, which fails; the supernode's is the real one.
      const failing = Bun.serve({
        ...{ hostname: "127.0.0.1", port: 0, development: false },
        async fetch(request) {
          const { pathname } = new URL(request.url);
          if (pathname.endsWith("/routes") && asked.push(performance.now()) > 2) {
            return new Response(null, { status: 503 });
          }
          return fetch(`${fleet.url}${pathname}`, {
            method: "POST",
            headers: request.headers,
            body: await request.text(),
          });
        },
      });
      session.defer(() => failing.stop(true));
      const address = await fleet.address();
      const peer = await fleet.peer({
        fleet: { ...address, urls: [`http://127.0.0.1:${failing.port}`] },
      });
      await waitUntil("it is connected", () => isConnectedTo(peer, running.address));
      await waitUntil("faults are met", () => asked.length > 6, 60_000);

      const before = asked.length;
      await fleet.call("POST rules", { body: { priority: 1, conditions: {}, clusters: ["a"] } });

      await waitUntil("it asked again", () => asked.length > before, 10_000);
      expect(peer.supernodes()).toEqual([running.address]);
    }),
  60_000,
);

test("a download goes on at a supernode that left the list, which is let go afterwards", () =>
  Session.run("joining", async (session) => {
    const fleet = await fleetFixture(session);
    const first = await fleet.supernode("a", { sourceRate: 400_000 });
    const peer = await fleet.peer();
    const { url } = source(session, randomBytes(1_000_000));
    const finished = download(peer, url);
    await waitUntil("it is under way", () => first.running.status().contents.length === 1);

    const second = await fleet.supernode("b");
    await fleet.call(`DELETE supernodes/${first.running.status().hostId}`);
    await waitUntil("the list is new", () =>
      Bun.deepEquals(keptList(peer), [second.running.address]),
    );
    expect(peer.supernodes()).toContain(first.running.address);

    expect(await finished).toBe(1_000_000);
    await waitUntil("it is let go", () =>
      Bun.deepEquals(peer.supernodes(), [second.running.address]),
    );
    expect(second.running.status().contents).toHaveLength(0);
  }));
