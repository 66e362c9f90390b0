// Which URLs are of a registry's blob, manifest or tag, and what a registry is asked with.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { isDfError } from "../../../src/errors.ts";
import { checkRegistryTask } from "../../../src/net/registry/check-registry-task.ts";
import { MANIFEST_MEDIA_TYPES } from "../../../src/net/registry/media-type.ts";
import { wholeRequestOf } from "../../../src/net/task-request.ts";
import type { RegistryKind } from "../../../src/net/wire/task.ts";

const HEX = "0123456789abcdef".repeat(4);
const DIGEST = `sha256:${HEX}`;

function isRight(registryKind: RegistryKind, path: string, checksum: string): boolean {
  try {
    checkRegistryTask({ url: `https://registry.example${path}`, registryKind, checksum });
    return true;
  } catch (error) {
    if (isDfError(error, "usage")) return false;
    throw error;
  }
}

test.each<[RegistryKind, string, string]>([
  ["blob", `/v2/app/blobs/${DIGEST}`, DIGEST],
  ["blob", `/v2/team/deep/er/app_1.x/blobs/${DIGEST}?ns=docker.io`, DIGEST],
  ["manifest", `/v2/team/app/manifests/${DIGEST}`, DIGEST],
  ["tag", "/v2/team/app/manifests/latest", ""],
  ["tag", "/v2/team/app/manifests/v1.2_3-rc", ""],
])("a %s may be asked for at %s", (kind, path, checksum) => {
  expect(isRight(kind, path, checksum)).toBe(true);
});

test.each<[string, RegistryKind, string, string]>([
  ["another digest than its own", "blob", `/v2/app/blobs/${DIGEST}`, `sha256:${"0".repeat(64)}`],
  ["none", "blob", `/v2/app/blobs/${DIGEST}`, ""],
  ["another algorithm", "blob", `/v2/app/blobs/sha512:${HEX}${HEX}`, `sha512:${HEX}${HEX}`],
  [
    "capital digits",
    "blob",
    `/v2/app/blobs/sha256:${HEX.toUpperCase()}`,
    `sha256:${HEX.toUpperCase()}`,
  ],
  ["a manifest's path", "blob", `/v2/app/manifests/${DIGEST}`, DIGEST],
  ["a blob's path", "manifest", `/v2/app/blobs/${DIGEST}`, DIGEST],
  ["no repository", "blob", `/v2/blobs/${DIGEST}`, DIGEST],
  ["another API", "blob", `/v1/app/blobs/${DIGEST}`, DIGEST],
  ["something behind", "blob", `/v2/app/blobs/${DIGEST}/x`, DIGEST],
  ["an escaped colon", "blob", `/v2/app/blobs/sha256%3A${HEX}`, DIGEST],
  ["a digest for a tag", "tag", `/v2/app/manifests/${DIGEST}`, ""],
  ["a list for a tag", "tag", "/v2/app/tags/list", ""],
])("%s is refused", (_, kind, path, checksum) => {
  expect(isRight(kind, path, checksum)).toBe(false);
});

test("any path is judged, and only that of the very digest is right", () => {
  const part = fc.stringMatching(/^[\w.%:-]{0,12}$/);
  fc.assert(
    fc.property(fc.array(part, { maxLength: 5 }), (parts) => {
      const path = `/v2/${parts.join("/")}`;
      expect(isRight("blob", path, DIGEST)).toBe(false);
    }),
  );
});

test("a manifest is asked for with every type, unless the task names its own; a blob as it is", () => {
  const url = `https://registry.example/v2/app/manifests/${DIGEST}`;
  const task = { url, checksum: DIGEST };
  const own = { Accept: "application/json" };

  const manifest = wholeRequestOf({
    ...task,
    headers: { Accept: "*/*" },
    registryKind: "manifest",
  });
  for (const type of MANIFEST_MEDIA_TYPES) expect(manifest.headers["Accept"]).toContain(type);
  expect(manifest).toMatchObject({ url, isRegistry: true, digest: DIGEST });
  expect(wholeRequestOf({ ...task, headers: own, registryKind: "manifest" }).headers).toEqual(own);
  expect(wholeRequestOf({ ...task, headers: {}, registryKind: "blob" }).headers).toEqual({});
  expect(wholeRequestOf({ ...task, headers: {}, registryKind: "tag" }).digest).toBeUndefined();
  expect(wholeRequestOf({ ...task, headers: {} })).toEqual({ url, headers: {} });
});
