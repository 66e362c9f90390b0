// Images that were ordered before anyone pulled them, with a real registry and a fleet in this process: later
// pulls through the mirrors read nothing of them from the registry, whose own access log tells.

import { join } from "node:path";
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { Session } from "../../bench/harness/session.ts";
import { DEFAULT_REGISTRY_RULES } from "../../src/net/registry/upstream-choice.ts";
import type { NewImagePreheat, Preheat } from "../../src/net/wire/preheat-api.ts";
import { type FleetFixture, fleetFixture, type PeerOfFleet } from "../fixtures/fleet-fixture.ts";
import { buildImage, buildIndex, type BuiltImage } from "../fixtures/image-builder.ts";
import { pullThroughMirror } from "../fixtures/mirror-pull.ts";
import { pushImage } from "../fixtures/registry-push.ts";
import {
  egressOfDigest,
  hasHtpasswd,
  hasRegistry,
  startRegistry,
  timesSent,
} from "../fixtures/registry-server.ts";
import { startTokenServer } from "../fixtures/registry-token-server.ts";

const ANN = { username: "ann", password: "very-secret-password" };
const AUTHORIZATION = `Basic ${btoa(`${ANN.username}:${ANN.password}`)}`;
const LAYERS = [300_032, 40_960, { size: 102_400, content: "text", gzip: true }] as const;

/** A peer whose mirror listens on a port of its own. */
async function mirrorOf(fleet: FleetFixture): Promise<PeerOfFleet & { mirror: string }> {
  const listen = { hostname: "127.0.0.1", port: 0 };
  const proxy = { listen, isDefault: false, registries: DEFAULT_REGISTRY_RULES };
  const peer = await fleet.peer({ proxy });
  return { ...peer, mirror: `http://${peer.running.status().proxy!.listen}` };
}

/** Returns when the job is over. */
async function preheat(fleet: FleetFixture, body: NewImagePreheat): Promise<Preheat> {
  const made = await fleet.call("POST preheats/images", { body });
  if (made.status !== 200) throw new Error(JSON.stringify(made.json));
  for (;;) {
    const { json } = await fleet.call(`GET preheats/${made.json.id}`);
    if (json.state !== "running" && json.state !== "planning") return json as Preheat;
    await Bun.sleep(50);
  }
}

const ONCE_EACH = [1, 1, 1, 1];
const NEVER = [0, 0, 0, 0];

test.if(hasRegistry)(
  "what was preheated to the supernodes is read from the registry once, then never, whoever pulls",
  () =>
    Session.run("image-preheat", async (session) => {
      const registry = await startRegistry(session);
      const images = ["amd64", "arm64"].map((architecture, seed) =>
        buildImage({ layers: LAYERS, seed, platform: { os: "linux", architecture } }),
      );
      const [image, other] = images as [BuiltImage, BuiltImage];
      const name = await pushImage(registry, { repository: "team/app" }, buildIndex(images));
      const fleet = await fleetFixture(session);
      await fleet.supernode("default");
      const peers = [await mirrorOf(fleet), await mirrorOf(fleet)];
      await registry.forgetAccess();

      const job = await preheat(fleet, { image: name, platforms: "linux/amd64" });
      const brought = await timesSent(registry, image);
      await registry.forgetAccess();
      const pulls = peers.map(({ mirror }) =>
        pullThroughMirror({ mirror, registry: registry.address, repository: "team/app" }),
      );
      const digests = await Promise.all(pulls);

      expect(job).toMatchObject({
        ...{ state: "done", headerNames: [], counts: { done: 6, failed: 0 } },
        image: { name, platforms: "linux/amd64", isPrivate: false },
      });
      expect(brought).toEqual(ONCE_EACH);
      const all = [image.config, ...image.layers].map(({ digest }) => digest);
      expect(digests).toEqual([all, all]);
      expect(await timesSent(registry, image)).toEqual(NEVER);
      expect(await timesSent(registry, other)).toEqual(NEVER);
    }),
  60_000,
);

test.if(hasRegistry)(
  "what was preheated to hosts is on each of them",
  () =>
    Session.run("image-preheat", async (session) => {
      const registry = await startRegistry(session);
      const image = buildImage({ layers: LAYERS, family: "docker" });
      const name = await pushImage(registry, { repository: "app", tag: "v1" }, image);
      const fleet = await fleetFixture(session);
      await fleet.supernode("default");
      const peers = [await mirrorOf(fleet), await mirrorOf(fleet)];
      await registry.forgetAccess();
      // Hosts are listed a moment after they came.
      while ((await fleet.call("GET hosts")).json.total < peers.length) await Bun.sleep(20);

      const job = await preheat(fleet, { image: name, scope: "peers" });

      expect(job).toMatchObject({ state: "done", counts: { done: 2 * 5 } });
      expect(await timesSent(registry, image)).toEqual(ONCE_EACH);
      for (const { running } of peers) expect(running.status().store.contents).toBe(5);
    }),
  60_000,
);

test.if(hasRegistry)(
  "a private image is brought by a token of its repository, for those whom its registry lets in; the password reaches no machine and is forgotten",
  () =>
    Session.run("image-preheat", async (session) => {
      const tokens = await startTokenServer(session, { users: { ann: ANN.password } });
      const registry = await startRegistry(session, { auth: { token: tokens } });
      const image = buildImage({ layers: LAYERS });
      const credentials = ANN;
      const target = { repository: "team/app" };
      const name = await pushImage(registry, target, image, { credentials });
      const fleet = await fleetFixture(session);
      await fleet.supernode("default");
      const peer = await mirrorOf(fleet);
      const body = { image: name, authorization: AUTHORIZATION };
      await registry.forgetAccess();

      const nobody = await fleet.call("POST preheats/images", { body: { image: name } });
      const job = await preheat(fleet, body);
      const brought = await timesSent(registry, image);
      await registry.forgetAccess();
      const pull = { mirror: peer.mirror, registry: registry.address, ...target };
      const token = await tokenOf(tokens.realm, target.repository);
      const stranger = pullThroughMirror(pull).catch((error: Error) => error.message);
      const own = await pullThroughMirror({ ...pull, authorization: `Bearer ${token}` });

      expect(nobody).toMatchObject({ status: 401, json: { code: "source-unauthorized" } });
      expect(job).toMatchObject({
        ...{ state: "done", headerNames: ["authorization"], counts: { done: 5, failed: 0 } },
        image: { isPrivate: true },
      });
      expect(brought).toEqual(ONCE_EACH);
      expect(own).toHaveLength(4);
      expect(await stranger).toContain(": 401");
      expect(await timesSent(registry, image)).toEqual(NEVER);
      using database = new Database(join(fleet.dataDir, "fleet.sqlite"), { readonly: true });
      const rows = database.query("SELECT request, sealed_headers FROM preheat_jobs").all();
      expect(rows).toMatchObject([{ sealed_headers: null }]);
      expect(JSON.stringify([rows, job])).not.toContain(btoa(ANN.password).slice(0, 12));
    }),
  60_000,
);

async function tokenOf(realm: string, repository: string): Promise<string> {
  const url = `${realm}?service=df%20test%20registry&scope=repository:${repository}:pull`;
  const answer = await fetch(url, { headers: { authorization: AUTHORIZATION } });
  return ((await answer.json()) as { token: string }).token;
}

test.if(hasRegistry)(
  "all supernodes of a cluster have a private image, which one of them read",
  () =>
    Session.run("image-preheat", async (session) => {
      const tokens = await startTokenServer(session, { users: { ann: ANN.password } });
      const registry = await startRegistry(session, { auth: { token: tokens } });
      const image = buildImage({ layers: LAYERS });
      const name = await pushImage(registry, { repository: "app" }, image, { credentials: ANN });
      const fleet = await fleetFixture(session);
      const supernodes = [await fleet.supernode("default"), await fleet.supernode("default")];
      while ((await fleet.call("GET supernodes")).json.supernodes.length < 2) await Bun.sleep(20);
      await registry.forgetAccess();

      const job = await preheat(fleet, { image: name, authorization: AUTHORIZATION });

      expect(job).toMatchObject({ state: "done", counts: { done: 2 * 5, failed: 0 } });
      expect(await timesSent(registry, image)).toEqual(ONCE_EACH);
      for (const { running } of supernodes) expect(running.status().store.contents).toBe(5);
    }),
  60_000,
);

test.if(hasRegistry && hasHtpasswd)(
  "a private image of a registry that knows passwords alone is brought to hosts too",
  () =>
    Session.run("image-preheat", async (session) => {
      const registry = await startRegistry(session, { auth: { htpasswd: ANN } });
      const image = buildImage({ layers: LAYERS });
      const options = { credentials: ANN };
      const name = await pushImage(registry, { repository: "app" }, image, options);
      const fleet = await fleetFixture(session);
      await fleet.supernode("default");
      const peer = await mirrorOf(fleet);
      await registry.forgetAccess();
      while ((await fleet.call("GET hosts")).json.total < 1) await Bun.sleep(20);

      const job = await preheat(fleet, {
        ...{ image: name, scope: "peers", authorization: AUTHORIZATION },
      });
      const brought = await timesSent(registry, image);
      await registry.forgetAccess();
      await pullThroughMirror({
        ...{ mirror: peer.mirror, registry: registry.address, repository: "app" },
        authorization: AUTHORIZATION,
      });

      expect(job).toMatchObject({ state: "done", image: { isPrivate: true } });
      expect(brought).toEqual(ONCE_EACH);
      expect(await timesSent(registry, image)).toEqual(NEVER);
    }),
  60_000,
);

test.if(hasRegistry)(
  "what is pushed to a registry that tells of it is on the hosts before anyone asks",
  () =>
    Session.run("image-preheat", async (session) => {
      const fleet = await fleetFixture(session);
      await fleet.supernode("default");
      const peer = await mirrorOf(fleet);
      while ((await fleet.call("GET hosts")).json.total < 1) await Bun.sleep(20);
      const { secret } = (
        await fleet.call("POST tokens", { body: { kind: "admin", role: "operator" } })
      ).json;
      const registry = await startRegistry(session, {
        notifications: {
          url: `${fleet.url}/registry/notifications?scope=peers&platforms=all`,
          headers: { Authorization: [`Bearer ${secret}`] },
        },
      });
      const images = ["amd64", "arm64"].map((architecture, seed) =>
        buildImage({ layers: [40_960], seed, platform: { os: "linux", architecture } }),
      );

      await pushImage(registry, { repository: "team/app" }, buildIndex(images));
      const contents = 1 + 2 * 3;
      while (peer.running.status().store.contents < contents) await Bun.sleep(50);
      await registry.forgetAccess();
      await pullThroughMirror({
        ...{ mirror: peer.mirror, registry: registry.address, repository: "team/app" },
      });

      for (const image of images)
        for (const { digest } of [image.config, ...image.layers])
          expect(egressOfDigest(await registry.access(), digest)).toBe(0);
      expect(fleet.warnings).toEqual([]);
    }),
  60_000,
);
