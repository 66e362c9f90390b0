// Preheats as df config keeps them: what administrators see, and what supernodes that beat are told.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { join } from "node:path";
import { Session } from "../../../bench/harness/session.ts";
import type { Command, CommandResult } from "../../../src/net/wire/command.ts";
import { takeShare } from "../../../src/roles/config/preheats/choose-targets.ts";
import {
  configFixture,
  type ConfigFixture,
  joinedFixture,
  type LivingSupernode,
  routeRequestFixture,
  supernodeFixture,
} from "../../fixtures/config-fixture.ts";

const ending = Promise.withResolvers<void>();
let session: Session;
let running: Promise<void>;
beforeAll(async () => {
  const started = Promise.withResolvers<void>();
  running = Session.run("preheats", async (own) => {
    session = own;
    started.resolve();
    await ending.promise;
  });
  await started.promise;
});
afterAll(async () => {
  ending.resolve();
  await running;
});

const URL_A = "http://files.test/a";

/** A fleet of one supernode and hosts with channels to it. */
async function fleetFixture(hostCount: number, labels: (index: number) => Record<string, string>) {
  const fixture = await configFixture(session);
  const supernode = await supernodeFixture(fixture, { address: "10.0.0.5:8002" });
  const hosts: string[] = [];
  for (let index = 0; index < hostCount; index++) {
    const { machine, credential } = await joinedFixture(fixture);
    const request = routeRequestFixture(machine.hostId, { labels: labels(index) });
    await fixture.call("POST routes", { body: request, token: credential });
    hosts.push(machine.hostId);
  }
  await supernode.beat({ hosts: { arrived: hosts, gone: [], isAll: true } });
  for (;;) {
    const { json } = await fixture.call("GET hosts");
    if (json.total === hostCount) return { ...fixture, fixture, supernode, hosts };
    await Bun.sleep(20);
  }
}

/** Beats until the fleet tells commands. */
async function commandsOf(
  supernode: LivingSupernode,
  results: CommandResult[] = [],
): Promise<Command[]> {
  for (let beats = 0; ; beats++) {
    const { json } = await supernode.beat({ results: beats === 0 ? results : [] });
    if (json.commands.length > 0) return json.commands;
    await Bun.sleep(50);
  }
}

async function stateOf({ call }: Pick<ConfigFixture, "call">, id: string, wanted: string) {
  for (;;) {
    const { json } = await call(`GET preheats/${id}`);
    if (json.state === wanted) return json;
    await Bun.sleep(50);
  }
}

function doneOf(command: Command): CommandResult[] {
  return command.hosts!.map((hostId) => ({
    ...{ id: command.id, hostId, state: "done", doneBytes: 10, length: 10 },
  }));
}

test("hosts that the labels name are told through their supernode, and the job ends with them", async () => {
  const fleet = await fleetFixture(4, (index) => ({ idc: index < 2 ? "eu" : "us" }));
  const made = await fleet.call("POST preheats", {
    body: { urls: [URL_A, `${URL_A}b`], scope: "idc=eu" },
  });

  const commands = await commandsOf(fleet.supernode);
  await fleet.supernode.beat({ results: commands.flatMap(doneOf) });

  expect(made.json).toMatchObject({ state: "running", counts: { pending: 4 }, round: 1 });
  expect(commands.map(({ kind }) => kind)).toEqual(["preheat", "preheat"]);
  for (const { hosts } of commands)
    expect(hosts!.toSorted()).toEqual(fleet.hosts.slice(0, 2).toSorted());
  const job = await stateOf(fleet, made.json.id, "done");
  expect(job).toMatchObject({ counts: { done: 4, pending: 0 }, doneBytes: 40 });
}, 60_000);

test("a share of the hosts is chosen once, by a digest, and is at least one host", () => {
  const ids = Array.from({ length: 100 }, (_, index) => `host-${index}`);

  const half = takeShare(ids, 50, "seed");

  expect(half).toHaveLength(50);
  expect(takeShare(ids.toReversed(), 50, "seed")).toEqual(half);
  expect(takeShare(ids, 50, "other")).not.toEqual(half);
  expect(takeShare(ids, 0.1, "seed")).toHaveLength(1);
  // A larger share of the same request takes more hosts, not others.
  expect(takeShare(ids, 80, "seed")).toEqual(expect.arrayContaining(half));
});

test("what failed in a way that may pass is ordered again as a new command, and then no more", async () => {
  const fleet = await fleetFixture(1, () => ({}));
  const { json } = await fleet.call("POST preheats", { body: { urls: [URL_A], scope: "peers" } });
  const failed = (command: Command, code: string): CommandResult[] => [
    {
      ...{ id: command.id, hostId: fleet.hosts[0]!, state: "failed" },
      error: { code, message: "because" },
    },
  ];

  const [first] = await commandsOf(fleet.supernode);
  const [second] = await commandsOf(fleet.supernode, failed(first!, "network"));
  await fleet.supernode.beat({ results: failed(second!, "source-not-found") });

  expect(second!.id).not.toBe(first!.id);
  await stateOf(fleet, json.id, "failed");
  const { json: page } = await fleet.call(`GET preheats/${json.id}/targets`);
  expect(page.targets).toMatchObject([
    { state: "failed", attempts: 2, error: { code: "source-not-found" } },
  ]);
}, 60_000);

test("the same request finds its job, by its content while it runs and by its key always", async () => {
  const fleet = await fleetFixture(1, () => ({}));
  const body = { urls: [URL_A], scope: "peers" };
  const headers = { "idempotency-key": "nightly 2026-01-31" };

  const first = await fleet.call("POST preheats", { body });
  const same = await fleet.call("POST preheats", { body });
  const keyed = await fleet.call("POST preheats", { body, headers });
  const again = await fleet.call("POST preheats", { body, headers });
  const other = await fleet.call("POST preheats", { body: { ...body, tag: "x" }, headers });

  expect(same.json.id).toBe(first.json.id);
  expect(same.headers.get("idempotent-replayed")).toBe("true");
  expect(keyed.json.id).not.toBe(first.json.id);
  expect(again.json.id).toBe(keyed.json.id);
  expect(other).toMatchObject({ status: 409, json: { code: "conflict" } });

  await fleet.supernode.beat({ results: (await commandsOf(fleet.supernode)).flatMap(doneOf) });
  await stateOf(fleet, first.json.id, "done");
  const later = await fleet.call("POST preheats", { body });
  expect(later.json).toMatchObject({ state: "running" });
  expect(later.json.id).not.toBe(first.json.id);
}, 60_000);

test("a cancelled job tells those that were told, and is over when they say so", async () => {
  const fleet = await fleetFixture(2, () => ({}));
  const { json } = await fleet.call("POST preheats", { body: { urls: [URL_A], scope: "peers" } });
  const [order] = await commandsOf(fleet.supernode);
  await fleet.supernode.beat({ results: doneOf(order!).slice(0, 1) });

  const { json: cancelled } = await fleet.call(`DELETE preheats/${json.id}`);
  const commands = await commandsOf(fleet.supernode);
  const error = { code: "interrupted", message: "cancelled" };
  await fleet.supernode.beat({
    results: commands.flatMap(({ id, hosts }) =>
      hosts!.map((hostId): CommandResult => ({ id, hostId, state: "failed", error })),
    ),
  });

  expect(cancelled).toMatchObject({ state: "cancelled", counts: { cancelling: 2 } });
  expect(commands).toMatchObject([{ kind: "cancel", id: order!.id }]);
  expect(commands[0]!.hosts!.toSorted()).toEqual(fleet.hosts.toSorted());
  const { json: after } = await fleet.call(`GET preheats/${json.id}`);
  expect(after.counts).toMatchObject({ cancelling: 0, cancelled: 2 });
}, 60_000);

test("what was cancelled before anyone was told is over at once, and may be asked for again", async () => {
  const fleet = await fleetFixture(1, () => ({}));
  const body = { urls: [URL_A], scope: "peers" };
  const first = await fleet.call("POST preheats", { body });

  const { json } = await fleet.call(`DELETE preheats/${first.json.id}`);
  const second = await fleet.call("POST preheats", { body });

  expect(json).toMatchObject({ state: "cancelled", counts: { cancelled: 1, cancelling: 0 } });
  expect(second.json.id).not.toBe(first.json.id);
}, 60_000);

test("when a host's supernode leaves, another one that the host comes to is told", async () => {
  const fleet = await fleetFixture(1, () => ({}));
  const other = await supernodeFixture(fleet.fixture, { address: "10.0.0.6:8002" });
  await fleet.call("POST preheats", { body: { urls: [URL_A], scope: "peers" } });
  const [first] = await commandsOf(fleet.supernode);

  await fleet.supernode.beat({ isLeaving: true });
  await other.beat({ hosts: { arrived: fleet.hosts, gone: [], isAll: true } });
  const [second] = await commandsOf(other);

  expect(second).toEqual(first);
}, 60_000);

test("a job that is kept fresh is done again by the same machines when its time has come", async () => {
  const fleet = await fleetFixture(1, () => ({}));
  const { json } = await fleet.call("POST preheats", {
    body: { urls: [URL_A], scope: "peers", refreshSeconds: 3_600 },
  });
  const [first] = await commandsOf(fleet.supernode);
  await fleet.supernode.beat({ results: doneOf(first!) });
  const { nextRunAt } = await stateOf(fleet, json.id, "done");

  using database = new Database(join(fleet.dataDir, "fleet.sqlite"));
  database.run("PRAGMA busy_timeout = 5000");
  database.run("UPDATE preheat_jobs SET next_run_at = 1");
  const [second] = await commandsOf(fleet.supernode);

  expect(nextRunAt).toBe(json.createdAt + 3_600_000);
  expect(second).toMatchObject({ kind: "preheat", hosts: first!.hosts });
  expect(second!.id).not.toBe(first!.id);
  expect((await fleet.call(`GET preheats/${json.id}`)).json).toMatchObject({
    ...{ state: "running", round: 2, counts: { sent: 1 } },
  });
}, 60_000);

test("a host that is away does not keep the others from the next round", async () => {
  const fleet = await fleetFixture(2, () => ({}));
  const [present, away] = fleet.hosts as [string, string];
  const { json } = await fleet.call("POST preheats", {
    body: { urls: [URL_A], scope: "peers", refreshSeconds: 3_600 },
  });
  const [first] = await commandsOf(fleet.supernode);
  await fleet.supernode.beat({
    hosts: { arrived: [], gone: [away], isAll: false },
    results: doneOf({ ...first!, hosts: [present] }),
  });

  using database = new Database(join(fleet.dataDir, "fleet.sqlite"));
  database.run("PRAGMA busy_timeout = 5000");
  database.run("UPDATE preheat_jobs SET next_run_at = 1");
  const [second] = await commandsOf(fleet.supernode);

  expect(second!.hosts).toEqual([present]);
  expect((await fleet.call(`GET preheats/${json.id}`)).json).toMatchObject({
    ...{ state: "running", round: 2, counts: { sent: 1, pending: 1 } },
  });
}, 60_000);

test("headers rest sealed, and private ones are refused with the reason", async () => {
  const fleet = await fleetFixture(1, () => ({}));
  const headers = { "X-Edition": "very-recognisable-value" };

  const refused = await fleet.call("POST preheats", {
    body: { urls: [URL_A], scope: "peers", headers },
  });
  const cookie = await fleet.call("POST preheats", {
    body: { urls: [URL_A], headers: { Cookie: "a=b" }, publicHeaders: ["Cookie"] },
  });
  const signed = await fleet.call("POST preheats", {
    body: { urls: [`${URL_A}?X-Amz-Signature=very-secret`] },
  });
  const made = await fleet.call("POST preheats", {
    body: { urls: [URL_A], scope: "peers", headers, publicHeaders: ["x-edition"] },
  });
  const [command] = await commandsOf(fleet.supernode);

  expect(refused).toMatchObject({ status: 422, json: { code: "not-shareable" } });
  expect(refused.json.detail).toContain("header X-Edition");
  expect(refused.json.hint).toContain("--header-public");
  expect([cookie.status, signed.status]).toEqual([422, 422]);
  expect(JSON.stringify(signed.json)).not.toContain("very-secret");
  expect(made.json.headerNames).toEqual(["X-Edition"]);
  expect(command).toMatchObject({ task: { headers } });
  using database = new Database(join(fleet.dataDir, "fleet.sqlite"), { readonly: true });
  const [row] = database.query("SELECT * FROM preheat_jobs WHERE sealed_headers IS NOT NULL").all();
  expect(JSON.stringify(row)).toContain("sealed_headers");
  expect(JSON.stringify(row)).not.toContain("recognisable");
}, 60_000);

test.each([
  ["an unknown field", { urls: [URL_A], priority: 1 }],
  ["no URL", { urls: [] }],
  ["what is no URL", { urls: ["ftp://a/b"] }],
  ["a scope that is none", { urls: [URL_A], scope: "150%" }],
  ["keeping shorter than refreshing", { urls: [URL_A], refreshSeconds: 600, keepSeconds: 60 }],
  ["hosts where there is none", { urls: [URL_A], scope: "idc=nowhere" }],
])("%s is refused with a problem", async (_, body) => {
  const { call } = await configFixture(session);

  const { status, json } = await call("POST preheats", { body });

  expect(status).toBe(400);
  expect(json.type).toBe("urn:df:problem:usage");
});

test("jobs and targets are listed page by page", async () => {
  const fleet = await fleetFixture(3, () => ({}));
  for (const tag of ["1", "2", "3"])
    await fleet.call("POST preheats", { body: { urls: [URL_A], scope: "peers", tag } });

  const first = (await fleet.call("GET preheats?limit=2")).json;
  const rest = (await fleet.call(`GET preheats?limit=2&after=${first.next}`)).json;
  const id = rest.preheats[0].id as string;
  const some = (await fleet.call(`GET preheats/${id}/targets?limit=2&state=pending`)).json;
  const more = (await fleet.call(`GET preheats/${id}/targets?limit=2&after=${some.next}`)).json;

  expect([first.preheats.length, rest.preheats.length, rest.next]).toEqual([2, 1, null]);
  const hosts = [...some.targets, ...more.targets].map(({ hostId }: { hostId: string }) => hostId);
  expect(hosts).toEqual(fleet.hosts.toSorted());
  expect(more.next).toBeNull();
}, 60_000);

test("a restarted df config goes on with its jobs", async () => {
  const fleet = await fleetFixture(1, () => ({}));
  const { json } = await fleet.call("POST preheats", { body: { urls: [URL_A], scope: "peers" } });
  const [order] = await commandsOf(fleet.supernode);
  await fleet.config.stop();

  const again = await configFixture(session, { dataDir: fleet.dataDir });
  const body = {
    ...{ hostId: fleet.supernode.machine.hostId, version: "1", labels: {}, contents: 0 },
    addresses: [{ address: "10.0.0.5:8002" }],
    load: { peers: 1, downloads: 0, uploadBytesPerSec: 0, sourceBytesPerSec: 0 },
    disk: { usedBytes: 0, quotaBytes: null, freeBytes: 1 },
    ...{ settingsVersion: 0, results: doneOf(order!) },
  };
  await again.call("POST heartbeat", { body, token: fleet.supernode.credential });

  const job = await stateOf(again, json.id, "done");
  expect(job.counts.done).toBe(1);
}, 60_000);
