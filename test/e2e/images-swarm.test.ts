// Real engines pull through the mirrors of several peers: what arrives is what was pushed, and the registry's
// own log shows each layer once, whoever asks and however it names the registry.

import { expect, test } from "bun:test";
import { Session } from "../../bench/harness/session.ts";
import { hasContainerd, startContainerd } from "../fixtures/engines/containerd.ts";
import { hasDocker, startDockerd } from "../fixtures/engines/dockerd.ts";
import {
  dockerMirrorSettings,
  mirrorHostsToml,
  mirrorRegistriesConf,
} from "../fixtures/engines/mirror-settings.ts";
import { createPodman, hasPodman } from "../fixtures/engines/podman.ts";
import { createSkopeo, hasSkopeo } from "../fixtures/engines/skopeo.ts";
import {
  buildImage,
  buildIndex,
  digestsOfImage,
  diffIdsOfImage,
} from "../fixtures/image-builder.ts";
import { startImageFleet, startImageSwarm } from "../fixtures/image-swarm.ts";
import { pushImage } from "../fixtures/registry-push.ts";
import { hasRegistry, startRegistry, timesSent } from "../fixtures/registry-server.ts";
import { startTokenServer } from "../fixtures/registry-token-server.ts";
import { hasDf } from "../fixtures/spawn-df.ts";

const MB = 1_000_000;
const ALICE = { username: "alice", password: "alice's own" };
const BOB = { username: "bob", password: "bob's own" };

/** One layer of several pieces, one of one, one that shrinks. */
const LAYERS = [3 * MB, 300_000, { size: MB, content: "text", gzip: true }] as const;

const ONCE_EACH = Array(1 + LAYERS.length).fill(1);
const NEVER = Array(1 + LAYERS.length).fill(0);

test.if(hasDf && hasRegistry && hasDocker && hasContainerd && hasPodman && hasSkopeo)(
  "docker, ctr, podman and skopeo pull one image at once through two peers, and the registry sends each layer once",
  async () => {
    await Session.run("images", async (session) => {
      const image = buildImage({ layers: LAYERS, family: "docker" });
      const registry = await startRegistry(session);
      const reference = await pushImage(registry, { repository: "library/app" }, image);
      const { peers } = await startImageSwarm(session, {
        peerCount: 2,
        upstreams: { "docker.io": registry.url },
      });
      const [first, second] = peers as [(typeof peers)[0], (typeof peers)[0]];
      const { address } = registry;
      const docker = await startDockerd(session, { settings: dockerMirrorSettings(first.mirror) });
      const containerd = await startContainerd(session, {
        hostsToml: { [address]: mirrorHostsToml(address, second.mirror) },
      });
      const podman = await createPodman(session, {
        registriesConf: mirrorRegistriesConf(address, first.mirror),
      });
      const skopeo = await createSkopeo(session, {
        registriesConf: mirrorRegistriesConf(address, second.mirror),
      });
      await registry.forgetAccess();

      const [, , , copied] = await Promise.all([
        docker.pull("docker.io/library/app:latest"),
        containerd.pull(reference),
        podman.pull(reference),
        skopeo.copy(reference),
      ]);

      expect(await docker.diffIdsOf("library/app:latest")).toEqual(diffIdsOfImage(image));
      expect(await podman.diffIdsOf(reference)).toEqual(diffIdsOfImage(image));
      expect(await containerd.contents()).toEqual(digestsOfImage(image));
      expect(copied).toEqual(digestsOfImage(image));
      expect(await timesSent(registry, image)).toEqual(ONCE_EACH);
    });
  },
);

test.if(hasDf && hasRegistry && hasPodman && hasSkopeo)(
  "an engine takes its own platform of an index, and a copy of the whole index takes the rest",
  async () => {
    await Session.run("images", async (session) => {
      const own = buildImage({ layers: LAYERS, seed: 2 });
      const platform = { os: "linux", architecture: "s390x" };
      const other = buildImage({ layers: LAYERS, seed: 3, platform });
      const index = buildIndex([own, other]);
      const registry = await startRegistry(session);
      const reference = await pushImage(registry, { repository: "team/multi" }, index);
      const { peers } = await startImageSwarm(session, { peerCount: 2 });
      const [podmanConf, skopeoConf] = peers.map(({ mirror }) => ({
        registriesConf: mirrorRegistriesConf(registry.address, mirror),
      }));
      const podman = await createPodman(session, podmanConf);
      const skopeo = await createSkopeo(session, skopeoConf);
      await registry.forgetAccess();

      await podman.pull(reference);
      const otherAfterOne = await timesSent(registry, other);
      const copied = await skopeo.copy(reference, { all: true });

      expect(await podman.diffIdsOf(reference)).toEqual(diffIdsOfImage(own));
      expect(otherAfterOne).toEqual(NEVER);
      const all = [index.index.digest, ...digestsOfImage(own), ...digestsOfImage(other)];
      expect(copied).toEqual(all.toSorted());
      expect(await timesSent(registry, own)).toEqual(ONCE_EACH);
      expect(await timesSent(registry, other)).toEqual(ONCE_EACH);
    });
  },
);

test.if(hasDf && hasRegistry && hasContainerd)(
  "a private image goes through two peers to those who may have it, is read once, and nobody else gets it",
  async () => {
    await Session.run("images", async (session) => {
      const image = buildImage({ layers: LAYERS, seed: 4 });
      const tokens = await startTokenServer(session, {
        users: { [ALICE.username]: ALICE.password, [BOB.username]: BOB.password },
        mayPull: (user) => user === ALICE.username,
      });
      const registry = await startRegistry(session, { auth: { token: tokens } });
      const push = { credentials: ALICE };
      const reference = await pushImage(registry, { repository: "secret/app" }, image, push);
      const peers = await startImageFleet(session, { peerCount: 2 });
      const engines = await Promise.all(
        [peers[0]!, peers[1]!, peers[1]!].map(({ mirror }, i) =>
          startContainerd(session, {
            name: `containerd-${i}`,
            hostsToml: { [registry.address]: mirrorHostsToml(registry.address, mirror) },
          }),
        ),
      );
      await registry.forgetAccess();

      await engines[0]!.pull(reference, ALICE);
      await engines[1]!.pull(reference, ALICE);
      const forBob = engines[2]!.pull(reference, BOB);
      await expect(forBob).rejects.toThrow(/denied|unauthorized|authorization failed|401|403/i);
      const forNobody = engines[2]!.pull(reference);
      await expect(forNobody).rejects.toThrow(/denied|unauthorized|authorization failed|401|403/i);

      expect(await engines[0]!.contents()).toEqual(digestsOfImage(image));
      expect(await engines[1]!.contents()).toEqual(digestsOfImage(image));
      expect(await engines[2]!.contents()).toEqual([]);
      expect(await timesSent(registry, image)).toEqual(ONCE_EACH);
    });
  },
);

test.if(hasDf && hasRegistry && hasSkopeo)(
  "the layers of an image that came from one registry are not read from another one",
  async () => {
    await Session.run("images", async (session) => {
      const image = buildImage({ layers: LAYERS, seed: 5 });
      const registries = [
        await startRegistry(session, { name: "first" }),
        await startRegistry(session, { name: "second" }),
      ];
      const references = await Promise.all(
        registries.map((registry) => pushImage(registry, { repository: "team/app" }, image)),
      );
      const { peers } = await startImageSwarm(session, { peerCount: 2 });
      const skopeos = await Promise.all(
        registries.map(({ address }, i) =>
          createSkopeo(session, {
            name: `skopeo-${i}`,
            registriesConf: mirrorRegistriesConf(address, peers[i]!.mirror),
          }),
        ),
      );
      for (const registry of registries) await registry.forgetAccess();

      const copies = [
        await skopeos[0]!.copy(references[0]!),
        await skopeos[1]!.copy(references[1]!),
      ];

      expect(copies).toEqual(Array(2).fill(digestsOfImage(image)));
      expect(await timesSent(registries[0]!, image)).toEqual(ONCE_EACH);
      expect(await timesSent(registries[1]!, image)).toEqual(NEVER);
    });
  },
);

test.if(hasDf && hasRegistry && hasContainerd)(
  "a registry that is down fails nobody whose image another host has pulled",
  async () => {
    await Session.run("images", async (session) => {
      const image = buildImage({ layers: LAYERS, seed: 6 });
      const registry = await startRegistry(session);
      const reference = await pushImage(registry, { repository: "team/app" }, image);
      const { peers } = await startImageSwarm(session, { peerCount: 2 });
      const engines = await Promise.all(
        peers.map(({ mirror }, i) =>
          startContainerd(session, {
            name: `containerd-${i}`,
            hostsToml: { [registry.address]: mirrorHostsToml(registry.address, mirror) },
          }),
        ),
      );
      await engines[0]!.pull(reference);
      await registry.stop();

      await engines[1]!.pull(reference);

      expect(await engines[1]!.contents()).toEqual(digestsOfImage(image));
    });
  },
);

test.if(hasDf && hasRegistry && hasContainerd && hasPodman)(
  "with df stopped engines pull from the registry itself",
  async () => {
    await Session.run("images", async (session) => {
      const images = [7, 8].map((seed) => buildImage({ layers: LAYERS, seed, family: "docker" }));
      const registry = await startRegistry(session);
      const references: string[] = [];
      for (const [i, image] of images.entries())
        references.push(await pushImage(registry, { repository: `team/app-${i}` }, image));
      const { peers, supernode } = await startImageSwarm(session, { peerCount: 2 });
      const containerd = await startContainerd(session, {
        hostsToml: { [registry.address]: mirrorHostsToml(registry.address, peers[0]!.mirror) },
      });
      const podman = await createPodman(session, {
        registriesConf: mirrorRegistriesConf(registry.address, peers[1]!.mirror),
      });
      const pullEverywhere = async (reference: string): Promise<void> => {
        await Promise.all([containerd.pull(reference), podman.pull(reference)]);
      };
      await registry.forgetAccess();

      await pullEverywhere(references[0]!);
      for (const { child } of [supernode, ...peers]) {
        child.kill("SIGKILL");
        await child.exited;
      }
      await pullEverywhere(references[1]!);

      expect(await timesSent(registry, images[0]!)).toEqual(ONCE_EACH);
      expect(await timesSent(registry, images[1]!)).toEqual(ONCE_EACH.map((n) => 2 * n));
      expect(await podman.diffIdsOf(references[1]!)).toEqual(diffIdsOfImage(images[1]!));
      expect(await containerd.contents()).toEqual(images.flatMap(digestsOfImage).toSorted());
    });
  },
);
