// What a machine knows of its fleet and how it comes by it: memberships that an earlier version kept, and
// answers of servers that stand in the fleet's place.

import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Session } from "../../../bench/harness/session.ts";
import { askFleetCa } from "../../../src/net/fleet/fleet-ca.ts";
import { FleetClient } from "../../../src/net/fleet/fleet-client.ts";
import { parseJoinString } from "../../../src/net/fleet/join-string.ts";
import {
  type EnterFleetOptions,
  enterFleet,
  type FleetAddress,
} from "../../../src/net/fleet/membership.ts";
import {
  type ConfigFixture,
  configFixture,
  identityFixture,
  machineFixture,
} from "../../fixtures/config-fixture.ts";

const NEVER = new AbortController().signal;

async function joinLineOf(fixture: ConfigFixture): Promise<FleetAddress> {
  const { json } = await fixture.call("POST tokens", { body: { kind: "join" } });
  return parseJoinString(json.joinString as string);
}

function machineIn(session: Session): EnterFleetOptions {
  const identity = identityFixture();
  return {
    machine: machineFixture({}, identity),
    privateKey: identity.privateKey,
    path: join(session.folder, "membership.json"),
    renewalRetryMs: 0,
  };
}

/** As a version without a CA would have left it. */
function makeOlder(path: string): void {
  const { urls, credential, cluster, fleetKey } = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, JSON.stringify({ urls, credential, cluster, fleetKey }));
}

test("what an earlier version kept is completed once df config answers, however late that is", () =>
  Session.run("membership", async (session) => {
    const fleet = await configFixture(session);
    const port = Number(fleet.config.address.split(":").at(-1));
    const address = await joinLineOf(fleet);
    const options = machineIn(session);
    await enterFleet(address, options, NEVER);
    makeOlder(options.path);
    await fleet.config.stop();

    const membership = await enterFleet(address, options, NEVER);
    let renewals = 0;
    membership.onRenewed(() => renewals++);
    await membership.renewIfDue(NEVER);
    const whileItWasDown = membership.trust.ca;
    await configFixture(session, {
      dataDir: fleet.dataDir,
      listen: { hostname: "127.0.0.1", port },
    });
    await membership.renewIfDue(NEVER);
    await membership.renewIfDue(NEVER);

    expect(whileItWasDown).toBeNull();
    expect(membership.trust.ca).toContain("BEGIN CERTIFICATE");
    expect(membership.trust.clusterKey).not.toBeNull();
    expect(renewals).toBe(1);
  }));

test("a df config of an earlier version is not asked for a credential again and again", () =>
  Session.run("membership", async (session) => {
    const fleet = await configFixture(session);
    let joins = 0;
    const older = Bun.serve({
      ...{ hostname: "127.0.0.1", port: 0, development: false },
      async fetch(request) {
        const { pathname } = new URL(request.url);
        if (pathname.endsWith("/ca")) return new Response(null, { status: 404 });
        joins++;
        const { method, headers } = request;
        const body = await request.text();
        const answer = await fetch(`${fleet.url}${pathname}`, { method, headers, body });
        const { clusterKey: _, ...told } = (await answer.json()) as Record<string, unknown>;
        return Response.json(told, { status: answer.status });
      },
    });
    session.defer(() => older.stop(true));
    const address = { ...(await joinLineOf(fleet)), urls: [older.url.origin] };

    const membership = await enterFleet(address, machineIn(session), NEVER);
    for (let i = 0; i < 5; i++) await membership.renewIfDue(NEVER);

    expect(joins).toBe(1);
  }));

test("what is known of a fleet stays known when a renewal tells less", () =>
  Session.run("membership", async (session) => {
    const fleet = await configFixture(session);
    let isStripping = false;
    const between = Bun.serve({
      ...{ hostname: "127.0.0.1", port: 0, development: false },
      async fetch(request) {
        const { pathname } = new URL(request.url);
        if (isStripping && pathname.endsWith("/ca")) return new Response(null, { status: 404 });
        const { method, headers } = request;
        const body = method === "GET" ? {} : { body: await request.text() };
        const answer = await fetch(`${fleet.url}${pathname}`, { method, headers, ...body });
        const { clusterKey, ...told } = (await answer.json()) as Record<string, unknown>;
        return Response.json(isStripping ? told : { clusterKey, ...told });
      },
    });
    session.defer(() => between.stop(true));
    const address = { ...(await joinLineOf(fleet)), urls: [between.url.origin] };
    const membership = await enterFleet(address, machineIn(session), NEVER);
    const known = membership.trust;

    isStripping = true;
    await membership.renew(NEVER);

    expect(known.ca).not.toBeNull();
    expect(membership.trust).toEqual(known);
  }));

/** Answers everything with a body that never ends. */
function endlessServer(session: Session, status: number) {
  const state = { url: "", sentBytes: 0 };
  const server = Bun.serve({
    ...{ hostname: "127.0.0.1", port: 0, development: false },
    fetch: () =>
      new Response(
        new ReadableStream({
          async pull(controller) {
            state.sentBytes += 1 << 20;
            controller.enqueue(new Uint8Array(1 << 20));
            await Bun.sleep(0);
          },
        }),
        { status },
      ),
  });
  session.defer(() => server.stop(true));
  state.url = server.url.origin;
  return state;
}

test.each([200, 404, 500])(
  "an answer of %d without an end fills no memory, whoever gives it in the fleet's place",
  (status) =>
    Session.run("membership", async (session) => {
      const server = endlessServer(session, status);
      const urls = [server.url];
      const heard = (asked: Promise<unknown>): Promise<string> =>
        asked.then(
          () => "an answer",
          (error: { code: string }) => error.code,
        );

      await heard(askFleetCa({ urls }, NEVER));
      const machine = machineFixture();
      expect(await heard(new FleetClient({ urls }).join(machine, undefined, NEVER))).not.toBe(
        "an answer",
      );

      expect(server.sentBytes).toBeLessThan(96 << 20);
    }),
);
