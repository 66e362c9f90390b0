// Real engines and a real registry without `df`: what the other tests of images compare with, and proof
// that what they stand on works.

import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { Session } from "../../bench/harness/session.ts";
import { certificateAuthority } from "../fixtures/certificate-authority.ts";
import { hasContainerd, startContainerd } from "../fixtures/engines/containerd.ts";
import { hasDocker, startDockerd } from "../fixtures/engines/dockerd.ts";
import { createPodman, hasPodman } from "../fixtures/engines/podman.ts";
import { createSkopeo, hasSkopeo } from "../fixtures/engines/skopeo.ts";
import {
  buildImage,
  buildIndex,
  digestsOfImage,
  diffIdsOfImage,
  sizeOfImage,
} from "../fixtures/image-builder.ts";
import { pushImage } from "../fixtures/registry-push.ts";
import {
  egressOf,
  hasHtpasswd,
  hasRegistry,
  startRegistry,
  type RegistryOptions,
} from "../fixtures/registry-server.ts";
import { startTokenServer } from "../fixtures/registry-token-server.ts";

const CREDENTIALS = { username: "alice", password: "one of the test's own" };

const image = buildImage({
  family: "docker",
  layers: [300_000, { size: 200_000, content: "text", gzip: true }],
});

async function privateRegistry(session: Session, options: RegistryOptions = {}) {
  const authority = await certificateAuthority();
  const certificate = await authority.issue({ names: ["registry.test"] });
  const users = { [CREDENTIALS.username]: CREDENTIALS.password };
  const tokens = await startTokenServer(session, { users });
  const registry = await startRegistry(session, {
    ...{ certificate, auth: { token: tokens }, host: "127.0.0.1", ...options },
  });
  const { ca } = authority;
  const push = { credentials: CREDENTIALS, ca, servername: "registry.test" };
  await pushImage(registry, { repository: "team/app" }, buildIndex([image], "docker"), push);
  await registry.forgetAccess();
  const name = `registry.test:${registry.address.split(":")[1]}`;
  const surroundings = { hosts: { "registry.test": "127.0.0.1" }, cas: { [name]: ca } };
  return { registry, tokens, ca, name, reference: `${name}/team/app:latest`, surroundings };
}

test.if(hasRegistry && hasDocker)(
  "docker pulls a private image from a registry with tokens",
  async () => {
    await Session.run("images", async (session) => {
      const { reference, registry, surroundings } = await privateRegistry(session);
      const docker = await startDockerd(session, surroundings);

      await expect(docker.pull(reference)).rejects.toThrow(/denied|unauthorized/);
      await docker.pull(reference, CREDENTIALS);

      expect(await docker.diffIdsOf(reference)).toEqual(diffIdsOfImage(image));
      expect(egressOf(await registry.access())).toBeGreaterThanOrEqual(sizeOfImage(image));
    });
  },
);

test.if(hasRegistry && hasContainerd)(
  "ctr pulls a private image from a registry with tokens",
  async () => {
    await Session.run("images", async (session) => {
      const { reference, name, ca, surroundings } = await privateRegistry(session);
      const containerd = await startContainerd(session, {
        hosts: surroundings.hosts,
        hostsToml: {
          [name]: `server = "https://${name}"
[host."https://${name}"]
  ca = "/etc/containerd/ca.pem"
`,
        },
      });
      await containerd.host.writeEtc("containerd/ca.pem", ca);

      await expect(containerd.pull(reference)).rejects.toThrow(/401|authorization failed|denied/);
      await containerd.pull(reference, CREDENTIALS);

      expect(await containerd.contents()).toEqual(expect.arrayContaining(digestsOfImage(image)));
    });
  },
);

test.if(hasRegistry && hasPodman)(
  "podman pulls a private image from a registry with tokens",
  async () => {
    await Session.run("images", async (session) => {
      const { reference, surroundings } = await privateRegistry(session);
      const podman = await createPodman(session, surroundings);

      await expect(podman.pull(reference)).rejects.toThrow(/denied|unauthorized/);
      await podman.pull(reference, CREDENTIALS);

      expect(await podman.diffIdsOf(reference)).toEqual(diffIdsOfImage(image));
    });
  },
);

test.if(hasRegistry && hasHtpasswd && hasSkopeo)(
  "skopeo copies a private image from a registry with passwords",
  async () => {
    await Session.run("images", async (session) => {
      const auth = { htpasswd: CREDENTIALS };
      const { reference, surroundings } = await privateRegistry(session, { auth });
      const skopeo = await createSkopeo(session, surroundings);

      await expect(skopeo.copy(reference)).rejects.toThrow(/denied|unauthorized/);
      const digests = await skopeo.copy(reference, { credentials: CREDENTIALS });

      expect(digests).toEqual(digestsOfImage(image));
    });
  },
);

/** Command lines of processes and mounts of this machine that name a folder. */
function tracesOf(folder: string): string[] {
  const commands = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      } catch {
        // It ended meanwhile.
        return "";
      }
    });
  const mounts = readFileSync("/proc/self/mounts", "utf8").split("\n");
  return [...commands, ...mounts].filter((line) => line.includes(folder));
}

test.if(hasRegistry && hasDocker)(
  "nothing that an engine started or mounted outlives the test, also when that fails",
  async () => {
    const seen = { folder: "", whileRunning: 0 };

    const failed = Session.run("images", async (session) => {
      const registry = await startRegistry(session);
      const reference = await pushImage(registry, { repository: "team/app" }, image);
      const docker = await startDockerd(session);
      await docker.pull(reference);
      seen.folder = session.folder;
      seen.whileRunning = tracesOf(session.folder).length;
      throw new Error("the test's own");
    });

    await expect(failed).rejects.toThrow("the test's own");
    expect(seen.whileRunning).toBeGreaterThan(0);
    expect(tracesOf(seen.folder)).toEqual([]);
  },
);
