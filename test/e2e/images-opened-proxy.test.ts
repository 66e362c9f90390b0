// Engines that have a live peer as their proxy, which opens their registry's TLS: they pull as before, private
// images too, and what the registry sends for one engine it does not send again for another.

import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DF } from "../../bench/harness/df-roles.ts";
import { freePortPair } from "../../bench/harness/free-port.ts";
import { run, Session, waitUntil } from "../../bench/harness/session.ts";
import { certificateAuthority } from "../fixtures/certificate-authority.ts";
import { CHECKED_ENGINES } from "../fixtures/checked-engines.ts";
import { ALICE, startNamedRegistry } from "../fixtures/dead-df.ts";
import { EngineHost } from "../fixtures/engines/engine-host.ts";
import { buildImage, sizeOfImage } from "../fixtures/image-builder.ts";
import { pushImage } from "../fixtures/registry-push.ts";
import { egressOf, hasRegistry, startRegistry } from "../fixtures/registry-server.ts";
import { hasDf } from "../fixtures/spawn-df.ts";

/** A peer whose proxy opens tunnels to one registry. @returns what engines are told */
async function openingPeer(
  session: Session,
  { registry, hosts, caPath }: { registry: string; hosts: Record<string, string>; caPath: string },
): Promise<Record<string, string>> {
  const address = `127.0.0.1:${await freePortPair()}`;
  const dataDir = join(session.folder, "peer");
  const host = await EngineHost.create(session, { name: "peer-host", hosts });
  const peer = host.daemon([
    ...[DF, "peer", "--listen", "127.0.0.1:0", "--data-dir", dataDir],
    ...["--socket", join(session.folder, "peer.sock"), "--source-ca", caPath],
    ...["--proxy-listen", address, "--proxy-intercept", registry],
  ]);
  await waitUntil("start df peer", async () =>
    (await readFile(peer.logPath, "utf8")).includes("ready"),
  );
  const ca = (await run([DF, "ca", "path", "--data-dir", dataDir])).trim();
  return { HTTPS_PROXY: `http://${address}`, SSL_CERT_FILE: ca };
}

let seed = 1;

for (const engine of CHECKED_ENGINES) {
  test.if(hasDf && hasRegistry && engine.isHere)(
    `proxy, TLS opened: ${engine.name} pulls public images, and private ones with its user's password alone`,
    async () => {
      await Session.run("images", async (session) => {
        const registry = await startNamedRegistry(session);
        const place = { ...registry, registry: "registry.test" };
        const env = await openingPeer(session, place);
        const pull = await engine.start(session, "registry.test", { hosts: registry.hosts, env });

        const image = buildImage({ family: "docker", layers: [200_000, 50_000], seed: seed++ });
        await registry.push("library/open", image);
        await pull("library/open", image);
        const secret = buildImage({ family: "docker", layers: [200_000, 50_000], seed: seed++ });
        await registry.push("team/secret", secret);
        await expect(pull("team/secret", secret)).rejects.toThrow(/denied|unauthori[sz]ed|401/i);
        await pull("team/secret", secret, ALICE);
      });
    },
  );
}

const here = CHECKED_ENGINES.filter(({ isHere }) => isHere);

test.if(hasDf && hasRegistry && here.length > 1)(
  "proxy, TLS opened: a registry sends an image once, whichever engines of the host pull it",
  async () => {
    await Session.run("images", async (session) => {
      const authority = await certificateAuthority();
      const address = `127.78.${(process.pid >> 8) & 255}.${process.pid & 255}`;
      const registry = await startRegistry(session, {
        ...{ host: address, port: 443 },
        certificate: await authority.issue({ names: ["open.test"] }),
      });
      const caPath = join(session.folder, "ca.pem");
      await Bun.write(caPath, authority.ca);
      const hosts = { "open.test": address };
      const image = buildImage({ family: "docker", layers: [3_000_000, 500_000], seed: seed++ });
      const push = { ca: authority.ca, servername: "open.test" };
      await pushImage(registry, { repository: "team/app" }, image, push);
      await registry.forgetAccess();
      const env = await openingPeer(session, { registry: "open.test", hosts, caPath });

      for (const engine of here) {
        const pull = await engine.start(session, "open.test", { hosts, env });
        await pull("team/app", image);
      }

      expect(egressOf(await registry.access())).toBeLessThanOrEqual(1.02 * sizeOfImage(image));
    });
  },
);
