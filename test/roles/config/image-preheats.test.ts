// Orders of images as df config keeps them: what machines are told, and when. The registries are real, the
// supernodes scripted.

import { expect, test } from "bun:test";
import { Session } from "../../../bench/harness/session.ts";
import type { Command, CommandResult } from "../../../src/net/wire/command.ts";
import {
  configFixture,
  type LivingSupernode,
  supernodeFixture,
} from "../../fixtures/config-fixture.ts";
import { buildImage, buildIndex } from "../../fixtures/image-builder.ts";
import { pushImage } from "../../fixtures/registry-push.ts";
import { hasRegistry, startRegistry } from "../../fixtures/registry-server.ts";
import { startTokenServer } from "../../fixtures/registry-token-server.ts";

const ANN = { username: "ann", password: "right" };
const authorization = `Basic ${btoa("ann:right")}`;

type PreheatCommand = Extract<Command, { kind: "preheat" }>;

async function commandsOf(
  supernode: LivingSupernode,
  count: number,
  results: CommandResult[] = [],
): Promise<PreheatCommand[]> {
  const told = new Map<string, PreheatCommand>();
  for (let beats = 0; told.size < count; beats++) {
    const { json } = await supernode.beat({ results: beats === 0 ? results : [] });
    for (const command of json.commands) told.set(command.id, command as PreheatCommand);
    await Bun.sleep(20);
  }
  return [...told.values()];
}

/** A registry with one private image, whose tokens are of a server of the test's own. */
async function guardedRegistry(session: Session) {
  const tokens = await startTokenServer(session, { users: { ann: ANN.password } });
  const registry = await startRegistry(session, { auth: { token: tokens } });
  const image = buildImage({ layers: [4096] });
  const name = await pushImage(registry, { repository: "app" }, image, { credentials: ANN });
  return { tokens, registry, image, name };
}

test.if(hasRegistry)(
  "an image for another machine is refused only when its platform was named",
  () =>
    Session.run("image-preheats", async (session) => {
      const registry = await startRegistry(session);
      const platform = { os: "linux", architecture: "s390x" };
      const image = buildImage({ layers: [4096], platform });
      const name = await pushImage(registry, { repository: "app" }, image);
      const fixture = await configFixture(session);
      await supernodeFixture(fixture, { address: "10.0.0.5:8002" });
      const order = (change: object) =>
        fixture.call("POST preheats/images", { body: { image: name, ...change } });

      const unnamed = await order({});
      const named = await order({ platforms: "linux/s390x" });
      const other = await order({ platforms: "linux/arm64" });

      expect([unnamed.status, named.status, other.status]).toEqual([200, 200, 404]);
      expect(JSON.stringify(other.json)).toContain("it is not there for linux/arm64");
    }),
);

test.if(hasRegistry)("two names of the same manifests are one job, other platforms another", () =>
  Session.run("image-preheats", async (session) => {
    const registry = await startRegistry(session);
    const images = ["amd64", "arm64"].map((architecture, seed) =>
      buildImage({ layers: [4096], seed, platform: { os: "linux", architecture } }),
    );
    for (const tag of ["v1", "latest"])
      await pushImage(registry, { repository: "app", tag }, buildIndex(images));
    const fixture = await configFixture(session);
    await supernodeFixture(fixture, { address: "10.0.0.5:8002" });
    const order = (image: string, change = {}) =>
      fixture.call("POST preheats/images", {
        body: { image, platforms: "linux/amd64", ...change },
      });

    const first = await order(`${registry.address}/app:v1`);
    const same = await order(`${registry.address}/app`);
    const byUrl = await order(`${registry.url}/v2/app/manifests/latest`);
    const other = await order(`${registry.address}/app:v1`, { platforms: "all" });
    const headers = { "idempotency-key": "build 7" };
    const keyed = () =>
      fixture.call("POST preheats/images", {
        ...{ headers, body: { image: `${registry.address}/app:v1`, platforms: "linux/amd64" } },
      });
    const before = await keyed();
    await pushImage(registry, { repository: "app", tag: "v1" }, images[0]!);
    const after = await keyed();

    expect(first.json.urls).toHaveLength(1 + 3);
    expect([same.json.id, byUrl.json.id]).toEqual([first.json.id, first.json.id]);
    expect(same.headers.get("idempotent-replayed")).toBe("true");
    expect(other.json.id).not.toBe(first.json.id);
    expect(other.json.urls).toHaveLength(1 + 2 * 3);
    // The tag moved meanwhile.
    expect(after.json.id).toBe(before.json.id);
  }),
);

test.if(hasRegistry)(
  "a machine whose token ended is told a new one, however often, and goes on",
  () =>
    Session.run("image-preheats", async (session) => {
      const { name, tokens } = await guardedRegistry(session);
      const fixture = await configFixture(session);
      const supernode = await supernodeFixture(fixture, { address: "10.0.0.5:8002" });
      const { json } = await fixture.call("POST preheats/images", {
        body: { image: name, authorization },
      });
      const [first, ...others] = await commandsOf(supernode, 3);
      const { hostId } = supernode.machine;
      const error = { code: "source-unauthorized", message: "the source answered 401" };

      const [second] = await commandsOf(supernode, 1, [
        { id: first!.id, hostId, state: "failed", error },
        ...others.map(({ id }): CommandResult => ({ id, hostId, state: "done" })),
      ]);

      expect(second!.task.url).toBe(first!.task.url);
      expect(second!.id).not.toBe(first!.id);
      expect(second!.task.credentials!.headers["authorization"]).toStartWith("Bearer ");
      expect(json.headerNames).toEqual(["authorization"]);
      // Heartbeats share a token as long as it lives; none asked for more than reading.
      const scopes = tokens.requests.filter(({ user }) => user === "ann").slice(1);
      expect(scopes.every(({ scopes: [scope] }) => scope === "repository:app:pull")).toBe(true);
    }),
  60_000,
);

test.if(hasRegistry)(
  "while no token can be had heartbeats go on, and the target says why it waits",
  () =>
    Session.run("image-preheats", async (session) => {
      const { name, tokens } = await guardedRegistry(session);
      const fixture = await configFixture(session);
      const supernode = await supernodeFixture(fixture, { address: "10.0.0.5:8002" });
      const { json } = await fixture.call("POST preheats/images", {
        body: { image: name, authorization },
      });
      await tokens.stop();

      const targets = async (): Promise<{ state: string; error: { code: string } | null }[]> =>
        (await fixture.call(`GET preheats/${json.id}/targets`)).json.targets;
      for (;;) {
        const beat = await supernode.beat();
        expect(beat.json.commands).toEqual([]);
        if ((await targets()).some(({ error }) => error !== null)) break;
        await Bun.sleep(50);
      }

      const waiting = (await targets()).filter(({ error }) => error !== null);
      expect(waiting[0]).toMatchObject({ state: "pending", error: { code: "network" } });
      expect(JSON.stringify(waiting)).not.toContain("right");
    }),
  60_000,
);

test.if(hasRegistry)(
  "where others could listen to df config nothing private is ordered, and what is public is",
  () =>
    Session.run("image-preheats", async (session) => {
      const { name, registry } = await guardedRegistry(session);
      const open = await startRegistry(session, { name: "open" });
      const shown = await pushImage(open, { repository: "app" }, buildImage({ layers: [4096] }));
      const listen = { hostname: "0.0.0.0", port: 0 };
      const fixture = await configFixture(session, { listen, tls: "off" });
      await supernodeFixture(fixture, { address: "10.0.0.5:8002" });
      const originAllow = [registry.address, open.address, "127.0.0.1"];
      await fixture.call("PATCH settings/fleet", { body: { set: { originAllow } } });

      const refused = await fixture.call("POST preheats/images", {
        body: { image: name, authorization },
      });
      const made = await fixture.call("POST preheats/images", {
        body: { image: shown, authorization },
      });

      expect(refused).toMatchObject({ status: 422, json: { code: "not-shareable" } });
      expect(refused.json.detail).toContain("plain text");
      expect(made).toMatchObject({ status: 200, json: { headerNames: [] } });
      expect((await fixture.call("GET preheats")).json.preheats).toHaveLength(1);
    }),
  60_000,
);

test.each([
  ["no name", {}],
  ["a name that is none", { image: "Not An Image" }],
  ["a URL of something else", { image: "https://ghcr.io/team/app" }],
  ["an unknown field", { image: "alpine", urls: [] }],
  ["a platform that is none", { image: "alpine", platforms: "amd64" }],
  ["credentials of another kind", { image: "alpine", authorization: "Digest very-secret" }],
  ["to be kept fresh", { image: "alpine", refreshSeconds: 600 }],
])(
  "an order of an image with %s is refused with a problem that shows no secret",
  async (_, body) => {
    await Session.run("image-preheats", async (session) => {
      const { call } = await configFixture(session);

      const { status, json } = await call("POST preheats/images", { body });

      expect([status, json.code]).toEqual([400, "usage"]);
      expect(JSON.stringify(json)).not.toContain("very-secret");
    });
  },
);

test("the fleet's rules for sources count for images too", () =>
  Session.run("image-preheats", async (session) => {
    const { call } = await configFixture(session);
    await call("PATCH settings/fleet", { body: { set: { deny: ["*.example"] } } });

    const denied = await call("POST preheats/images", { body: { image: "registry.example/app" } });

    expect(denied).toMatchObject({ status: 403, json: { code: "denied" } });
  }));
