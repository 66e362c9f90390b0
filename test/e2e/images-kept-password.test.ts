// What podman, CRI-O and skopeo show a mirror: a password that is kept for the mirror's own name.

import { join } from "node:path";
import { expect, test } from "bun:test";
import { Session } from "../../bench/harness/session.ts";
import { prefixOfRegistry } from "../../src/net/registry/oci-path.ts";
import { mirrorRegistriesConf } from "../fixtures/engines/mirror-settings.ts";
import { createSkopeo, hasSkopeo } from "../fixtures/engines/skopeo.ts";
import { buildImage, digestsOfImage } from "../fixtures/image-builder.ts";
import { startImageFleet } from "../fixtures/image-swarm.ts";
import { hasHtpasswd, hasRegistry, startRegistry } from "../fixtures/registry-server.ts";
import { pushImage } from "../fixtures/registry-push.ts";
import { hasDf } from "../fixtures/spawn-df.ts";

const ALICE = { username: "alice", password: "looking-glass" };

test.if(hasDf && hasRegistry && hasHtpasswd && hasSkopeo)(
  "a registry's password that is kept for the mirror opens private images through the swarm",
  async () => {
    await Session.run("images", async (session) => {
      const registry = await startRegistry(session, { auth: { htpasswd: ALICE } });
      const image = buildImage({ layers: [50_176] });
      const push = { credentials: ALICE };
      const reference = await pushImage(registry, { repository: "team/app" }, image, push);
      const [peer] = await startImageFleet(session, { peerCount: 1 });
      const { mirror } = peer!;
      const place = `${mirror}/${prefixOfRegistry(registry.address)}`;
      const auth = btoa(`${ALICE.username}:${ALICE.password}`);
      const authFile = join(session.folder, "auth.json");
      await Bun.write(authFile, JSON.stringify({ auths: { [place]: { auth } } }));
      const registriesConf = mirrorRegistriesConf(registry.address, mirror);
      const env = { REGISTRY_AUTH_FILE: authFile };
      const kept = await createSkopeo(session, { name: "kept", registriesConf, env });
      const nothing = await createSkopeo(session, { name: "nothing", registriesConf });
      await registry.forgetAccess();

      const digests = await kept.copy(reference);
      const refused = nothing.copy(reference);

      expect(digests).toEqual(digestsOfImage(image));
      await expect(refused).rejects.toThrow(/unauthorized|authentication required/);
      const agents = (await registry.access())
        .filter(({ status, method }) => method === "GET" && status < 300)
        .map(({ userAgent }) => userAgent.split("/")[0]);
      expect(new Set(agents)).toEqual(new Set(["df"]));
    });
  },
  60_000,
);
