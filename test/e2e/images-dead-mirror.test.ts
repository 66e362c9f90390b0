// df is dead, and engines were told to ask it as a mirror, by the settings that `df install runtime` writes:
// public and private images come from the registry itself, whether nobody listens at the port, the relay
// alone does, or the relay finds a peer that hangs.

import { test } from "bun:test";
import { Session } from "../../bench/harness/session.ts";
import { CHECKED_ENGINES, type CheckedEngine } from "../fixtures/checked-engines.ts";
import {
  type CheckedPull,
  deadDf,
  installedSettings,
  type NamedRegistry,
  pullPublicAndPrivate,
  startNamedRegistry,
} from "../fixtures/dead-df.ts";
import { hasRegistry } from "../fixtures/registry-server.ts";
import { hasDf } from "../fixtures/spawn-df.ts";

/** Docker asks a mirror for nothing but its own registry's images. */
function registryOf({ name }: CheckedEngine): string | null {
  return name === "docker" ? null : "registry.test";
}

async function startEngine(
  session: Session,
  engine: CheckedEngine,
  { registry, address }: { registry: NamedRegistry; address: string },
): Promise<CheckedPull> {
  const flag = engine.name === "skopeo" ? "podman" : engine.name;
  const read = await installedSettings(session, address, [
    ...[`--${flag}`, "--registry", "registry.test"],
  ]);
  const settings = { hosts: registry.hosts, env: { SSL_CERT_FILE: registry.caPath } };
  switch (engine.name) {
    case "docker": {
      const daemon = JSON.parse(await read("etc/docker/daemon.json")) as Record<string, unknown>;
      return engine.start(session, registryOf(engine), { ...settings, settings: daemon });
    }
    case "containerd": {
      const text = await read("etc/containerd/certs.d/_default/hosts.toml");
      const hostsToml = { _default: text };
      return engine.start(session, registryOf(engine), { ...settings, hostsToml });
    }
    case "podman":
    case "skopeo": {
      const registriesConf = await read("etc/containers/registries.conf.d/50-dragonfly.conf");
      return engine.start(session, registryOf(engine), { ...settings, registriesConf });
    }
  }
}

for (const engine of CHECKED_ENGINES) {
  test.if(hasDf && hasRegistry && engine.isHere)(
    `mirror, df dead: ${engine.name} pulls public and private images from the registry`,
    async () => {
      await Session.run("images", async (session) => {
        const registry = await startNamedRegistry(session);
        const df = await deadDf(session);
        const pull = await startEngine(session, engine, { registry, address: df.address });
        const pullBoth = (state: string): Promise<void> =>
          pullPublicAndPrivate(registry, pull, state);

        await pullBoth("nobody-listens");
        await df.startRelay(registry.hosts);
        await pullBoth("relay-alone");
        await df.startHangingPeer();
        await pullBoth("peer-hangs");
      });
    },
  );
}
