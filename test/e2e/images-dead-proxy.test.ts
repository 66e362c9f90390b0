// df is dead, and engines were told to use it as their proxy. No engine knows a way around a proxy that is
// down; with the relay at the port all pull as before, also while a peer hangs behind it.

import { expect, test } from "bun:test";
import { Session } from "../../bench/harness/session.ts";
import { CHECKED_ENGINES, type CheckedEngine } from "../fixtures/checked-engines.ts";
import {
  deadDf,
  installedSettings,
  pullPublicAndPrivate,
  startNamedRegistry,
} from "../fixtures/dead-df.ts";
import { hasRegistry } from "../fixtures/registry-server.ts";
import { hasDf } from "../fixtures/spawn-df.ts";

/** For Docker as its unit says; the others' proxies are the operator's to set. */
async function proxyVariables(
  session: Session,
  { name }: CheckedEngine,
  address: string,
): Promise<Record<string, string>> {
  if (name !== "docker") return { HTTPS_PROXY: `http://${address}` };
  const read = await installedSettings(session, address, ["--docker", "--proxy"]);
  const lines = (await read("etc/systemd/system/docker.service.d/50-dragonfly.conf")).matchAll(
    /^Environment=(\w+)=(.*)$/gm,
  );
  return Object.fromEntries([...lines].map(([, variable, value]) => [variable!, value!]));
}

for (const engine of CHECKED_ENGINES) {
  test.if(hasDf && hasRegistry && engine.isHere)(
    `proxy, df dead: ${engine.name} pulls public and private images through the relay, and not without it`,
    async () => {
      await Session.run("images", async (session) => {
        const registry = await startNamedRegistry(session);
        const df = await deadDf(session);
        const env = {
          SSL_CERT_FILE: registry.caPath,
          ...(await proxyVariables(session, engine, df.address)),
        };
        const pull = await engine.start(session, "registry.test", { hosts: registry.hosts, env });
        const pullBoth = (state: string): Promise<void> =>
          pullPublicAndPrivate(registry, pull, state);

        await expect(pullBoth("nobody-listens")).rejects.toThrow(/refused/);
        await df.startRelay(registry.hosts);
        await pullBoth("relay-alone");
        await df.startHangingPeer();
        await pullBoth("peer-hangs");
      });
    },
  );
}
