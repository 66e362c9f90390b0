// A supernode's link to a real `df config`, through a connection that fails when told to: nothing is
// lost, commands are heard, and the replicas are tried in turn.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { Session, waitUntil } from "../../bench/harness/session.ts";
import { FleetLink } from "../../src/net/fleet/fleet-link.ts";
import { enterFleet } from "../../src/net/fleet/membership.ts";
import type { Command } from "../../src/net/wire/command.ts";
import type { Heartbeat, HeartbeatAnswer } from "../../src/net/wire/fleet-api.ts";
import { heartbeatFixture, identityFixture, machineFixture } from "../fixtures/config-fixture.ts";
import { fleetFixture, type FleetFixture } from "../fixtures/fleet-fixture.ts";

/** Passes requests on to `df config`; a test may lose answers or add commands to them. */
function wireFixture(session: Session, fleet: FleetFixture) {
  const state = { isDown: false, commands: [] as Command[], heartbeats: [] as Heartbeat[] };
  const server = Bun.serve({
    ...{ hostname: "127.0.0.1", port: 0, development: false },
    async fetch(request) {
      const { pathname } = new URL(request.url);
      if (request.method === "GET") return fetch(`${fleet.url}${pathname}`);
      const body = await request.text();
      if (state.isDown) return new Response(null, { status: 503 });
      const { headers } = request;
      const answer = await fetch(`${fleet.url}${pathname}`, { method: "POST", headers, body });
      if (!pathname.endsWith("/heartbeat")) return answer;
      state.heartbeats.push(JSON.parse(body) as Heartbeat);
      const told = (await answer.json()) as HeartbeatAnswer;
      return Response.json({ ...told, commands: [...told.commands, ...state.commands] });
    },
  });
  session.defer(() => server.stop(true));
  return Object.assign(state, { url: `http://127.0.0.1:${server.port}` });
}

async function linkFixture(session: Session) {
  const fleet = await fleetFixture(session);
  const wire = wireFixture(session, fleet);
  const identity = identityFixture();
  const machine = machineFixture({ role: "supernode" }, identity);
  const { hostId } = machine;
  const address = await fleet.address("a");
  const membership = await enterFleet(
    // The first replica is dead.
    { ...address, urls: ["http://127.0.0.1:9", wire.url] },
    {
      machine,
      privateKey: identity.privateKey,
      path: join(session.folder, "membership.json"),
    },
    new AbortController().signal,
  );
  const warnings: string[] = [];
  const make = (): FleetLink =>
    new FleetLink({
      membership,
      self: { hostId, version: "1.0.0", labels: {} },
      path: join(session.folder, "fleet.json"),
      onWarning: (message) => warnings.push(message),
    });
  const link = make();
  const { addresses, load, disk, contents } = heartbeatFixture(hostId);
  await link.start(() => Promise.resolve({ addresses, load, disk, contents }));
  session.defer(() => link.stop());
  await waitUntil("it is a member", () => link.members.length > 0);
  return { fleet, wire, link, hostId, warnings, make };
}

test("a result is told again until df config heard it, and faults are said once", () =>
  Session.run("link", async (session) => {
    const { wire, link, hostId, warnings } = await linkFixture(session);
    wire.isDown = true;
    await waitUntil("the fault is met", () => warnings.length > 0);
    const result = { id: "job-1", hostId, state: "done" as const };

    link.report(result);
    link.hostsChanged({ arrived: ["b".repeat(64)] });
    await Bun.sleep(600);
    wire.heartbeats.length = 0;
    wire.isDown = false;

    await waitUntil("it was heard", () => wire.heartbeats.length > 2);
    expect(wire.heartbeats.flatMap(({ results }) => results)).toEqual([result]);
    expect(wire.heartbeats.flatMap(({ hosts }) => hosts?.arrived ?? [])).toEqual(["b".repeat(64)]);
    expect(warnings).toHaveLength(2);
    expect(warnings[1]).toBe("df config answers again");
  }));

test("a command is heard with every heartbeat that brings it: it may have been meant for others before", () =>
  Session.run("link", async (session) => {
    const { wire, link } = await linkFixture(session);
    const heard: string[] = [];
    link.onCommand(({ kind, id }) => heard.push(`${kind} ${id}`));
    const expiresAt = Date.now() / 1_000 + 60;
    const cancel: Command = { kind: "cancel", id: "job-1", hosts: null, expiresAt };
    const count = wire.heartbeats.length;

    wire.commands = [cancel];
    await waitUntil("it came often", () => wire.heartbeats.length > count + 5);

    expect(heard.length).toBeGreaterThan(4);
    expect(new Set(heard)).toEqual(new Set(["cancel job-1"]));
  }));

test("members that come and go are heard, and known again after a restart without df config", () =>
  Session.run("link", async (session) => {
    const { fleet, wire, link, make } = await linkFixture(session);
    const counts: number[] = [];
    link.onChange(() => counts.push(link.members.length));

    const other = await fleet.supernode("a");
    await waitUntil("it came", () => link.members.length === 2);
    await other.stop();
    await waitUntil("it went", () => link.members.length === 1);

    expect(counts).toEqual([2, 1]);
    wire.isDown = true;
    // Who hears of a change hears it before it is on the disk.
    let again = make();
    await waitUntil("it is kept", async () => {
      again = make();
      await again.recall();
      return again.members.length === 1;
    });
    expect(again.members).toEqual(link.members);
    expect(again.cluster).toBe("a");
  }));
