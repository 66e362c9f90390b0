// Names of images: read as engines read them, and nothing else gets through to a URL.

import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  formatImageReference,
  imageOfManifestUrl,
  manifestUrl,
  parseImageReference,
} from "../../../src/net/registry/image-reference.ts";

const DIGEST = `sha256:${"ab".repeat(32)}`;

test.each([
  ["alpine", "docker.io", "library/alpine", "latest"],
  ["alpine:3.20", "docker.io", "library/alpine", "3.20"],
  ["docker.io/alpine", "docker.io", "library/alpine", "latest"],
  ["index.docker.io/team/app", "docker.io", "team/app", "latest"],
  ["team/app:v1", "docker.io", "team/app", "v1"],
  ["ghcr.io/team/app", "ghcr.io", "team/app", "latest"],
  ["localhost/app", "localhost", "app", "latest"],
  ["registry:5000/app:1", "registry:5000", "app", "1"],
  ["Registry.Example/app", "registry.example", "app", "latest"],
  ["[fd00::1]:5000/app:1", "[fd00::1]:5000", "app", "1"],
  [`app@${DIGEST}`, "docker.io", "library/app", DIGEST],
  [`registry.example:5000/a/b_c/d-e:x@${DIGEST}`, "registry.example:5000", "a/b_c/d-e", DIGEST],
])("%s is %s, %s, %s", (text, registry, repository, reference) => {
  expect(parseImageReference(text)).toEqual({ registry, repository, reference });
});

test.each([
  ...["", "/", ":", "@", "App", "team/App", "a//b", "a/", "app:", "app:-x", "app:a/b", "app:a b"],
  ...["app@", "app@sha256:ab", `app@sha512:${"ab".repeat(64)}`, `app@${DIGEST}@${DIGEST}`],
  ...["-a.b/app", "a..b/app", "a b.c/app", "a.b:x/app", "../app", "a/../b", "a.b/%2e%2e/app"],
  ...["user:secret@host.example/app", "https://host.example/app", `${"a/".repeat(128)}a`],
  ...[
    `app:${"t".repeat(129)}`,
    "app\n",
    "app?x",
    "app#x",
    "a.b/app?x=1",
    "host.example:99999999/a",
  ],
])("%j names no image", (text) => {
  expect(() => parseImageReference(text)).toThrow(/read the image/);
});

const component = fc.stringMatching(/^[a-z0-9]{1,8}(?:(?:\.|_|__|-)[a-z0-9]{1,4})?$/);
const image = fc.record({
  registry: fc.constantFrom("docker.io", "ghcr.io", "localhost", "10.0.0.5:5000", "[::1]:5000"),
  repository: fc.array(component, { minLength: 2, maxLength: 4 }).map((parts) => parts.join("/")),
  reference: fc.oneof(fc.stringMatching(/^\w[\w.-]{0,20}$/), fc.constant(DIGEST)),
});

test("what is written of an image is read as the same image, as a name and as a URL", () => {
  fc.assert(
    fc.property(image, (one) => {
      expect(parseImageReference(formatImageReference(one))).toEqual(one);
      const origin = `https://${one.registry}`;
      const url = manifestUrl(origin, one);
      expect(imageOfManifestUrl(url)).toEqual({ image: one, origin });
    }),
  );
});

test("whatever is typed is an image whose URL stays below its repository, or is refused", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.webUrl(), image.map(formatImageReference)), (text) => {
      let parsed;
      try {
        parsed = parseImageReference(text);
      } catch (error) {
        expect(error).toMatchObject({ code: "usage" });
        return;
      }
      const { repository, reference } = parsed;
      const url = new URL(manifestUrl("https://registry.example", parsed));
      expect(url.href).toBe(`https://registry.example/v2/${repository}/manifests/${reference}`);
    }),
  );
});

test.each([
  "https://registry.example/",
  "https://registry.example/v2/",
  "https://registry.example/v2/app/tags/list",
  "https://registry.example/v2/App/manifests/latest",
  "https://registry.example/v2/app/manifests/-latest",
  "https://registry.example/v2/app/manifests/a%2Fb",
  "https://registry.example/v2/%2e%2e/manifests/latest",
  `https://registry.example/v2/app/blobs/${DIGEST}`,
  "ftp://registry.example/v2/app/manifests/latest",
])("%s is no manifest's URL", (url) => {
  expect(imageOfManifestUrl(url)).toBeNull();
});

test("the URL that Harbor gives for an image, and Docker Hub's, are read", () => {
  const url = "https://harbor.example/v2/library/nginx/manifests/sha256%3A" + "ab".repeat(32);

  expect(imageOfManifestUrl(url)).toEqual({
    image: { registry: "harbor.example", repository: "library/nginx", reference: DIGEST },
    origin: "https://harbor.example",
  });
  expect(
    imageOfManifestUrl("https://index.docker.io/v2/library/redis/manifests/latest")?.image,
  ).toEqual({ registry: "docker.io", repository: "library/redis", reference: "latest" });
});
