// Registries that supernodes hear nothing from, behind a firewall or down, before real mirrors: an engine has
// its answer from the registry soon, by its mirror, and from the swarm whatever that has whole.

import { afterEach, expect, test } from "bun:test";
import { VALIDATED_FRESH_MS } from "../../../src/limits.ts";
import { digestOf } from "../../fixtures/image-builder.ts";
import {
  addManifest,
  askRaw,
  errorOf,
  manifestBytes,
  mirrorFixture,
} from "../../fixtures/mirror-fixture.ts";
import type { ScriptedRegistry } from "../../fixtures/scripted-registry.ts";
import { Cleanups, randomBytes } from "../peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

const ENGINE = { headers: { "user-agent": "engine/1" } };

/** As if supernodes could not reach it. @returns how often they tried */
function shutOutSupernodes(registry: ScriptedRegistry, how: "reset" | "mute") {
  const tries = { count: 0 };
  registry.gate = ({ headers, socket }) => {
    if (headers["user-agent"]?.startsWith("df/") !== true) return;
    tries.count++;
    if (how === "reset") socket.destroy();
    return new Promise(() => {});
  };
  return tries;
}

// podman pull took 41 s.
test("a whole pull from a registry that only hosts reach comes through the mirror", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const layers = [1, 2, 3].map(() => randomBytes(60_000));
  const digests = layers.map((layer) => registry.add(layer));
  const manifest = addManifest(registry, manifestBytes());
  registry.tags.set("team/app:v1", manifest);
  shutOutSupernodes(registry, "reset");
  const path = `${mirror.url}/v2/team/app`;

  const tag = await askRaw(`${path}/manifests/v1`, { ...ENGINE, method: "HEAD" });
  const named = await askRaw(`${path}/manifests/${manifest}`, ENGINE);
  const blobs = await Promise.all(digests.map((one) => askRaw(`${path}/blobs/${one}`, ENGINE)));

  expect([tag.status, tag.headers["docker-content-digest"]]).toEqual([200, manifest]);
  expect([named.status, named.isWhole]).toEqual([200, true]);
  expect(blobs.map(({ status }) => status)).toEqual([200, 200, 200]);
  expect(blobs.every(({ body }, i) => body.equals(layers[i]!))).toBe(true);
  expect(mirror.peer.status().proxy?.requests).toMatchObject({ registry: 5, failed: 0 });
  expect(mirror.warnings).toEqual([
    expect.stringMatching(/^engines are sent to 127\.0\.0\.1:\d+ itself: read http:/),
  ]);
}, 20_000);

test("one question waits for a registry that takes connections and never answers, those after it do not", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const digests = [1, 2, 3, 4].map(() => registry.add(randomBytes(60_000)));
  const tries = shutOutSupernodes(registry, "mute");
  const ask = (digest: string) => askRaw(`${mirror.url}/v2/team/app/blobs/${digest}`, ENGINE);

  const first = await ask(digests[0]!);
  const triesOfFirst = tries.count;
  const others = [];
  for (const digest of digests.slice(1)) others.push((await ask(digest)).status);

  expect([first.status, triesOfFirst]).toEqual([200, 1]);
  expect(others).toEqual([200, 200, 200]);
  expect(mirror.warnings.length).toBe(1);
}, 25_000);

test("what is whole in the swarm comes from there though its registry is silent to all", async () => {
  const { registry, mirrors } = await mirrorFixture(cleanups, { peerCount: 2 });
  const [one, other] = mirrors as [(typeof mirrors)[0], (typeof mirrors)[0]];
  const blob = randomBytes(60_000);
  const digest = registry.add(blob);
  const path = "/v2/team/app/blobs";
  await askRaw(`${one.url}${path}/${digest}`, ENGINE);
  await registry.stop();

  const absent = await askRaw(`${other.url}${path}/${digestOf(Buffer.from("x"))}`, ENGINE);
  const held = await askRaw(`${other.url}${path}/${digest}`, ENGINE);

  expect([absent.status, errorOf(absent).code]).toEqual([502, "UNAVAILABLE"]);
  expect([held.status, held.body.equals(blob)]).toEqual([200, true]);
  expect(other.peer.status().proxy?.requests).toMatchObject({ swarm: 1, failed: 1 });
}, 20_000);

test("of a registry that is silent to all a tag's last word is given, with a warning", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const digest = addManifest(registry, manifestBytes());
  registry.tags.set("team/app:latest", digest);
  const url = `${mirror.url}/v2/team/app/manifests/latest`;
  await askRaw(url, ENGINE);
  await registry.stop();
  await Bun.sleep(VALIDATED_FRESH_MS + 100);

  await askRaw(`${mirror.url}/v2/team/app/blobs/${digestOf(Buffer.from("x"))}`, ENGINE);
  const last = [await askRaw(url, ENGINE), await askRaw(url, { ...ENGINE, method: "HEAD" })];

  for (const { status, headers } of last) {
    expect([status, headers["docker-content-digest"]]).toEqual([200, digest]);
    expect(headers["warning"]).toStartWith('299 - "this may be out of date');
  }
}, 20_000);

test("a tag's present word at a registry that only hosts reach counts more than the last one of the swarm", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const former = addManifest(registry, manifestBytes());
  registry.tags.set("team/app:latest", former);
  const url = `${mirror.url}/v2/team/app/manifests/latest`;
  await askRaw(url, ENGINE);
  const present = addManifest(registry, manifestBytes({ annotations: { a: "b" } }));
  registry.tags.set("team/app:latest", present);
  shutOutSupernodes(registry, "reset");
  await Bun.sleep(VALIDATED_FRESH_MS + 100);

  await askRaw(`${mirror.url}/v2/team/app/blobs/${registry.add(randomBytes(9))}`, ENGINE);
  const now = await askRaw(url, ENGINE);

  expect(now.headers["docker-content-digest"]).toBe(present);
  expect(now.headers["warning"]).toBeUndefined();
}, 20_000);

test("a registry that supernodes reach again is read through the swarm at once", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const manifest = addManifest(registry, manifestBytes());
  registry.tags.set("team/app:v1", manifest);
  shutOutSupernodes(registry, "reset");
  const path = `${mirror.url}/v2/team/app`;
  const swarm = () => mirror.peer.status().proxy!.requests!.swarm;
  await askRaw(`${path}/manifests/v1`, ENGINE);
  const before = swarm();

  // The refusal that a supernode remembers of the tag is over, too.
  registry.gate = () => {};
  while (swarm() === before) {
    await askRaw(`${path}/blobs/${registry.add(randomBytes(60_000))}`, ENGINE);
  }
  await askRaw(`${path}/blobs/${registry.add(randomBytes(60_000))}`, ENGINE);

  expect(before).toBe(0);
  expect(swarm()).toBeGreaterThan(1);
}, 20_000);

test.each([401, 403, 404, 500])(
  "a registry that answers %d to supernodes is not silent: the next question waits for the swarm again",
  async (status) => {
    const { registry, mirror } = await mirrorFixture(cleanups);
    const digests = [1, 2].map(() => registry.add(randomBytes(60_000)));
    refuseToSupernodes(registry, status);
    await askRaw(`${mirror.url}/v2/team/app/blobs/${digests[0]}`, ENGINE);

    registry.refuses = () => undefined;
    registry.gate = () => Bun.sleep(1_000);
    const next = await askRaw(`${mirror.url}/v2/other/app/blobs/${digests[1]}`, ENGINE);

    expect(next.status).toBe(200);
    expect(mirror.peer.status().proxy?.requests?.swarm).toBe(1);
  },
  20_000,
);

test.each([
  [404, 404],
  [429, 429],
  [500, 502],
  [503, 503],
])(
  "%d is what a registry says of itself: the engine is told %d, and nothing else is asked for it",
  async (said, told) => {
    const { registry, mirror } = await mirrorFixture(cleanups);
    const digest = registry.add(randomBytes(60_000));
    refuseToSupernodes(registry, said);

    const answer = await askRaw(`${mirror.url}/v2/team/app/blobs/${digest}`, ENGINE);

    expect(answer.status).toBe(told);
    expect(mirror.peer.status().proxy?.requests).toMatchObject({ registry: 0, failed: 1 });
  },
  20_000,
);

function refuseToSupernodes(registry: ScriptedRegistry, status: number): void {
  registry.refuses = ({ headers }) =>
    headers["user-agent"]?.startsWith("df/") === true ? status : undefined;
}
