// The pull API as the specification has it: a real registry by itself, and through a mirror by each of the
// ways in which engines name a registry.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Session } from "../../../bench/harness/session.ts";
import { DEFAULT_REGISTRY_RULES } from "../../../src/net/registry/upstream-choice.ts";
import { type RegistryUnderTest, testRegistryPulls } from "../../conformance/registry/pulls.ts";
import { buildImage, buildIndex, type BuiltImage } from "../../fixtures/image-builder.ts";
import { askRaw } from "../../fixtures/mirror-fixture.ts";
import {
  egressOfDigest,
  hasRegistry,
  type RunningRegistry,
  startRegistry,
} from "../../fixtures/registry-server.ts";
import { pushImage } from "../../fixtures/registry-push.ts";
import { supernodeFixture } from "../../fixtures/supernode-fixture.ts";
import { Cleanups, peerFixture } from "../peer-fixture.ts";

const REPOSITORY = "team/conformance";
const TAGS = ["first", "index", "second"];

describe.skipIf(!hasRegistry)("with docker-registry", () => {
  const cleanups = new Cleanups();
  let registry: RunningRegistry;
  let image: BuiltImage;
  let direct: RegistryUnderTest;
  let mirror: string;

  beforeAll(async () => {
    const opened = Promise.withResolvers<Session>();
    const end = Promise.withResolvers<void>();
    const session = Session.run("conformance", async (session) => {
      opened.resolve(session);
      await end.promise;
    });
    cleanups.defer(async () => {
      end.resolve();
      await session;
    });
    registry = await startRegistry(await opened.promise);
    image = buildImage({ layers: [20_480, 300_032] });
    const index = buildIndex([image]);
    for (const tag of ["first", "second"]) {
      await pushImage(registry, { repository: REPOSITORY, tag }, image);
    }
    await pushImage(registry, { repository: REPOSITORY, tag: "index" }, index);
    await registry.forgetAccess();
    direct = {
      ...{ url: registry.url, repository: REPOSITORY, tag: "first", tags: TAGS },
      ...{ manifest: image.manifest, index: index.index, blob: image.layers[1]! },
    };
    const supernode = await supernodeFixture();
    cleanups.defer(() => supernode.stop());
    const { peer } = await peerFixture(cleanups, {
      supernodes: [supernode.current.address],
      proxy: {
        listen: { hostname: "127.0.0.1", port: 0 },
        isDefault: false,
        registries: { ...DEFAULT_REGISTRY_RULES, defaultRegistry: registry.address },
      },
    });
    mirror = `http://${peer.status().proxy!.listen}`;
  });
  afterAll(() => cleanups.run());

  testRegistryPulls("docker-registry itself", () => direct, { isReadOnly: false });
  testRegistryPulls("a mirror of its default registry", () => ({ ...direct, url: mirror }), {
    isReadOnly: true,
  });

  test("through the mirror the layer left the registry once", async () => {
    await askRaw(`${mirror}/v2/${REPOSITORY}/blobs/${direct.blob.digest}`);
    await registry.forgetAccess();

    const answer = await askRaw(
      `${mirror}/v2/${registry.address}/${REPOSITORY}/blobs/${direct.blob.digest}`,
    );

    expect(answer.body.equals(direct.blob.bytes)).toBe(true);
    expect(egressOfDigest(await registry.access(), direct.blob.digest)).toBe(0);
  });
});
