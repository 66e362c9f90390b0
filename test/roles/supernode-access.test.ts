// Who hears what from a supernode's control port: deny by default, nothing of private contents to hosts.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { networkInterfaces } from "node:os";
import { Session } from "../../bench/harness/session.ts";
import { DfError } from "../../src/errors.ts";
import { CountingSource } from "../../bench/harness/counting-source.ts";
import { askHolder } from "../../src/net/swarm/ask-holder.ts";
import { tlsOptionsOf } from "../../src/net/tls/server-proof.ts";
import { splitRequest } from "../../src/net/task-request.ts";
import { SUPERNODE_TLS_NAME } from "../../src/net/wire/fleet-api.ts";
import { type IdentifyMachine, ROUTE_ACCESS } from "../../src/roles/supernode/access.ts";
import { supernodeRoutes, type SupernodeStatus } from "../../src/roles/supernode/status.ts";
import { joinedFixture } from "../fixtures/config-fixture.ts";
import {
  fleetFixture,
  type FleetFixture,
  type SupernodeOfFleet,
} from "../fixtures/fleet-fixture.ts";
import { guardedSource } from "../fixtures/guarded-source.ts";
import { supernodeFixture } from "../fixtures/supernode-fixture.ts";

/** This machine as others see it: what comes over it does not come over loopback. */
const outer = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ internal, family }) => !internal && family === "IPv4")?.address;

/** Beside these nothing is answered to who shows nothing. */
const OPEN = ["GET /livez", "GET /readyz", "GET /df", "GET /df.sha256"];

interface Place {
  fleet: FleetFixture;
  supernode: SupernodeOfFleet;
  /** Sends to the supernode's address for others; a token is shown as it is. */
  send: (route: string, token?: string, body?: unknown) => Promise<Response>;
}

function withFleet(isOpen: boolean, work: (place: Place) => Promise<void>): Promise<void> {
  return Session.run("access", async (session) => {
    const fleet = await fleetFixture(session, { tls: "on" });
    const listen = { hostname: "0.0.0.0", port: 0 };
    const originAllow = ["127.0.0.1"];
    const supernode = await fleet.supernode("default", { listen, isOpen, originAllow });
    const port = supernode.running.address.split(":").at(-1)!;
    const proof = { ca: fleet.proof!.ca, serverName: SUPERNODE_TLS_NAME };
    const send = (route: string, token?: string, body?: unknown): Promise<Response> => {
      const [method, path] = route.split(" ") as [string, string];
      return fetch(`https://${outer}:${port}${path.replace(":taskId", "a".repeat(64))}`, {
        ...tlsOptionsOf(proof),
        method,
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        ...(method === "GET" ? {} : { body: JSON.stringify(body ?? {}) }),
      });
    };
    await work({ fleet, supernode, send });
  });
}

test.if(outer !== undefined)(
  "T-10: each route of the control port answers the credentials that access.ts names, and nobody else",
  () =>
    withFleet(false, async ({ fleet, send }) => {
      const peer = (await joinedFixture(fleet)).credential;
      const supernode = (await joinedFixture(fleet, { role: "supernode" })).credential;
      const other = await Session.run("other fleet", async (session) =>
        joinedFixture(await fleetFixture(session)),
      );
      const { json: join } = await fleet.call("POST tokens", { body: { kind: "join" } });
      const isLetIn = ({ status }: Response): boolean => status !== 401 && status !== 403;
      const wrong: string[] = [];

      for (const [route, access] of Object.entries(ROUTE_ACCESS)) {
        const isAnyones = access === "anyone";
        const attempts: [string, string | undefined, boolean][] = [
          ["nothing", undefined, isAnyones],
          ["garbage", "not-a-credential", isAnyones],
          ["another fleet's credential", other.credential, isAnyones],
          ["an admin token", fleet.adminToken, isAnyones],
          ["a join token", join.secret as string, isAnyones],
          ["a peer's credential", peer, access !== "supernode"],
          ["a supernode's credential", supernode, true],
        ];
        for (const [what, token, isWanted] of attempts) {
          if (isLetIn(await send(route, token)) !== isWanted) wrong.push(`${route}: ${what}`);
        }
      }

      expect(wrong).toEqual([]);
      expect((await send("GET /v1/status")).status).toBe(401);
      expect((await send("GET /v1/holds/:taskId", peer)).status).toBe(403);
    }),
  60_000,
);

test("T-10: no route is without a rule, and few are everybody's", () => {
  const anyones = Object.entries(ROUTE_ACCESS).filter(([, access]) => access === "anyone");

  expect(anyones.map(([route]) => route).toSorted()).toEqual(OPEN.toSorted());
});

test("T-10: over loopback and without a fleet the control port answers as it did", async () => {
  const node = await supernodeFixture();
  const { address } = node.current;

  for (const path of ["livez", "metrics", "v1/status"]) {
    expect((await fetch(`http://${address}/${path}`)).status).toBe(200);
  }
  await node.stop();
});

test.if(outer !== undefined)("T-10: a supernode that is open to everybody answers everybody", () =>
  withFleet(true, async ({ send }) => {
    expect((await send("GET /v1/status")).status).toBe(200);
  }),
);

test.if(outer !== undefined)(
  "T-10: a member hears beyond loopback what another one holds, by its credential alone",
  () =>
    withFleet(false, async ({ fleet, supernode }) => {
      await using source = await CountingSource.start({ bytes: new Uint8Array(100_000).fill(7) });
      const host = await fleet.peer();
      const events = host.client.download(
        { url: source.url, noOrigin: true },
        AbortSignal.timeout(60_000),
      );
      for await (const _ of events);
      const { taskId } = supernode.running.status().contents[0]!;
      const port = supernode.running.address.split(":").at(-1)!;
      const proof = { ca: fleet.proof!.ca, serverName: SUPERNODE_TLS_NAME };
      const member = await joinedFixture(fleet, { role: "supernode" });
      const peer = await joinedFixture(fleet);
      const ask = (credential: string | undefined) =>
        askHolder(
          { address: `${outer}:${port}`, proof },
          { taskId: taskId!, credential },
          AbortSignal.timeout(60_000),
        );

      expect(await ask(member.credential)).toMatchObject({ isComplete: true });
      expect(await ask(peer.credential)).toBeNull();
      expect(await ask(undefined)).toBeNull();
    }),
  60_000,
);

test("T-20: a supernode of a fleet that speaks plain HTTP beyond loopback says so at its start", () =>
  Session.run("access", async (session) => {
    const fleet = await fleetFixture(session);
    const listen = { hostname: "0.0.0.0", port: 0 };

    const loud = await fleet.supernode("default", { listen, tls: "off" });
    const quiet = await fleet.supernode("default", { tls: "off" });

    expect(loud.warnings).toContainEqual(expect.stringMatching(/^PLAIN HTTP \(--tls off\)/));
    expect(quiet.warnings).toEqual([]);
  }));

test.if(outer !== undefined)(
  "T-07, T-11: a host's credential hears nothing of private contents, an operator no path of them",
  () =>
    withFleet(false, async ({ fleet, supernode, send }) => {
      const source = await guardedSource(new Uint8Array(300_000).fill(7));
      try {
        source.allowed.add("me");
        const host = await fleet.peer();
        const asked = splitRequest({
          url: source.url,
          headers: { Authorization: "me" },
        });
        const events = host.client.download(
          { ...asked, noOrigin: true },
          AbortSignal.timeout(60_000),
        );
        for await (const _ of events);
        const { credential } = await joinedFixture(fleet);
        const member = await joinedFixture(fleet, { role: "supernode" });
        const read = async (token: string): Promise<SupernodeStatus> =>
          (await send("GET /v1/status", token)).json() as Promise<SupernodeStatus>;

        const [toHost, toMember] = [await read(credential), await read(member.credential)];

        expect(toHost.contents).toEqual([]);
        expect(toMember.contents).toMatchObject([
          { isPrivate: true, taskId: null, url: new URL(source.url).origin },
        ]);
        expect(supernode.running.status().contents).toEqual(toMember.contents);
        const why = await send("POST /v1/freshness", credential, {
          ...{ url: source.url, tag: "", filterQuery: [], checksum: "", headers: {} },
        });
        expect(((await why.json()) as { contentId: unknown }).contentId).toBeNull();
      } finally {
        await source.stop();
      }
    }),
  60_000,
);

test("T-32: whatever is asked of the control port is answered below 500", async () => {
  const identify: IdentifyMachine = () => Promise.resolve("peer");
  const node = await supernodeFixture();
  const routes = Object.keys(ROUTE_ACCESS).filter((route) => !route.includes("/df"));
  const inProcess = supernodeRoutes({
    ...{ status: () => node.current.status(), isReady: () => true, identify },
    holdingOf: () => Promise.resolve(null),
    freshnessOf: () => Promise.reject(new DfError("usage", "no source is there")),
  });

  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...routes),
      fc.webPath(),
      fc.oneof(fc.json(), fc.string()),
      fc.base64String(),
      async (route, rest, body, token) => {
        const [method, path] = route.split(" ") as [string, string];
        const options = {
          method,
          headers: { authorization: `Bearer ${token}` },
          ...(method === "GET" ? {} : { body }),
        };
        for (const wanted of [path.replace(":taskId", encodeURIComponent(rest)), path + rest]) {
          const answer = await fetch(`http://${node.current.address}${wanted}`, options);
          await answer.arrayBuffer();
          expect(answer.status).toBeLessThan(500);
          const request = new Request(`http://x${wanted}`, options);
          const guarded = await inProcess.fetch(request, { remoteAddress: "10.1.2.3" });
          expect(guarded.status).toBeLessThan(500);
        }
      },
    ),
    { numRuns: 150 },
  );
  await node.stop();
}, 60_000);
