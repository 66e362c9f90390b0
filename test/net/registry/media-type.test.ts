// Which type a manifest's bytes tell, and which bytes contradict themselves.

import { expect, test } from "bun:test";
import { MANIFEST_MEDIA_TYPES, manifestTypeOf } from "../../../src/net/registry/media-type.ts";

const [OCI_IMAGE, OCI_INDEX, DOCKER_IMAGE, DOCKER_LIST] = MANIFEST_MEDIA_TYPES;

function typeOf(value: unknown, contentType: string | null = null): string | null {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return manifestTypeOf(new TextEncoder().encode(text), contentType);
}

test.each([
  [OCI_IMAGE, { config: {}, layers: [] }],
  [OCI_INDEX, { manifests: [] }],
  [DOCKER_IMAGE, { config: {}, layers: [] }],
  [DOCKER_LIST, { manifests: [] }],
  ["application/vnd.oci.artifact.manifest.v1+json", { blobs: [] }],
])("a manifest that calls itself %s is that", (mediaType, rest) => {
  expect(typeOf({ schemaVersion: 2, mediaType, ...rest })).toBe(mediaType);
  expect(typeOf({ schemaVersion: 2, mediaType, ...rest }, `${mediaType}; charset=utf-8`)).toBe(
    mediaType,
  );
});

test("one that does not name itself is what the registry says, or what OCI allows to go unnamed", () => {
  expect(typeOf({ schemaVersion: 2, config: {}, layers: [] })).toBe(OCI_IMAGE);
  expect(typeOf({ schemaVersion: 2, manifests: [] })).toBe(OCI_INDEX);
  expect(typeOf({ schemaVersion: 2, config: {}, layers: [] }, DOCKER_IMAGE)).toBe(DOCKER_IMAGE);
  expect(typeOf({ schemaVersion: 1, fsLayers: [] })).toContain("v1+prettyjws");
});

test.each([
  ["both an image and an index", { manifests: [], layers: [] }],
  ["an index that names a config", { mediaType: OCI_INDEX, manifests: [], config: {} }],
  ["an image's type on an index", { mediaType: OCI_IMAGE, manifests: [] }],
  ["an index's type on an image", { mediaType: DOCKER_LIST, config: {}, layers: [] }],
  ["layers under another spelling", { mediaType: OCI_INDEX, manifests: [], Layers: [] }],
  ["its type under another spelling", { MediaType: OCI_INDEX, config: {}, layers: [] }],
  ["a type that is no text", { mediaType: 7, layers: [] }],
  ["a type that breaks a header", { mediaType: "a/b\r\nx: y", layers: [] }],
  ["a list", []],
  ["no JSON", "<html>"],
  ["nothing", ""],
] as const)("T-37: %s is refused", (_what, value) => {
  expect(typeOf(value)).toBeNull();
});

test("T-37: bytes that call themselves other than the registry does are refused", () => {
  expect(typeOf({ mediaType: OCI_IMAGE, config: {}, layers: [] }, DOCKER_IMAGE)).toBeNull();
  expect(typeOf({ manifests: [] }, OCI_IMAGE)).toBeNull();
  expect(typeOf({ layers: [] }, OCI_INDEX)).toBeNull();
});
