// A peer or a relay is told to stop while an engine pulls an image through it: the pull ends well, and what it
// got from the swarm nobody reads from the registry again.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { DF } from "../../bench/harness/df-roles.ts";
import { Session, waitUntil } from "../../bench/harness/session.ts";
import { LocalClient } from "../../src/net/local-client.ts";
import { hasContainerd, startContainerd } from "../fixtures/engines/containerd.ts";
import { hasDocker, startDockerd } from "../fixtures/engines/dockerd.ts";
import {
  dockerMirrorSettings,
  mirrorHostsToml,
  mirrorRegistriesConf,
} from "../fixtures/engines/mirror-settings.ts";
import { createPodman, hasPodman } from "../fixtures/engines/podman.ts";
import { buildImage } from "../fixtures/image-builder.ts";
import { startImageSwarm } from "../fixtures/image-swarm.ts";
import { pushImage } from "../fixtures/registry-push.ts";
import { hasRegistry, startRegistry, timesSent } from "../fixtures/registry-server.ts";
import { hasDf } from "../fixtures/spawn-df.ts";

const MB = 1_000_000;
const LAYERS = [12 * MB, 300_000];

interface Place {
  /** Of the registry. */
  address: string;
  mirror: string;
}

type Pull = (reference: string) => Promise<unknown>;

/** Not skopeo: it opens a connection for each blob, and asks for the settings after the layers. */
const ENGINES: {
  name: string;
  isHere: boolean;
  start: (session: Session, place: Place) => Promise<Pull>;
}[] = [
  {
    name: "docker",
    isHere: hasDocker,
    start: async (session, { mirror }) => {
      const docker = await startDockerd(session, { settings: dockerMirrorSettings(mirror) });
      return () => docker.pull("app");
    },
  },
  {
    name: "containerd",
    isHere: hasContainerd,
    start: async (session, { address, mirror }) => {
      const hostsToml = { [address]: mirrorHostsToml(address, mirror) };
      const containerd = await startContainerd(session, { hostsToml });
      return (reference) => containerd.pull(reference);
    },
  },
  {
    name: "podman",
    isHere: hasPodman,
    start: async (session, { address, mirror }) => {
      const registriesConf = mirrorRegistriesConf(address, mirror);
      const podman = await createPodman(session, { registriesConf });
      return (reference) => podman.pull(reference);
    },
  },
];

const EACH = ENGINES.flatMap((engine) =>
  (["peer", "relay"] as const).map((stopped) => ({ ...engine, stopped })),
);

for (const { name, isHere, start, stopped } of EACH) {
  test.if(hasDf && hasRegistry && isHere)(
    `${name} ends a pull that was under way when the ${stopped} was told to stop`,
    async () => {
      await Session.run("images-restart", async (session) => {
        const image = buildImage({ layers: LAYERS, family: "docker" });
        const registry = await startRegistry(session);
        const reference = await pushImage(registry, { repository: "library/app" }, image);
        const proxySocket = join(session.folder, "proxy.sock");
        const behindRelay = stopped === "relay" ? ["--proxy-listen", `unix:${proxySocket}`] : [];
        const { peers } = await startImageSwarm(session, {
          peerCount: 1,
          upstreams: { "docker.io": registry.url },
          peerFlags: ["--download-rate", "4MB", ...behindRelay],
        });
        const { child: peer, mirror, socket } = peers[0]!;
        const child = stopped === "peer" ? peer : await startRelay(session, mirror, proxySocket);
        const pull = await start(session, { address: registry.address, mirror });
        await registry.forgetAccess();

        const pulled = pull(reference);
        const client = new LocalClient(socket);
        await waitUntil("begin with a layer", async () => {
          const { proxy } = await client.status();
          return (proxy?.bytes?.swarm ?? 0) > MB;
        });
        child.kill("SIGTERM");
        await pulled;
        const exitCode = await child.exited;

        expect(exitCode).toBe(0);
        expect((await timesSent(registry, image))[1]).toBe(1);
      });
    },
    60_000,
  );
}

async function startRelay(session: Session, address: string, proxySocket: string) {
  const logPath = join(session.folder, "relay.log");
  const relay = session.start([DF, "relay", "--listen", address, "--socket", proxySocket], {
    logPath,
  });
  await waitUntil("start df relay", async () =>
    (await Bun.file(logPath).text()).includes("ready on"),
  );
  return relay;
}
