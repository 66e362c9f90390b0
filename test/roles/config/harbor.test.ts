// What Harbor's preheat drivers send, replayed as their source has it, and what registries tell of pushes. The
// registry is real, the supernode scripted.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { Session } from "../../../bench/harness/session.ts";
import type { Command, CommandResult } from "../../../src/net/wire/command.ts";
import type { HarborJob } from "../../../src/net/wire/harbor-api.ts";
import { jobOfNumber, newJobId, numberOfJob } from "../../../src/roles/config/preheats/job-id.ts";
import type { ConfigOptions } from "../../../src/roles/config/start-config.ts";
import {
  type Answer,
  configFixture,
  type ConfigFixture,
  type LivingSupernode,
  supernodeFixture,
} from "../../fixtures/config-fixture.ts";
import { buildImage, type BuiltImage } from "../../fixtures/image-builder.ts";
import { pushImage } from "../../fixtures/registry-push.ts";
import {
  hasRegistry,
  type RunningRegistry,
  startRegistry,
} from "../../fixtures/registry-server.ts";
import { startTokenServer } from "../../fixtures/registry-token-server.ts";

const ANN = { username: "ann", password: "right" };

const ending = Promise.withResolvers<void>();
let session: Session;
let running: Promise<void>;
let registry: RunningRegistry;
let guarded: RunningRegistry;
let image: BuiltImage;
beforeAll(async () => {
  const started = Promise.withResolvers<void>();
  running = Session.run("harbor", async (own) => {
    session = own;
    started.resolve();
    await ending.promise;
  });
  await started.promise;
  if (!hasRegistry) return;
  registry = await startRegistry(session);
  const tokens = await startTokenServer(session, { users: { ann: ANN.password } });
  guarded = await startRegistry(session, { name: "guarded", auth: { token: tokens } });
  image = buildImage({ layers: [4096, 8192] });
  await pushImage(registry, { repository: "library/app", tag: "v1" }, image);
  await pushImage(guarded, { repository: "team/app", tag: "v1" }, image, { credentials: ANN });
}, 60_000);
afterAll(async () => {
  ending.resolve();
  await running;
});

type HarborAnswer = Pick<Answer, "status" | "json">;

interface HarborFixture extends ConfigFixture {
  supernode: LivingSupernode;
  /** A token with the role operator. */
  operator: string;
  /** As Harbor's HTTP client sends it. */
  harbor: (
    route: string,
    options?: { body?: unknown; headers?: Record<string, string>; type?: string },
  ) => Promise<HarborAnswer>;
}

async function harborFixture(change: Partial<ConfigOptions> = {}): Promise<HarborFixture> {
  const fixture = await configFixture(session, change);
  const supernode = await supernodeFixture(fixture, { address: "10.0.0.5:8002" });
  const made = await fixture.call("POST tokens", { body: { kind: "admin", role: "operator" } });
  const operator = made.json.secret as string;
  return {
    ...{ ...fixture, supernode, operator },
    async harbor(route, { body, headers, type = "application/json" } = {}) {
      const [method, path] = route.split(" ") as [string, string];
      const response = await fetch(fixture.url + path, {
        method,
        headers: {
          accept: "application/json",
          ...(body === undefined ? {} : { "content-type": type }),
          ...(headers ?? { authorization: `Bearer ${operator}` }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, json: text === "" ? null : JSON.parse(text) };
    },
  };
}

/** Beats until so many commands were told. */
async function commandsOf(supernode: LivingSupernode, count: number): Promise<Command[]> {
  const told = new Map<string, Command>();
  while (told.size < count) {
    const { json } = await supernode.beat();
    for (const command of json.commands) told.set(command.id, command);
    await Bun.sleep(20);
  }
  return [...told.values()];
}

function resultsOf({ supernode }: HarborFixture, commands: readonly Command[], error?: object) {
  return commands.map(({ id }) => ({
    ...{ id, hostId: supernode.machine.hostId, doneBytes: 10, length: 10 },
    ...(error === undefined ? { state: "done" } : { state: "failed", error }),
  })) as CommandResult[];
}

async function until<Body>(ask: () => Promise<Body>, isIt: (body: Body) => boolean): Promise<Body> {
  for (;;) {
    const body = await ask();
    if (isIt(body)) return body;
    await Bun.sleep(50);
  }
}

/** What the driver of Harbor's present versions sends; its Go types have no "omitempty". */
function jobRequest(url: string, headers: Record<string, string> = {}, scope = "single_peer") {
  return {
    type: "preheat",
    args: {
      ...{ type: "image", url, tag: "", filtered_query_params: "", headers, scope },
      ...{ concurrent_count: 0, timeout: 0 },
    },
    scheduler_cluster_ids: null,
  };
}

test.if(hasRegistry)(
  "the present driver's test of the connection, order and questions are answered as it reads them",
  async () => {
    const fixture = await harborFixture();
    const { harbor, supernode } = fixture;
    const url = `${registry.url}/v2/library/app/manifests/v1`;

    const healthy = await harbor("GET /healthy");
    const made = await harbor("POST /oapi/v1/jobs", { body: jobRequest(url) });
    const waiting = await harbor(`GET /oapi/v1/jobs/${made.json.id}`);
    const commands = await commandsOf(supernode, 4);
    await supernode.beat({ results: resultsOf(fixture, commands) });
    const ask = () => harbor(`GET /oapi/v1/jobs/${made.json.id}`);
    const done: HarborJob = (await until(ask, ({ json }) => json.state !== "PENDING")).json;

    expect(healthy.status).toBe(200);
    expect(made.status).toBe(200);
    expect(Number.isSafeInteger(made.json.id)).toBe(true);
    expect(waiting.json.state).toBe("PENDING");
    expect(new Date(made.json.created_at).toISOString()).toBe(made.json.created_at);
    expect(commands.map((command) => (command as { task: object }).task)).toEqual(
      expect.arrayContaining(
        [image.manifest, image.config, ...image.layers].map(({ digest }) =>
          expect.objectContaining({ checksum: digest }),
        ),
      ),
    );
    expect(done.state).toBe("SUCCESS");
    const [state] = done.result.job_states;
    const [result] = state!.results;
    expect(result!.success_tasks).toHaveLength(4);
    expect(result!.success_tasks[0]).toMatchObject({ hostname: "host-1", ip: "10.0.0.5" });
    expect(result!.success_tasks.map(({ url: blob }) => blob)).toContain(
      `${registry.url}/v2/library/app/blobs/${image.layers[0]!.digest}`,
    );
  },
  60_000,
);

test.if(hasRegistry)(
  "a failure is told with its reason in both generations, and what there is none of with 404",
  async () => {
    const fixture = await harborFixture();
    const { harbor, supernode } = fixture;
    const url = `${registry.url}/v2/library/app/manifests/v1`;
    const { json } = await harbor("POST /oapi/v1/jobs", { body: jobRequest(url) });
    const commands = await commandsOf(supernode, 4);

    const error = { code: "source-not-found", message: "the source answered 404" };
    await supernode.beat({ results: resultsOf(fixture, commands, error) });
    const ask = () => harbor(`GET /oapi/v1/jobs/${json.id}`);
    const failed = await until(ask, ({ json: now }) => now.state !== "PENDING");
    const older = await harbor(`GET /preheats/${jobOfNumber(json.id)}`);

    expect(failed.json.state).toBe("FAILURE");
    expect(failed.json.result.job_states[0]!.error).toContain("the source answered 404");
    expect(failed.json.result.job_states[0]!.results[0]!.failure_tasks).toHaveLength(4);
    expect(older.json).toMatchObject({ status: "FAILED" });
    expect(older.json.errorMsg).toContain("the source answered 404");
    expect(older.json.finishTime).not.toBe("");
    const unknown = ["/oapi/v1/jobs/1", "/oapi/v1/jobs/x", "/preheats/x"];
    for (const path of unknown) expect((await harbor(`GET ${path}`)).status).toBe(404);
  },
  60_000,
);

test.if(hasRegistry)(
  "the older driver is told that an image was preheated already by 208",
  async () => {
    const fixture = await harborFixture();
    const { harbor, supernode } = fixture;
    // PreheatImage of the driver.
    const body = {
      ...{ type: "image", url: `${registry.url}/v2/library/app/manifests/v1` },
      ...{ headers: { Authorization: "Bearer x" }, image: "library/app", tag: "v1", digest: "" },
    };

    const ping = await harbor("GET /_ping");
    const first = await harbor("POST /preheats", { body });
    const waiting = await harbor(`GET /preheats/${first.json.ID}`);
    const same = await harbor("POST /preheats", { body });
    const commands = await commandsOf(supernode, 4);
    const running = await harbor(`GET /preheats/${first.json.ID}`);
    await supernode.beat({ results: resultsOf(fixture, commands) });
    const ask = () => harbor(`GET /preheats/${first.json.ID}`);
    const done = await until(ask, ({ json }) => json.status === "SUCCESS");
    const again = await harbor("POST /preheats", { body });

    expect(ping.status).toBe(200);
    expect([first.status, same.status]).toEqual([200, 200]);
    expect(same.json.ID).toBe(first.json.ID);
    expect([waiting.json.status, running.json.status]).toEqual(["WAITING", "RUNNING"]);
    expect(done.json).toMatchObject({ ID: first.json.ID, errorMsg: "" });
    expect(again).toMatchObject({ status: 208, json: { ID: first.json.ID } });
  },
  60_000,
);

test.if(hasRegistry)(
  "a private image is ordered with the credentials that Harbor sends along; machines see tokens, answers nothing",
  async () => {
    const { harbor, supernode, warnings } = await harborFixture();
    const url = `${guarded.url}/v2/team/app/manifests/v1`;
    const authorization = `Basic ${btoa("ann:right")}`;

    const refused = await harbor("POST /oapi/v1/jobs", { body: jobRequest(url) });
    const headers = { Authorization: authorization };
    const made = await harbor("POST /oapi/v1/jobs", { body: jobRequest(url, headers) });
    const commands = await commandsOf(supernode, 4);

    expect(refused.status).toBe(401);
    expect(made.status).toBe(200);
    for (const command of commands) {
      const { credentials, url: of } = (command as Extract<Command, { kind: "preheat" }>).task;
      expect(credentials).toMatchObject({ url: of });
      expect(credentials!.headers["authorization"]).toStartWith("Bearer ey");
    }
    expect(JSON.stringify([made.json, warnings])).not.toContain(authorization.slice(6));
  },
  60_000,
);

test.if(hasRegistry)(
  "what the Kraken driver and a registry's own notifications tell of pushed manifests is brought, once",
  async () => {
    const { harbor, supernode, call, warnings } = await harborFixture();
    const byTag = `${registry.url}/v2/library/app/manifests/v1`;
    const byDigest = `${registry.url}/v2/library/app/manifests/${image.manifest.digest}`;
    const mediaType = "application/vnd.docker.distribution.manifest.v2+json";
    // Harbor's Go types have no names for JSON.
    const kraken = {
      Events: [
        {
          ...{ Id: "x", TimeStamp: "2026-01-01T00:00:00Z", Action: "push" },
          Target: { MediaType: mediaType, Digest: "", Repository: "library/app", Url: byTag },
          ...{ Request: null, Actor: null },
        },
      ],
    };
    const event = (action: string, target: object) => ({ id: crypto.randomUUID(), action, target });
    const docker = {
      events: [
        event("push", { mediaType, url: byDigest, digest: image.manifest.digest, size: 9 }),
        event("push", {
          mediaType: "application/octet-stream",
          url: `${registry.url}/v2/x/blobs/y`,
        }),
        event("pull", { mediaType, url: byTag }),
        event("delete", { digest: image.manifest.digest, repository: "library/app" }),
        event("push", { mediaType, url: `${registry.url}/v2/library/gone/manifests/v1` }),
      ],
    };
    const type = "application/vnd.docker.distribution.events.v1+json";

    const health = await harbor("GET /health");
    const pushed = await harbor("POST /registry/notifications", { body: kraken });
    const told = await harbor("POST /registry/notifications?platforms=all", { body: docker, type });
    const again = await harbor("POST /registry/notifications?platforms=all", {
      body: docker,
      type,
    });
    await until(
      () => call("GET preheats"),
      ({ json }) => json.preheats.length === 1 && warnings.length >= 1,
    );
    await commandsOf(supernode, 4);

    expect(health.status).toBe(200);
    expect(pushed).toMatchObject({ status: 202, json: { images: 1 } });
    expect(told).toMatchObject({ status: 202, json: { images: 2 } });
    expect(again).toMatchObject({ status: 202 });
    expect(warnings[0]).toContain("library/gone");
    const wrong = ["?scope=none", "?platforms=x", "?keepSeconds=1", "?unknown=1"];
    for (const query of wrong) {
      const answer = await harbor(`POST /registry/notifications${query}`, { body: docker });
      expect(answer.status).toBe(400);
    }
  },
  60_000,
);

/** "host:port" where nothing listens. */
async function deadAddress(): Promise<string> {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const { port } = server;
  await server.stop(true);
  return `127.0.0.1:${port}`;
}

test("Harbor's ways of authentication show a token; a wrong one, a weak one and none are refused", async () => {
  const fixture = await harborFixture();
  const { harbor, operator, call } = fixture;
  const viewer = (await call("POST tokens", { body: { kind: "admin", role: "viewer" } })).json;
  const body = jobRequest(`http://${await deadAddress()}/v2/app/manifests/v1`);
  const ways = (token: string): Record<string, string>[] => [
    { authorization: `Bearer ${token}` },
    { authorization: `Basic ${btoa(`harbor:${token}`)}` },
    { "x-dragonfly-token": token },
  ];
  const statusOf = async (headers: Record<string, string>): Promise<number[]> => [
    (await harbor("GET /healthy", { headers })).status,
    (await harbor("POST /oapi/v1/jobs", { body, headers })).status,
  ];

  // The order goes as far as its registry, which is not there.
  for (const headers of ways(operator)) expect(await statusOf(headers)).toEqual([200, 502]);
  for (const headers of ways(viewer.secret)) expect(await statusOf(headers)).toEqual([200, 403]);
  for (const headers of [...ways("wrong"), ...ways(`${operator}x`), {}]) {
    expect(await statusOf(headers)).toEqual([401, 401]);
  }
  // Our own routes know the bearer alone.
  const own = await harbor("GET /api/v1/whoami", { headers: { "x-dragonfly-token": operator } });
  expect(own.status).toBe(401);
}, 60_000);

test("without a token orders are taken where an administrator opened that, on loopback alone", async () => {
  const { harbor } = await harborFixture({ isPreheatOpen: true });
  const body = jobRequest(`http://${await deadAddress()}/v2/app/manifests/v1`);

  const healthy = await harbor("GET /_ping", { headers: {} });
  const order = await harbor("POST /oapi/v1/jobs", { body, headers: {} });
  const own = await harbor("GET /api/v1/preheats", { headers: {} });
  const page = await harbor("POST /preheats", { body, headers: { origin: "http://evil.example" } });

  expect([healthy.status, order.status, own.status, page.status]).toEqual([200, 502, 401, 403]);
  for (const change of [
    { listen: { hostname: "0.0.0.0", port: 0 } },
    { urls: ["https://config.example"], tls: "off" as const },
  ]) {
    const opened = configFixture(session, { isPreheatOpen: true, ...change });
    await expect(opened).rejects.toMatchObject({ code: "usage" });
  }
}, 60_000);

test("T-12: an order of Harbor's leads to no address that supernodes would not read either", async () => {
  const listen = { hostname: "0.0.0.0", port: 0 };
  const { harbor } = await sharedFixture(listen);

  for (const host of ["127.0.0.1:1", "169.254.169.254", "[::1]:1", "metadata.google.internal"]) {
    const body = jobRequest(`http://${host}/v2/app/manifests/v1`);
    const { status, json } = await harbor("POST /oapi/v1/jobs", { body });
    expect([status, json.code]).toEqual([422, "not-shareable"]);
  }
});

/** Reached by others: loopback means another machine to them. */
async function sharedFixture(
  listen: ConfigOptions["listen"],
): Promise<Pick<HarborFixture, "harbor">> {
  const fixture = await configFixture(session, { listen, tls: "off" });
  const url = fixture.url.replace("0.0.0.0", "127.0.0.1");
  return {
    async harbor(route, { body } = {}) {
      const [method, path] = route.split(" ") as [string, string];
      const headers = {
        "content-type": "application/json",
        authorization: `Bearer ${fixture.adminToken}`,
      };
      const response = await fetch(url + path, { method, headers, body: JSON.stringify(body) });
      return { status: response.status, json: await response.json() };
    },
  };
}

test.each([
  ["what is no preheat", { type: "sync_peers", args: { type: "image", url: "x" } }],
  ["an image that is none", jobRequest("https://harbor.example/v2/UPPER/manifests/v1")],
  ["another page of the registry", jobRequest("https://harbor.example/api/v2.0/projects")],
  ["a scope that is none", jobRequest("https://harbor.example/v2/a/manifests/v1", {}, "moon")],
  ["hosts by address", { type: "preheat", args: { type: "image", url: "a", ips: ["10.0.0.1"] } }],
  ["a file that is no URL", { type: "preheat", args: { type: "file", url: "ftp://a/b" } }],
  ["several images", { type: "preheat", args: { type: "image", urls: ["alpine", "busybox"] } }],
])("%s is refused with a problem", async (_, body) => {
  const { harbor } = await harborFixture();

  const { status, json } = await harbor("POST /oapi/v1/jobs", { body });

  expect([status, json.code]).toEqual([400, "usage"]);
});

test("files are ordered like any URL, with the names of parameters that change no bytes", async () => {
  const { harbor, supernode } = await harborFixture();
  const body = {
    type: "preheat",
    args: {
      ...{ type: "file", url: "https://files.example/a?x=1", tag: "t" },
      ...{ filtered_query_params: "x&y", headers: null, scope: "all_seed_peers" },
    },
  };

  const made = await harbor("POST /oapi/v1/jobs", { body });
  const [command] = await commandsOf(supernode, 1);

  expect(made.json.args).toMatchObject({ type: "file", scope: "supernodes" });
  expect(command).toMatchObject({
    task: { url: "https://files.example/a?x=1", tag: "t", filterQuery: ["x", "y"] },
  });
});

test("each job's ID is a number that is exact, and the number its ID", () => {
  for (const nowMs of [0, 1, Date.now(), Date.UTC(2100, 0)]) {
    const id = newJobId(nowMs);
    expect(id).toMatch(/^[0-9a-f]{20}$/);
    expect(Number.isSafeInteger(numberOfJob(id))).toBe(true);
    expect(jobOfNumber(numberOfJob(id))).toBe(id);
  }
});
