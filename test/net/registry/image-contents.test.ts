// What manifests are taken for: only what their digest, type and own words agree on.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  digestOfManifest,
  isBrought,
  readManifest,
} from "../../../src/net/registry/image-contents.ts";
import { isChosen, parsePlatforms } from "../../../src/net/registry/image-platform.ts";
import {
  buildImage,
  buildIndex,
  descriptorOf,
  type ImageBlob,
} from "../../fixtures/image-builder.ts";

const OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
const UNEXPECTED = { what: "app", digest: null, descriptor: null };

function read(blob: ImageBlob, expected = {}) {
  const raw = { bytes: blob.bytes, contentType: blob.mediaType };
  return readManifest(raw, { ...UNEXPECTED, ...expected });
}

function jsonOf(value: unknown, mediaType = OCI_IMAGE): ImageBlob {
  const bytes = Buffer.from(JSON.stringify(value));
  return { mediaType, bytes, digest: digestOfManifest({ bytes }) };
}

describe.each(["oci", "docker"] as const)("of the family %s", (family) => {
  const images = ["amd64", "arm64"].map((architecture, seed) =>
    buildImage({ layers: [4096, 8192], family, seed, platform: { os: "linux", architecture } }),
  );

  test("an image's manifest names config and layers in order", () => {
    const [{ manifest, config, layers }] = images as [(typeof images)[0]];

    const known = read(manifest, { digest: manifest.digest, descriptor: descriptorOf(manifest) });

    expect(known).toEqual({ kind: "image", blobs: [config, ...layers].map(descriptorOf) });
  });

  test("an index names its manifests with their platforms", () => {
    const { index } = buildIndex(images, family);

    expect(read(index, { digest: index.digest })).toMatchObject({
      kind: "index",
      manifests: images.map(({ manifest, platform }) => ({ digest: manifest.digest, platform })),
    });
  });
});

test("T-37: a manifest whose type lies is refused, whatever names it so", () => {
  const { manifest } = buildImage({ layers: [4096] });
  const words = JSON.parse(Buffer.from(manifest.bytes).toString()) as Record<string, unknown>;
  const { mediaType: _, ...silent } = words;
  const entry = { ...descriptorOf(manifest), platform: { os: "linux", architecture: "amd64" } };
  const lies: [ImageBlob, object?][] = [
    // Sent as an index, and calling itself one thing while it came as another.
    [{ ...manifest, mediaType: OCI_INDEX }],
    [jsonOf({ ...words, mediaType: OCI_INDEX })],
    [jsonOf({ ...silent, manifests: [] }, OCI_INDEX)],
    // Both at once: which one it is would depend on its reader.
    [jsonOf({ ...words, manifests: [entry] })],
    [jsonOf({ ...silent, manifests: [entry] })],
    // Types of neither kind, and none.
    [{ ...manifest, mediaType: "application/json" }],
    [{ ...manifest, mediaType: "application/vnd.docker.distribution.manifest.v1+prettyjws" }],
    [{ ...manifest, mediaType: "" }],
    // Other than the index said.
    [manifest, { descriptor: { ...descriptorOf(manifest), mediaType: OCI_INDEX } }],
    [manifest, { descriptor: { ...descriptorOf(manifest), size: 1 } }],
    [jsonOf({ ...words, layers: undefined })],
    [jsonOf({ ...words, schemaVersion: 1 })],
    [jsonOf({ ...words, layers: [{ ...entry, digest: "../../etc/passwd" }] })],
    [jsonOf({ ...words, layers: [{ ...entry, digest: "sha256:../x" }] })],
    [jsonOf({ ...words, layers: [{ ...entry, size: -1 }] })],
  ];

  for (const [blob, expected] of lies) {
    expect(() => read(blob, expected)).toThrow(/^resolve app: /);
  }
  expect(read(jsonOf(silent)).kind).toBe("image");
});

test("a manifest that is not the one of its digest is refused", () => {
  const { manifest } = buildImage({ layers: [4096] });
  const other = buildImage({ layers: [4096], seed: 2 }).manifest;

  expect(() => read(other, { digest: manifest.digest })).toThrow(/is not sha256:/);
});

test("whatever bytes come as a manifest end in one or in a refusal", () => {
  const types = fc.constantFrom(OCI_IMAGE, OCI_INDEX, "text/html", null);
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), types, (text, contentType) => {
      try {
        readManifest({ bytes: Buffer.from(text), contentType }, UNEXPECTED);
      } catch (error) {
        expect(error).toMatchObject({ code: "protocol" });
      }
    }),
  );
});

test("foreign layers and other digests than SHA-256 are not the registry's to give to the swarm", () => {
  const [layer] = buildImage({ layers: [4096] }).layers.map(descriptorOf);
  const foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";

  expect(isBrought(layer!)).toBe(true);
  expect(isBrought({ ...layer!, mediaType: foreign })).toBe(false);
  expect(isBrought({ ...layer!, digest: `sha512:${"ab".repeat(64)}` })).toBe(false);
});

test.each([
  ["linux/amd64", { os: "linux", architecture: "amd64" }, true],
  ["linux/amd64", { os: "linux", architecture: "arm64" }, false],
  ["linux/amd64", { os: "windows", architecture: "amd64" }, false],
  ["linux/arm64", { os: "linux", architecture: "arm64", variant: "v8" }, true],
  ["linux/arm64/v8", { os: "linux", architecture: "arm64" }, true],
  ["linux/arm/v7", { os: "linux", architecture: "arm", variant: "v6" }, false],
  ["linux/amd64,linux/arm/v7", { os: "linux", architecture: "arm", variant: "v7" }, true],
  ["all", { os: "linux", architecture: "s390x" }, true],
  ["all", { os: "unknown", architecture: "unknown" }, false],
  ["linux/amd64", undefined, true],
])("who asks for %s and finds %j: %p", (text, platform, isWanted) => {
  expect(isChosen(parsePlatforms(text)!.choice, platform)).toBe(isWanted);
});

test.each(["", "linux", "linux/", "linux/amd64/", "linux/amd64/v1/x", "Linux/AMD64", "a/b,,c/d"])(
  "%j is no platform",
  (text) => {
    expect(parsePlatforms(text)).toBeNull();
  },
);
