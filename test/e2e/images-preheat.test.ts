// An image is ordered with the command line, then real engines pull it through the mirrors of hosts that never
// saw it: the registry's own log shows that it sent no layer any more.

import { join } from "node:path";
import { expect, test } from "bun:test";
import { freePortPair } from "../../bench/harness/free-port.ts";
import { Session } from "../../bench/harness/session.ts";
import type { Preheat } from "../../src/net/wire/preheat-api.ts";
import { hasContainerd, startContainerd } from "../fixtures/engines/containerd.ts";
import { mirrorHostsToml } from "../fixtures/engines/mirror-settings.ts";
import { fleetOfProcesses } from "../fixtures/fleet-processes.ts";
import { buildImage, buildIndex, digestsOfImage, thisPlatform } from "../fixtures/image-builder.ts";
import { pushImage } from "../fixtures/registry-push.ts";
import { egressOfDigest, hasRegistry, startRegistry } from "../fixtures/registry-server.ts";
import { startTokenServer } from "../fixtures/registry-token-server.ts";
import { hasDf } from "../fixtures/spawn-df.ts";

const MB = 1_000_000;
const ANN = { username: "ann", password: "ann's own" };

test.if(hasDf && hasRegistry && hasContainerd)(
  "a private image that was preheated over TLS is pulled by real engines without a layer from its registry",
  () =>
    Session.run("images-preheat", async (session) => {
      const tokens = await startTokenServer(session, { users: { ann: ANN.password } });
      const registry = await startRegistry(session, { auth: { token: tokens } });
      const image = buildImage({ layers: [3 * MB, { size: MB, content: "text", gzip: true }] });
      const other = buildImage({
        ...{ layers: [MB], seed: 2, platform: { os: "linux", architecture: "s390x" } },
      });
      const index = buildIndex([image, other]);
      const target = { repository: "team/app" };
      const name = await pushImage(registry, target, index, { credentials: ANN });
      const fleet = await fleetOfProcesses(session, { tls: true });
      await fleet.supernode("supernode");
      const mirrors: string[] = [];
      for (let i = 0; i < 2; i++) {
        const mirror = `127.0.0.1:${await freePortPair()}`;
        await fleet.peer(`peer-${i}`, ["--proxy-listen", mirror]);
        mirrors.push(mirror);
      }
      const { os, architecture } = thisPlatform();
      const user = join(session.folder, "user");
      await Bun.write(user, `${ANN.username}:${ANN.password}`);
      const { address } = registry;
      const engines = await Promise.all(
        mirrors.map((mirror, i) =>
          startContainerd(session, {
            name: `containerd-${i}`,
            hostsToml: { [address]: mirrorHostsToml(address, mirror) },
          }),
        ),
      );
      const sent = async (): Promise<number> => {
        const lines = await registry.access();
        const blobs = [image, other].flatMap(({ config, layers }) => [config, ...layers]);
        return blobs.reduce((sum, { digest }) => sum + egressOfDigest(lines, digest), 0);
      };
      await registry.forgetAccess();

      const { exitCode, stdout, stderr } = await fleet.admin([
        ...["preheat", "image", name, "--platform", `${os}/${architecture}`],
        ...["--user", `@${user}`, "--wait", "--json"],
      ]);
      const brought = await sent();
      await registry.forgetAccess();
      for (const engine of engines) await engine.pull(name, ANN);

      expect(stderr).toBe("");
      expect(exitCode).toBe(0);
      expect(JSON.parse(stdout) as Preheat).toMatchObject({
        ...{ state: "done", counts: { done: 5, failed: 0 } },
        image: { isPrivate: true },
      });
      const own = [image.config, ...image.layers];
      expect(brought).toBe(own.reduce((sum, { bytes }) => sum + bytes.length, 0));
      const pulled = [index.index.digest, ...digestsOfImage(image)].toSorted();
      for (const engine of engines) expect(await engine.contents()).toEqual(pulled);
      expect(await sent()).toBe(0);
    }),
  180_000,
);
