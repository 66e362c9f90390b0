// What a path of the pull API asks for, and which texts are none.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  formatOciPath,
  type OciResource,
  parseOciPath,
} from "../../../src/net/registry/oci-path.ts";

const SHA256 = `sha256:${"ab".repeat(32)}`;
const SHA512 = `sha512:${"ab".repeat(64)}`;

const path = (prefix: string | null, name: string, resource: OciResource) =>
  ({ kind: "path", prefix, name, resource }) as const;

test.each([
  ["/v2/", path(null, "", { kind: "version" })],
  ["/v2", path(null, "", { kind: "version" })],
  ["/v2/quay.io/", path("quay.io", "", { kind: "version" })],
  ["/v2/localhost:5000", path("localhost:5000", "", { kind: "version" })],
  [`/v2/app/blobs/${SHA256}`, path(null, "app", { kind: "blob", digest: SHA256 })],
  [`/v2/app/blobs/${SHA512}`, path(null, "app", { kind: "blob", digest: SHA512 })],
  [`/v2/a/b/c/manifests/${SHA256}`, path(null, "a/b/c", { kind: "manifest", digest: SHA256 })],
  ["/v2/team/app/manifests/v1.2", path(null, "team/app", { kind: "tag", tag: "v1.2" })],
  ["/v2/team/app/tags/list", path(null, "team/app", { kind: "tags" })],
  [`/v2/app/referrers/${SHA256}`, path(null, "app", { kind: "referrers", digest: SHA256 })],
  // Repositories may be called like parts of the API.
  ["/v2/blobs/manifests/tags", path(null, "blobs", { kind: "tag", tag: "tags" })],
  ["/v2/manifests/manifests/manifests", path(null, "manifests", { kind: "tag", tag: "manifests" })],
  ["/v2/a/blobs/b/tags/list", path(null, "a/blobs/b", { kind: "tags" })],
  // A host in front.
  [
    "/v2/reg.example:5000/team/app/manifests/1",
    path("reg.example:5000", "team/app", { kind: "tag", tag: "1" }),
  ],
  ["/v2/localhost/app/manifests/1", path("localhost", "app", { kind: "tag", tag: "1" })],
  ["/v2/[::1]:5000/app/manifests/1", path("[::1]:5000", "app", { kind: "tag", tag: "1" })],
  ["/v2/Reg.Example/app/manifests/1", path("Reg.Example", "app", { kind: "tag", tag: "1" })],
  // Without another part there is nothing that it could be the host of.
  ["/v2/my.app/manifests/1", path(null, "my.app", { kind: "tag", tag: "1" })],
] as const)("%s is a path of the pull API", (text, expected) => {
  expect(parseOciPath(text)).toEqual(expected);
});

test.each([
  ["/v2/App/manifests/1", "name"],
  ["/v2/a//b/manifests/1", "name"],
  ["/v2/../b/manifests/1", "name"],
  ["/v2/a/.b/manifests/1", "name"],
  ["/v2/a___b/manifests/1", "name"],
  [`/v2/${"a".repeat(256)}/manifests/1`, "name"],
  ["/v2/a%2fb/manifests/1", "name"],
  ["/v2/app/manifests/.hidden", "tag"],
  [`/v2/app/manifests/${"t".repeat(129)}`, "tag"],
  ["/v2/app/manifests/", "tag"],
  ["/v2/app/blobs/latest", "digest"],
  ["/v2/app/blobs/sha256:abc", "digest"],
  [`/v2/app/blobs/sha256:${"AB".repeat(32)}`, "digest"],
  [`/v2/app/manifests/sha256:${"g".repeat(64)}`, "digest"],
  [`/v2/app/manifests/sha512:${"a".repeat(64)}`, "digest"],
  ["/v2/app/referrers/latest", "digest"],
] as const)("%s has a malformed %s", (text, what) => {
  expect(parseOciPath(text)).toEqual({ kind: "malformed", what });
});

test.each([
  "/",
  "/v1/search",
  "/v2/_catalog",
  "/v2/app/blobs/uploads/",
  "/v2/app/blobs/uploads/123",
  "/v2/app/tags/other",
  "/v2/app",
  "/metrics",
  "/v2/app/blobs/sha256:../../../../etc/passwd",
  "v2/app/manifests/1",
])("%s is none of the pull API", (text) => {
  expect(parseOciPath(text).kind).toBe("foreign");
});

describe("any name, digest and tag", () => {
  const part = fc.stringMatching(/^[a-z0-9]{1,8}(?:(?:\.|_|__|--)[a-z0-9]{1,8})?$/);
  // Without a dot in its first part nothing looks like a host.
  const name = fc
    .tuple(fc.stringMatching(/^[a-z0-9]{1,8}$/), fc.array(part, { maxLength: 3 }))
    .map(([first, others]) => [first, ...others].join("/"))
    .filter((text) => !text.startsWith("localhost/"));
  const digest = fc.stringMatching(/^sha256:[0-9a-f]{64}$/);
  const resource: fc.Arbitrary<OciResource> = fc.oneof(
    digest.map((digest) => ({ kind: "blob", digest }) as const),
    digest.map((digest) => ({ kind: "manifest", digest }) as const),
    digest.map((digest) => ({ kind: "referrers", digest }) as const),
    fc
      .stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/)
      .map((tag) => ({ kind: "tag", tag }) as const),
    fc.constant({ kind: "tags" } as const),
  );

  test("survive the way into a path and back", () => {
    fc.assert(
      fc.property(name, resource, (name, resource) => {
        expect(parseOciPath(formatOciPath(name, resource))).toEqual(path(null, name, resource));
      }),
    );
  });

  test("are the same behind a registry's host", () => {
    const host = fc.constantFrom("quay.io", "localhost", "10.0.0.7:5000", "r.example:443");
    fc.assert(
      fc.property(host, name, resource, (host, name, resource) => {
        const text = formatOciPath(`${host}/${name}`, resource);
        expect(parseOciPath(text)).toEqual(path(host, name, resource));
      }),
    );
  });

  test("no text makes a path that leads out of /v2/", () => {
    const parts = fc.constantFrom(
      "..",
      ".",
      "",
      "a",
      "%2e%2e",
      "manifests",
      "tags",
      "list",
      "é",
      "#",
      "?",
    );
    const text = fc.oneof(
      fc.string(),
      fc.array(fc.oneof(parts, fc.string()), { maxLength: 6 }).map((all) => all.join("/")),
    );
    fc.assert(
      fc.property(text, (text) => {
        const parsed = parseOciPath(`/v2/${text}`);
        if (parsed.kind !== "path") return;
        const again = formatOciPath(parsed.name, parsed.resource);
        expect(new URL(again, "http://registry").pathname).toBe(again);
        expect(again.startsWith("/v2/")).toBe(true);
      }),
    );
  });
});
