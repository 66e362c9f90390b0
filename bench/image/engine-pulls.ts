// Real engines, one on each of three hosts, that pull the same image at once: from the registry itself, or
// each from the mirror of its host with the settings that an operator would give it.

import { startContainerd } from "../../test/fixtures/engines/containerd.ts";
import { startDockerd } from "../../test/fixtures/engines/dockerd.ts";
import {
  dockerMirrorSettings,
  mirrorHostsToml,
  mirrorRegistriesConf,
  plainHostsToml,
  plainRegistriesConf,
} from "../../test/fixtures/engines/mirror-settings.ts";
import { createPodman } from "../../test/fixtures/engines/podman.ts";
import {
  diffIdsOfImage,
  digestsOfImage,
  type BuiltImage,
} from "../../test/fixtures/image-builder.ts";
import type { Wrap } from "../harness/df-roles.ts";
import type { Session } from "../harness/session.ts";
import type { Host } from "../swarm-real/network.ts";
import { REPOSITORY, TAG } from "./bench-registry.ts";
import { MIRROR } from "./image-swarm.ts";

export const ENGINES = ["docker", "containerd", "podman"] as const;
export type Engine = (typeof ENGINES)[number];

interface EngineOptions {
  host: Host;
  /** "host:port" */
  registry: string;
  isThroughMirror: boolean;
  image: BuiltImage;
}

/** An empty engine that is ready to pull. */
interface ReadyEngine {
  pull(): Promise<void>;
  /** @throws unless the image arrived whole */
  check(): Promise<void>;
  stop(): Promise<void>;
}

/** @returns seconds until each had the image unpacked, from the common start */
export async function pullByEngines(
  session: Session,
  hosts: readonly Host[],
  options: Omit<EngineOptions, "host">,
): Promise<Record<Engine, number>> {
  const engines = await Promise.all(
    ENGINES.map((engine, i) => START[engine](session, { ...options, host: hosts[i]! })),
  );
  const startedAt = performance.now();
  const seconds = await Promise.all(
    engines.map(async (engine) => {
      await engine.pull();
      return (performance.now() - startedAt) / 1000;
    }),
  );
  for (const engine of engines) await engine.check();
  await Promise.all(engines.map((engine) => engine.stop()));
  return Object.fromEntries(ENGINES.map((engine, i) => [engine, seconds[i]!])) as Record<
    Engine,
    number
  >;
}

const START: Record<Engine, (session: Session, options: EngineOptions) => Promise<ReadyEngine>> = {
  docker: async (session, { host, registry, isThroughMirror, image }) => {
    const docker = await startDockerd(session, {
      name: nameOf("docker", isThroughMirror),
      wrap: inNetworkOf(host),
      // Docker asks mirrors for images of its default registry alone.
      settings: isThroughMirror
        ? dockerMirrorSettings(MIRROR)
        : { "insecure-registries": [registry] },
    });
    const reference = isThroughMirror
      ? `docker.io/${REPOSITORY}:${TAG}`
      : `${registry}/${REPOSITORY}:${TAG}`;
    return {
      pull: () => docker.pull(reference),
      check: () => checkLayers(docker.diffIdsOf(reference), image),
      stop: () => docker.stop(),
    };
  },
  containerd: async (session, { host, registry, isThroughMirror, image }) => {
    const hostsToml = isThroughMirror
      ? mirrorHostsToml(registry, MIRROR)
      : plainHostsToml(registry);
    const containerd = await startContainerd(session, {
      name: nameOf("containerd", isThroughMirror),
      wrap: inNetworkOf(host),
      hostsToml: { [registry]: hostsToml },
    });
    return {
      pull: () => containerd.pull(`${registry}/${REPOSITORY}:${TAG}`),
      async check() {
        const held = new Set(await containerd.contents());
        const missing = digestsOfImage(image).filter((digest) => !held.has(digest));
        if (missing.length > 0) throw new Error(`containerd lacks ${missing.join(", ")}`);
      },
      stop: () => containerd.stop(),
    };
  },
  podman: async (session, { host, registry, isThroughMirror, image }) => {
    const podman = await createPodman(session, {
      name: nameOf("podman", isThroughMirror),
      wrap: inNetworkOf(host),
      registriesConf: isThroughMirror
        ? mirrorRegistriesConf(registry, MIRROR)
        : plainRegistriesConf(registry),
    });
    const reference = `${registry}/${REPOSITORY}:${TAG}`;
    return {
      pull: () => podman.pull(reference),
      check: () => checkLayers(podman.diffIdsOf(reference), image),
      stop: async () => {},
    };
  },
};

/** Unlike `ip netns exec` without a new /sys, which would lack the control groups that Docker asks for. */
function inNetworkOf({ namespace }: Host): Wrap {
  return (command) => ["nsenter", `--net=/run/netns/${namespace}`, ...command];
}

function nameOf(engine: Engine, isThroughMirror: boolean): string {
  return `${engine}-${isThroughMirror ? "mirror" : "direct"}`;
}

async function checkLayers(arrived: Promise<string[]>, image: BuiltImage): Promise<void> {
  const [found, wanted] = [(await arrived).join(" "), diffIdsOfImage(image).join(" ")];
  if (found !== wanted) throw new Error(`layers that arrived: ${found}; pushed: ${wanted}`);
}
