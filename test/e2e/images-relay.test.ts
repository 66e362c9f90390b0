// Engines told to ask the relay as a mirror, by the settings that `df install runtime` writes, and a peer of
// a fleet behind it: who reads the layers from the registry, `df` or the engine, its own log says. The peer
// dies, and comes back.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { Session } from "../../bench/harness/session.ts";
import {
  CHECKED_ENGINES,
  type CheckedEngine,
  type EngineSettings,
} from "../fixtures/checked-engines.ts";
import { ALICE, type CheckedPull, deadDf, installedSettings } from "../fixtures/dead-df.ts";
import { type FleetPeer, fleetOfProcesses } from "../fixtures/fleet-processes.ts";
import { type BuiltImage, buildImage } from "../fixtures/image-builder.ts";
import { pushImage } from "../fixtures/registry-push.ts";
import {
  hasRegistry,
  type RegistryCredentials,
  type RunningRegistry,
  startRegistry,
} from "../fixtures/registry-server.ts";
import { startTokenServer } from "../fixtures/registry-token-server.ts";
import { hasDf, killHard } from "../fixtures/spawn-df.ts";

interface RelayedEngine {
  registry: RunningRegistry;
  peer: FleetPeer;
  /** Pushes a new image and pulls it; who read its layers from the registry, and how many reads that were. */
  pull: (
    repository: string,
    credentials?: RegistryCredentials,
  ) => Promise<{ by: string; reads: number }>;
}

const LAYERS = [300_000, 50_000];
/** Two layers and the image's settings. */
const BLOBS = LAYERS.length + 1;

/** Everybody may pull "library/…", Alice also the rest. */
async function relayedEngine(session: Session, engine: CheckedEngine): Promise<RelayedEngine> {
  const tokens = await startTokenServer(session, {
    users: { [ALICE.username]: ALICE.password },
    mayPull: (user, repository) => user !== null || repository.startsWith("library/"),
  });
  const registry = await startRegistry(session, { auth: { token: tokens } });
  const fleet = await fleetOfProcesses(session);
  await fleet.supernode("supernode");
  const df = await deadDf(session);
  const peer = await fleet.peer("peer", [
    ...["--proxy-listen", `unix:${join(session.folder, "proxy.sock")}`],
    ...["--registry-upstream", `docker.io=${registry.url}`],
  ]);
  await df.startRelay({});
  const settings = await settingsOf(session, engine, { registry, address: df.address });
  const pull: CheckedPull = await engine.start(
    session,
    engine.name === "docker" ? null : registry.address,
    settings,
  );
  return {
    ...{ registry, peer },
    async pull(repository, credentials) {
      const image = buildImage({ family: "docker", layers: LAYERS, seed: seed++ });
      await pushImage(registry, { repository }, image, { credentials: ALICE });
      await registry.forgetAccess();
      await pull(repository, image, credentials);
      return readersOf(registry, image);
    },
  };
}

const NO_SURROUNDINGS = { hosts: {}, env: {} };

async function settingsOf(
  session: Session,
  { name }: CheckedEngine,
  { registry, address }: { registry: RunningRegistry; address: string },
): Promise<EngineSettings> {
  const registries = "etc/containers/registries.conf";
  // What the operator says of a registry without TLS.
  await Bun.write(
    join(session.folder, "installed", registries),
    `[[registry]]\nlocation = "${registry.address}"\ninsecure = true\n`,
  );
  const flag = name === "skopeo" ? "podman" : name;
  const flags = [`--${flag}`, "--registry", registry.address];
  const read = await installedSettings(session, address, flags);
  switch (name) {
    case "docker": {
      const settings = JSON.parse(await read("etc/docker/daemon.json")) as Record<string, unknown>;
      return { ...NO_SURROUNDINGS, settings };
    }
    case "containerd": {
      const text = await read("etc/containerd/certs.d/_default/hosts.toml");
      return { ...NO_SURROUNDINGS, hostsToml: { _default: text } };
    }
    case "podman":
    case "skopeo":
      return { ...NO_SURROUNDINGS, registriesConf: await read(registries) };
  }
}

async function readersOf(
  registry: RunningRegistry,
  { config, layers }: BuiltImage,
): Promise<{ by: string; reads: number }> {
  const digests = [config, ...layers].map(({ digest }) => digest);
  const reads = (await registry.access()).filter(
    ({ method, path, status }) =>
      method === "GET" && status < 300 && digests.some((digest) => path.includes(digest)),
  );
  const agents = new Set(reads.map(({ userAgent }) => userAgent.split("/")[0]!));
  return { by: [...agents].join(), reads: reads.length };
}

const BY_DF = { by: "df", reads: BLOBS };

/** They show a server what it asks for at "/v2/", and a mirror of every registry asks for nothing there. */
const SHOWS_MIRRORS_NOTHING = ["podman", "skopeo"];

for (const engine of CHECKED_ENGINES) {
  const isShown = !SHOWS_MIRRORS_NOTHING.includes(engine.name);
  const private_ = isShown ? "private ones too" : "private ones from the registry";
  test.if(hasDf && hasRegistry && engine.isHere)(
    `mirror, df alive: ${engine.name} pulls public images through the relay and the swarm, ${private_}`,
    async () => {
      await Session.run("images", async (session) => {
        const { pull, peer } = await relayedEngine(session, engine);

        const public_ = await pull("library/first");
        const secret = await pull("team/first", ALICE);
        await killHard(peer.child);
        const without = await pull("library/second").catch((error: unknown) => error);
        await peer.restart();
        const again = await pull("library/third");

        expect(public_).toEqual(BY_DF);
        if (isShown) expect(secret).toEqual(BY_DF);
        else expect(secret).toMatchObject({ reads: BLOBS, by: expect.not.stringContaining("df") });
        // The registry of this test is not where Docker looks for its own images.
        if (engine.name === "docker") expect(String(without)).toContain("docker pull");
        else expect(without).toMatchObject({ reads: BLOBS, by: expect.not.stringContaining("df") });
        expect(again).toEqual(BY_DF);
      });
    },
  );
}

let seed = 1;
