// What administrators do: clusters, rules, tokens.

import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { Session } from "../../../bench/harness/session.ts";
import { isDfError } from "../../../src/errors.ts";
import { createdTokenSchema } from "../../../src/net/wire/admin-api.ts";
import { parseJoinString } from "../../../src/net/fleet/join-string.ts";
import { configFixture, supernodeFixture } from "../../fixtures/config-fixture.ts";

test("clusters that get contents from each other never go round in a circle", async () => {
  await Session.run("resources", async (session) => {
    const fixture = await configFixture(session);
    const make = (name: string, upstream: string | null) =>
      fixture.call("POST clusters", { body: { name, upstream } });
    const change = (name: string, upstream: string | null) =>
      fixture.call(`PATCH clusters/${name}`, { body: { upstream } });

    expect((await make("a", null)).status).toBe(200);
    expect((await make("a", null)).status).toBe(409);
    expect((await make("b", "a")).status).toBe(200);
    expect((await make("c", "b")).status).toBe(200);
    expect((await make("d", "nowhere")).status).toBe(400);
    expect((await change("a", "c")).status).toBe(409);
    expect((await change("a", "a")).status).toBe(409);
    expect((await change("c", "a")).status).toBe(200);
    expect((await change("nowhere", null)).status).toBe(404);
    expect((await fixture.call("GET clusters/c")).json).toMatchObject({ upstream: "a" });
  });
});

test("a cluster that something uses stays", async () => {
  await Session.run("resources", async (session) => {
    const fixture = await configFixture(session);
    for (const name of ["up", "ruled", "free"]) {
      await fixture.call("POST clusters", { body: { name } });
    }
    await fixture.call("POST clusters", { body: { name: "down", upstream: "up" } });
    await fixture.call("PUT rules/r", { body: { clusters: ["ruled"] } });
    await supernodeFixture(fixture, { address: "10.0.0.1:8002", cluster: "served" });
    const remove = async (name: string): Promise<number> =>
      (await fixture.call(`DELETE clusters/${name}`)).status;

    expect(await Promise.all(["up", "ruled", "served"].map(remove))).toEqual([409, 409, 409]);
    expect(await remove("free")).toBe(204);
    expect(await remove("free")).toBe(404);
  });
});

test("a rule with an address block that is none is refused", async () => {
  await Session.run("resources", async (session) => {
    const fixture = await configFixture(session);
    const rule = (cidr: string) => ({ conditions: { cidrs: [cidr] }, clusters: ["a"] });

    for (const cidr of ["10.0.0.0/33", "10.0.0", "fd00::/129", "hosts"]) {
      const { status, json } = await fixture.call("POST rules", { body: rule(cidr) });
      expect([status, json.detail]).toEqual([400, expect.stringContaining(cidr)]);
    }
    const made = await fixture.call("POST rules", { body: rule("fd00::/8") });
    const listed = await fixture.call("GET rules");
    expect(listed.json.rules).toEqual([made.json]);
    expect((await fixture.call(`DELETE rules/${made.json.id}`)).status).toBe(204);
    expect((await fixture.call(`DELETE rules/${made.json.id}`)).status).toBe(404);
  });
});

test("a token's secret is told once, and lists hold none", async () => {
  await Session.run("resources", async (session) => {
    const fixture = await configFixture(session, { urls: ["http://config.test:8000"] });

    const body = {
      kind: "join",
      cluster: "hz",
      usesMax: 2,
      expiresInSeconds: 60,
      comment: "rack 7",
    };
    const made = createdTokenSchema.parse((await fixture.call("POST tokens", { body })).json);
    const listed = await fixture.call("GET tokens");

    const { token, ...place } = parseJoinString(made.joinString!);
    expect(token?.reveal()).toBe(made.secret);
    expect(place).toEqual({
      urls: ["http://config.test:8000"],
      fleetKey: fixture.config.fleetKey,
      isProxied: false,
    });
    expect(listed.json.tokens[0]).toMatchObject({
      ...{ id: made.id, cluster: "hz", usesMax: 2, useCount: 0, comment: "rack 7" },
    });
    expect(JSON.stringify(listed.json)).not.toContain(made.secret);
    expect(JSON.stringify(listed.json)).not.toContain("ecretSha");
  });
});

test("only an admin makes administrators, and the last one stays", async () => {
  await Session.run("resources", async (session) => {
    const fixture = await configFixture(session);
    const make = (role: string, token = fixture.adminToken) =>
      fixture.call("POST tokens", { body: { kind: "admin", role }, token });
    const operator = (await make("operator")).json;
    const me = (await fixture.call("GET whoami")).json;

    expect(me).toMatchObject({ role: "admin", expiresAt: null });
    expect((await make("viewer", operator.secret)).status).toBe(403);
    expect((await fixture.call(`DELETE tokens/${me.tokenId}`)).status).toBe(409);
    const second = (await make("admin")).json;
    expect((await fixture.call(`DELETE tokens/${me.tokenId}`)).status).toBe(204);
    expect((await fixture.call("GET whoami")).status).toBe(401);
    expect((await fixture.call("GET whoami", { token: second.secret })).status).toBe(200);
  });
});

test("what administrators change is told with their token's ID, what they only try is not", async () => {
  await Session.run("resources", async (session) => {
    const changes: string[] = [];
    const fixture = await configFixture(session, { onChange: (message) => changes.push(message) });
    const { tokenId } = (await fixture.call("GET whoami")).json;

    await fixture.call("POST clusters", { body: { name: "a" } });
    await fixture.call("POST clusters", { body: { name: "a" } });
    await fixture.call("DELETE clusters/a");

    expect(changes).toEqual([
      `POST /api/v1/clusters by token ${tokenId}`,
      `DELETE /api/v1/clusters/a by token ${tokenId}`,
    ]);
  });
});

test("keys and first tokens are files that only their owner reads, and a second start makes none", async () => {
  await Session.run("resources", async (session) => {
    const first = await configFixture(session);
    const { dataDir } = first;
    const secret = ["keys.json", "admin-token", "join", "fleet.sqlite", "fleet.sqlite-wal"];
    const modes = secret.map((name) => statSync(join(dataDir, name)).mode & 0o777);
    const before = readFileSync(join(dataDir, "admin-token"), "utf8");
    await first.config.stop();

    const second = await configFixture(session, { dataDir });
    await second.config.stop();
    const third = await configFixture(session, { dataDir, isAdminTokenWanted: true });

    expect(modes).toEqual(secret.map(() => 0o600));
    expect(second.config.firstStart).toEqual({ adminToken: null, joinString: null });
    expect(second.adminToken).toBe(before.trim());
    expect(third.adminToken).not.toBe(before.trim());
    expect((await third.call("GET whoami")).status).toBe(200);
    expect((await third.call("GET whoami", { token: before.trim() })).status).toBe(200);
  });
});

test("a fleet is not served with other keys, damaged keys, or keys that others can read", async () => {
  await Session.run("resources", async (session) => {
    const { config, dataDir } = await configFixture(session);
    await config.stop();
    const other = await configFixture(session);
    await other.config.stop();
    const refusal = async (keysPath: string): Promise<string> => {
      const error = await configFixture(session, { dataDir, keysPath }).catch((error) => error);
      return isDfError(error) ? error.code : "started";
    };
    const keysFile = join(session.folder, "keys");
    const write = async (text: string, mode: number): Promise<string> => {
      await Bun.write(keysFile, text, { mode });
      await Bun.$`chmod ${mode.toString(8)} ${keysFile}`;
      return keysFile;
    };
    const right = readFileSync(join(dataDir, "keys.json"), "utf8");

    expect(await refusal(join(other.dataDir, "keys.json"))).toBe("denied");
    expect(await refusal(join(session.folder, "absent"))).toBe("denied");
    expect(await refusal(await write(right.slice(0, -9), 0o600))).toBe("file-unreadable");
    expect(await refusal(await write(right, 0o644))).toBe("denied");
    expect(await refusal(await write(right, 0o600))).toBe("started");
  });
});

test("the page of the API needs nothing from elsewhere", async () => {
  await Session.run("resources", async (session) => {
    const { url } = await configFixture(session);

    const page = await fetch(`${url}/docs`);
    const html = await page.text();
    const assets = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path!);
    const answers = await Promise.all(assets.map((path) => fetch(`${url}/${path}`)));

    expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(assets.some((path) => path.includes("//"))).toBe(false);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect((await answers[1]!.text()).length).toBeGreaterThan(1_000_000);
    expect((await fetch(`${url}/docs/../keys.json`)).status).toBe(404);
  });
});
