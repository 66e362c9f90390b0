// How machines take part in a fleet: joining, leases, lists of supernodes that are held until they
// change and are never empty.

import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { join } from "node:path";
import { Session } from "../../../bench/harness/session.ts";
import { CredentialCheck } from "../../../src/net/fleet/credential.ts";
import { parseJoinString } from "../../../src/net/fleet/join-string.ts";
import {
  heartbeatAnswerSchema,
  joinAnswerSchema,
  routeAnswerSchema,
} from "../../../src/net/wire/fleet-api.ts";
import {
  type ConfigFixture,
  configFixture,
  heartbeatFixture,
  joinedFixture,
  machineFixture,
  routeRequestFixture,
  supernodeFixture,
} from "../../fixtures/config-fixture.ts";

test("the first start's join string makes a machine a member that supernodes can check", async () => {
  await Session.run("machines", async (session) => {
    const fixture = await configFixture(session);
    const joinString = parseJoinString(fixture.config.firstStart.joinString!.text.reveal());
    const machine = machineFixture();

    const { status, json } = await fixture.call("POST join", {
      body: machine,
      token: joinString.token!.reveal(),
    });

    expect(status).toBe(200);
    const answer = joinAnswerSchema.parse(json);
    expect([answer.cluster, answer.fleetKey]).toEqual(["default", joinString.fleetKey]);
    expect(joinString.urls).toEqual([fixture.url]);
    expect(await new CredentialCheck(joinString.fleetKey).check(answer.credential)).toMatchObject({
      ...{ hostId: machine.hostId, role: "peer", cluster: "default" },
    });
  });
});

test("a machine cannot join as another, nor beyond what its token says", async () => {
  await Session.run("machines", async (session) => {
    const fixture = await configFixture(session);
    const token = async (body: object): Promise<string> =>
      (await fixture.call("POST tokens", { body: { kind: "join", ...body } })).json.secret;
    const join = async (secret: string, change: object): Promise<number> =>
      (await fixture.call("POST join", { body: machineFixture(change), token: secret })).status;
    const any = await token({});
    const narrow = await token({ cluster: "hz", role: "peer" });

    expect(await join(any, { hostId: machineFixture().hostId })).toBe(400);
    expect(await join(any, { publicKey: "AAAA" })).toBe(400);
    expect(await join(narrow, { role: "supernode" })).toBe(403);
    expect(await join(narrow, { cluster: "bj" })).toBe(403);
    expect(await join(narrow, { cluster: "hz" })).toBe(200);
    expect(await join(narrow, {})).toBe(200);
    expect(await join(any, { role: "supernode", cluster: "bj" })).toBe(200);
    const { json } = await fixture.call("GET clusters");
    expect(json.clusters.map(({ name }: { name: string }) => name)).toEqual(["bj"]);
  });
});

test("a token for one machine admits one, which may ask again", async () => {
  await Session.run("machines", async (session) => {
    const fixture = await configFixture(session);
    const made = await fixture.call("POST tokens", { body: { kind: "join", usesMax: 1 } });
    const token = made.json.secret as string;
    const machines = Array.from({ length: 5 }, () => machineFixture());

    const answers = await Promise.all(
      machines.map((body) => fixture.call("POST join", { body, token })),
    );
    const first = answers.findIndex(({ status }) => status === 200);
    const again = await fixture.call("POST join", { body: machines[first], token });

    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 403)).toHaveLength(4);
    expect(again.status).toBe(200);
  });
});

test("a credential is renewed by its machine alone, and not once it is revoked", async () => {
  await Session.run("machines", async (session) => {
    const fixture = await configFixture(session);
    const { machine, credential } = await joinedFixture(fixture);
    const renew = (body: object) => fixture.call("POST join", { body, token: credential });

    expect((await renew(machine)).status).toBe(200);
    expect((await renew({ ...machine, role: "supernode" })).status).toBe(403);
    expect((await renew(machineFixture())).status).toBe(403);
    expect((await fixture.call(`DELETE hosts/${machine.hostId}`)).status).toBe(204);
    expect((await renew(machine)).status).toBe(401);
  });
});

test("a credential that another replica just revoked is not renewed", async () => {
  await Session.run("machines", async (session) => {
    const fixture = await configFixture(session);
    const { machine, credential } = await joinedFixture(fixture);
    using database = new Database(join(fixture.dataDir, "fleet.sqlite"));
    database.run("PRAGMA busy_timeout = 5000");
    database.run("UPDATE credentials SET revoked_at = 1");

    const renewed = await fixture.call("POST join", { body: machine, token: credential });

    expect(renewed.status).toBe(401);
  });
});

test("a token's credentials can be revoked after the token, the renewed ones too", async () => {
  await Session.run("machines", async (session) => {
    const fixture = await configFixture(session);
    const { json: token } = await fixture.call("POST tokens", { body: { kind: "join" } });
    const machine = machineFixture();
    const renewWith = async (bearer: string): Promise<string> =>
      (await fixture.call("POST join", { body: machine, token: bearer })).json.credential;
    const renewed = await renewWith(await renewWith(token.secret));

    const revoke = (query: string) => fixture.call(`DELETE tokens/${token.id}${query}`);
    const [first, second, third] = [
      (await revoke("")).status,
      (await revoke("?credentials=true")).status,
      (await revoke("?credentials=true")).status,
    ];
    const routes = await fixture.call("POST routes", {
      body: routeRequestFixture(machine.hostId),
      token: renewed,
    });

    expect([first, second, third]).toEqual([204, 204, 404]);
    expect(routes.status).toBe(401);
  });
});

test("revoking a join token with its credentials puts out what it let in, and supernodes are told", async () => {
  await Session.run("machines", async (session) => {
    const fixture = await configFixture(session);
    const supernode = await supernodeFixture(fixture, { address: "10.0.0.5:8002" });
    const { json: token } = await fixture.call("POST tokens", { body: { kind: "join" } });
    const machine = machineFixture();
    const joined = await fixture.call("POST join", { body: machine, token: token.secret });

    const gone = await fixture.call(`DELETE tokens/${token.id}?credentials=true`);
    const routes = await fixture.call("POST routes", {
      body: routeRequestFixture(machine.hostId),
      token: joined.json.credential,
    });

    expect([gone.status, routes.status]).toEqual([204, 401]);
    expect((await supernode.beat()).json.revoked).toHaveLength(1);
  });
});

test("members of a cluster and of its upstream are told with each heartbeat", async () => {
  await Session.run("machines", async (session) => {
    const fixture = await configFixture(session);
    const up = await supernodeFixture(fixture, { address: "10.0.0.1:8002", cluster: "up" });
    const a = await supernodeFixture(fixture, { address: "10.0.0.2:8002", cluster: "down" });
    const b = await supernodeFixture(fixture, { address: "10.0.0.3:8002", cluster: "down" });
    await fixture.call("PATCH clusters/down", { body: { upstream: "up" } });

    const answer = heartbeatAnswerSchema.parse((await a.beat()).json);

    expect(answer).toMatchObject({ cluster: "down", leaseSeconds: 10, intervalSeconds: 2 });
    expect(answer.members.map(({ hostId }) => hostId)).toEqual(
      [a.machine.hostId, b.machine.hostId].toSorted(),
    );
    expect(answer.upstream).toEqual({
      cluster: "up",
      members: [{ hostId: up.machine.hostId, addresses: [{ address: "10.0.0.1:8002" }] }],
    });
    expect((await up.beat()).json.upstream).toBeNull();
  });
});

test("a heartbeat is taken from its own supernode alone", async () => {
  await Session.run("machines", async (session) => {
    const fixture = await configFixture(session);
    const supernode = await supernodeFixture(fixture, { address: "10.0.0.5:8002" });

    const other = await fixture.call("POST heartbeat", {
      body: heartbeatFixture("ab".repeat(32)),
      token: supernode.credential,
    });

    expect(other.status).toBe(403);
  });
});

async function routesFor(
  fixture: ConfigFixture,
  { machine, credential }: Awaited<ReturnType<typeof joinedFixture>>,
  change: object = {},
) {
  const body = routeRequestFixture(machine.hostId, change);
  return fixture.call("POST routes", { body, token: credential });
}

test("a host is sent where rules say, else where its labels say", async () => {
  await Session.run("machines", async (session) => {
    const fixture = await configFixture(session);
    await supernodeFixture(fixture, { address: "10.0.0.1:8002", cluster: "near" });
    await supernodeFixture(fixture, { address: "10.0.0.2:8002", cluster: "far" });
    await fixture.call("PATCH clusters/near", { body: { labels: { idc: "hz" } } });
    await fixture.call("PATCH clusters/far", { body: { labels: { idc: "bj" } } });
    const host = await joinedFixture(fixture);
    const firstCluster = async (idc = "hz"): Promise<string> => {
      const { json } = await routesFor(fixture, host, { labels: { idc } });
      return routeAnswerSchema.parse(json).supernodes[0]!.cluster;
    };

    expect(await firstCluster()).toBe("near");
    expect(await firstCluster("bj")).toBe("far");
    expect(await firstCluster()).toBe("near");
    const rule = { conditions: { cidrs: ["10.1.0.0/16"] }, clusters: ["far"] };
    await fixture.call("PUT rules/office", { body: rule });
    expect(await firstCluster()).toBe("far");
    await fixture.call("DELETE rules/office");
    expect(await firstCluster()).toBe("near");
  });
});

test("no version of the lists comes again after a power loss", async () => {
  await Session.run("machines", async (session) => {
    const fixture = await configFixture(session);
    const supernode = await supernodeFixture(fixture, { address: "10.0.0.5:8002" });
    const told = (await supernode.beat()).json.routesVersion;
    await fixture.config.stop();
    const path = join(fixture.dataDir, "fleet.sqlite");
    const forgotten = new Database(path);
    forgotten.run("UPDATE fleet SET routes_version = ?", [told - 1]);
    forgotten.close();

    const again = await configFixture(session, { dataDir: fixture.dataDir });
    const { json } = await (await supernodeFixture(again, { address: "10.0.0.6:8002" })).beat();

    expect(json.routesVersion).toBeGreaterThan(told + 1);
  });
});

test("without a living supernode the answer is a problem, never an empty list", async () => {
  await Session.run("machines", async (session) => {
    const fixture = await configFixture(session);
    const host = await joinedFixture(fixture);

    const none = await routesFor(fixture, host);
    const supernode = await supernodeFixture(fixture, { address: "10.0.0.5:8002" });
    const one = await routesFor(fixture, host);
    await supernode.beat({ isLeaving: true });
    const held = await routesFor(fixture, host, {
      knownVersion: one.json.version,
      waitSeconds: 20,
    });

    expect([none.status, none.json.code]).toEqual([503, "no-supernode"]);
    expect(Number(none.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(one.json.supernodes).toHaveLength(1);
    expect(held.status).toBe(503);
  });
});

test("a request is held while the list is known, and let go when it changes or the wait is over", async () => {
  await Session.run("machines", async (session) => {
    const fixture = await configFixture(session);
    await supernodeFixture(fixture, { address: "10.0.0.1:8002" });
    const host = await joinedFixture(fixture);
    const { version } = (await routesFor(fixture, host)).json;
    const wait = (waitSeconds: number) =>
      routesFor(fixture, host, { knownVersion: version, waitSeconds });

    const unchanged = await wait(0.2);
    const held = Array.from({ length: 50 }, () => wait(30));
    await supernodeFixture(fixture, { address: "10.0.0.2:8002" });
    const changed = await Promise.all(held);

    expect(unchanged.json.version).toBe(version);
    for (const { json } of changed) {
      expect(json.version).toBeGreaterThan(version);
      expect(json.supernodes).toHaveLength(2);
    }
  });
});

test("a silent supernode leaves every list, and comes back with its next heartbeat", async () => {
  await Session.run("machines", async (session) => {
    const fixture = await configFixture(session, { leaseMs: 3_000, intervalMs: 500 });
    const silent = await supernodeFixture(fixture, { address: "10.0.0.1:8002" });
    const living = await supernodeFixture(fixture, { address: "10.0.0.2:8002" });
    const beating = setInterval(() => void living.beat(), 500);
    session.defer(() => clearInterval(beating));
    const host = await joinedFixture(fixture);
    const listed = async (knownVersion: number) => {
      const { json } = await routesFor(fixture, host, { knownVersion, waitSeconds: 30 });
      return json;
    };

    const both = await listed(0);
    const one = await listed(both.version);
    await silent.beat();
    const again = await listed(one.version);

    expect(both.supernodes).toHaveLength(2);
    expect(one.supernodes).toMatchObject([{ address: "10.0.0.2:8002" }]);
    expect(again.supernodes).toHaveLength(2);
    const { json } = await fixture.call("GET supernodes?state=alive");
    expect(json.supernodes).toHaveLength(2);
  });
}, 60_000);

test("a standstill of df config ends no lease", async () => {
  await Session.run("machines", async (session) => {
    const leaseMs = 3_000;
    const fixture = await configFixture(session, { leaseMs, intervalMs: 300 });
    const supernode = await supernodeFixture(fixture, { address: "10.0.0.5:8002" });
    // Past the time after a start in which no lease ends.
    for (let beats = 0; beats < 8; beats++) {
      await Bun.sleep(500);
      await supernode.beat();
    }

    Bun.sleepSync(leaseMs + 500);
    // The round that was due comes before the next heartbeat can.
    await Bun.sleep(100);
    const { json } = await fixture.call(`GET supernodes/${supernode.machine.hostId}`);

    expect(json.state).toBe("alive");
  });
}, 60_000);

test("a removed supernode is out at once: of lists, and by its credential", async () => {
  await Session.run("machines", async (session) => {
    const fixture = await configFixture(session);
    const supernode = await supernodeFixture(fixture, { address: "10.0.0.5:8002" });
    const host = await joinedFixture(fixture);

    const removed = await fixture.call(`DELETE supernodes/${supernode.machine.hostId}`);

    expect(removed.status).toBe(204);
    expect((await routesFor(fixture, host)).status).toBe(503);
    expect((await supernode.beat()).status).toBe(401);
    expect((await fixture.call("GET supernodes")).json.supernodes).toEqual([]);
  });
});

test("hosts are listed with what they told and by whom they are reached", async () => {
  await Session.run("machines", async (session) => {
    const fixture = await configFixture(session);
    const supernode = await supernodeFixture(fixture, { address: "10.0.0.5:8002" });
    const hosts = await Promise.all([1, 2, 3].map(() => joinedFixture(fixture)));
    for (const [i, host] of hosts.entries()) {
      await routesFor(fixture, host, { hostname: `web-${i}`, labels: { rack: `r${i % 2}` } });
    }
    const [first] = hosts;
    await supernode.beat({
      hosts: { arrived: [first!.machine.hostId], gone: [], isAll: true },
    });
    const list = async (query: string) => (await fixture.call(`GET hosts?${query}`)).json;
    while ((await list("")).total < 3) await Bun.sleep(20);

    const odd = await list("label=rack%3Dr1");
    const page = await list("limit=2&label=rack%3Dr0");
    const paged = await list("limit=1");
    const rest = await list(`limit=100&after=${paged.next}`);
    const one = await fixture.call(`GET hosts/${first!.machine.hostId}`);

    expect(odd.hosts.map(({ hostname }: { hostname: string }) => hostname)).toEqual(["web-1"]);
    expect([page.total, page.hosts.length]).toEqual([2, 2]);
    expect([paged.hosts.length, rest.hosts.length, rest.next]).toEqual([1, 2, null]);
    expect(one.json).toMatchObject({
      ...{ hostname: "web-0", addresses: ["10.1.2.3"], cluster: "default" },
      supernodes: [supernode.machine.hostId],
    });
  });
});
