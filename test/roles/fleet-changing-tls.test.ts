// A fleet that takes up TLS while it runs: who knew a supernode as one that speaks plain HTTP, or could
// not believe it yet, comes to speak TLS with it without being restarted.

import { expect, test } from "bun:test";
import { Session, waitUntil } from "../../bench/harness/session.ts";
import { Supernodes } from "../../src/roles/peer/supernodes.ts";
import { fleetFixture } from "../fixtures/fleet-fixture.ts";

test("supernodes find one that came back with TLS at the address where it spoke plain HTTP", () =>
  Session.run("changing-tls", async (session) => {
    const fleet = await fleetFixture(session);
    const staying = await fleet.supernode("a");
    const returning = await fleet.supernode("a");
    await waitUntil("they are connected", () => staying.running.status().peers >= 1);
    await waitUntil("they are connected", () => returning.running.status().peers >= 1);
    const port = Number(returning.running.address.split(":").at(-1));
    await returning.stop();

    const again = await fleet.supernode("a", {
      ...{ dataDir: returning.dataDir, tls: "on" },
      listen: { hostname: "127.0.0.1", port },
      pieceListen: { hostname: "127.0.0.1", port: 0 },
    });

    await waitUntil("the other one reached it", () => again.running.status().peers >= 1);
  }));

test("a host believes supernodes of its list once it learns who vouches for them", () => {
  let ca: string | null = null;
  const supernodes = new Supernodes({
    ...{ addresses: [], ca: () => ca, holdings: () => [], told() {}, refused() {} },
    hello: () => {
      throw new Error("nobody answers there");
    },
  });
  const address = "127.0.0.1:1";
  supernodes.become([{ key: "ab".repeat(32), address, isTls: true, cluster: "a" }]);
  const before = supernodes.at(address).endpoint.proof;

  ca = "a certificate";
  supernodes.believeAnew();

  expect(before?.ca).toBeNull();
  expect(supernodes.at(address).endpoint.proof?.ca).toBe(ca);
  supernodes.stop();
});
