// What any registry must answer to who pulls from it: the rules of the OCI distribution specification that
// concern reading, by the number of their endpoint. The same suite runs against a real registry and against
// a mirror before it; neither is ever written to through it ("read-only" of the specification's own suite).

import { describe, expect, test } from "bun:test";
import type http from "node:http";
import { askRaw, errorOf, type RawAnswer } from "../../fixtures/mirror-fixture.ts";
import { digestOf, type ImageBlob } from "../../fixtures/image-builder.ts";

export interface RegistryUnderTest {
  /** "http://host:port" */
  url: string;
  repository: string;
  /** A tag of `manifest`. */
  tag: string;
  manifest: ImageBlob;
  /** Of the same repository. */
  index: ImageBlob;
  /** Of more than 1,000 bytes. */
  blob: ImageBlob;
  /** All tags of the repository, sorted; at least three. */
  tags: readonly string[];
}

export interface RegistryTraits {
  /** What a mirror answers differently: it takes no uploads at all. */
  isReadOnly: boolean;
}

const UNKNOWN = `sha256:${"0123456789abcdef".repeat(4)}`;

export function testRegistryPulls(
  name: string,
  registry: () => RegistryUnderTest,
  { isReadOnly }: RegistryTraits,
): void {
  const ask = (path: string, method = "GET", headers: http.OutgoingHttpHeaders = {}) =>
    askRaw(`${registry().url}/v2/${path}`, { method, headers });
  const inRepository = (path: string, method = "GET", headers: http.OutgoingHttpHeaders = {}) =>
    ask(`${registry().repository}/${path}`, method, headers);
  const accept = (blob: ImageBlob) => ({ accept: blob.mediaType });

  describe(`${name}, end-1`, () => {
    test("GET /v2/ says that this is a registry", async () => {
      const { status, headers } = await ask("");

      expect([200, 401]).toContain(status);
      expect(headers["docker-distribution-api-version"]).toBe("registry/2.0");
    });
  });

  describe(`${name}, end-2: blobs`, () => {
    test("GET gives the bytes and their digest", async () => {
      const { blob } = registry();
      const answer = await inRepository(`blobs/${blob.digest}`);

      expect(answer.status).toBe(200);
      expect(answer.headers["content-length"]).toBe(String(blob.bytes.length));
      expect(answer.headers["docker-content-digest"]).toBe(blob.digest);
      expect(digestOf(answer.body)).toBe(blob.digest);
    });

    test("HEAD gives length and digest and no byte", async () => {
      const { blob } = registry();
      const answer = await inRepository(`blobs/${blob.digest}`, "HEAD");

      expect(answer.status).toBe(200);
      expect(answer.headers["content-length"]).toBe(String(blob.bytes.length));
      expect(answer.headers["docker-content-digest"]).toBe(blob.digest);
      expect(answer.body.length).toBe(0);
    });

    test("a range gives 206 with just these bytes", async () => {
      const { blob } = registry();
      const answer = await inRepository(`blobs/${blob.digest}`, "GET", { range: "bytes=100-199" });

      expect(answer.status).toBe(206);
      expect(answer.headers["content-range"]).toBe(`bytes 100-199/${blob.bytes.length}`);
      expect(answer.headers["content-length"]).toBe("100");
      expect(answer.body.equals(blob.bytes.subarray(100, 200))).toBe(true);
    });

    test("a range without an end gives the rest", async () => {
      const { blob } = registry();
      const answer = await inRepository(`blobs/${blob.digest}`, "GET", { range: "bytes=1000-" });

      expect(answer.status).toBe(206);
      expect(answer.body.equals(blob.bytes.subarray(1000))).toBe(true);
    });

    test("a range that starts past the end is 416", async () => {
      const { blob } = registry();
      const range = `bytes=${blob.bytes.length}-`;
      const answer = await inRepository(`blobs/${blob.digest}`, "GET", { range });

      expect(answer.status).toBe(416);
    });

    test("an unknown blob is 404 BLOB_UNKNOWN", async () => {
      const answer = await inRepository(`blobs/${UNKNOWN}`);
      const head = await inRepository(`blobs/${UNKNOWN}`, "HEAD");

      expect([answer.status, errorOf(answer).code]).toEqual([404, "BLOB_UNKNOWN"]);
      expect([head.status, head.body.length]).toEqual([404, 0]);
    });
  });

  describe(`${name}, end-3: manifests`, () => {
    const isManifest = (
      { status, headers }: RawAnswer,
      { digest, mediaType, bytes }: ImageBlob,
    ) => {
      expect(status).toBe(200);
      expect(headers["docker-content-digest"]).toBe(digest);
      expect(headers["content-type"]).toBe(mediaType);
      expect(headers["content-length"]).toBe(String(bytes.length));
    };

    test("GET by digest gives the bytes, their digest and type", async () => {
      for (const blob of [registry().manifest, registry().index]) {
        const answer = await inRepository(`manifests/${blob.digest}`, "GET", accept(blob));

        isManifest(answer, blob);
        expect(answer.body.equals(blob.bytes)).toBe(true);
      }
    });

    test("HEAD by digest gives the same without the bytes", async () => {
      const { manifest } = registry();
      const answer = await inRepository(`manifests/${manifest.digest}`, "HEAD", accept(manifest));

      isManifest(answer, manifest);
      expect(answer.body.length).toBe(0);
    });

    test("GET and HEAD by tag give what the tag names", async () => {
      const { manifest, tag } = registry();
      const answer = await inRepository(`manifests/${tag}`, "GET", accept(manifest));
      const head = await inRepository(`manifests/${tag}`, "HEAD", accept(manifest));

      isManifest(answer, manifest);
      isManifest(head, manifest);
      expect(answer.body.equals(manifest.bytes)).toBe(true);
      expect(head.body.length).toBe(0);
    });

    test("an unknown manifest is 404 MANIFEST_UNKNOWN", async () => {
      for (const reference of [UNKNOWN, "no-such-tag"]) {
        const answer = await inRepository(`manifests/${reference}`);
        const head = await inRepository(`manifests/${reference}`, "HEAD");

        expect([answer.status, errorOf(answer).code]).toEqual([404, "MANIFEST_UNKNOWN"]);
        expect([head.status, head.body.length]).toEqual([404, 0]);
      }
    });

    test("a repository that is not there has no manifest", async () => {
      const answer = await ask("no/such/repository/manifests/latest");

      expect(answer.status).toBe(404);
      expect(["NAME_UNKNOWN", "MANIFEST_UNKNOWN"]).toContain(errorOf(answer).code);
    });
  });

  describe(`${name}, end-8: tags`, () => {
    test("GET lists them", async () => {
      const { repository, tags } = registry();
      const answer = await inRepository("tags/list");

      expect(answer.status).toBe(200);
      const list = JSON.parse(answer.body.toString()) as { name: string; tags: string[] };
      expect({ ...list, tags: list.tags.toSorted() }).toEqual({
        name: repository,
        tags: [...tags],
      });
    });
  });

  describe(`${name}, end-12: referrers`, () => {
    test("GET gives an index, or 404 where the registry has none", async () => {
      const { manifest } = registry();
      const answer = await inRepository(`referrers/${manifest.digest}`);

      expect([200, 404]).toContain(answer.status);
      if (answer.status === 200) {
        expect(answer.headers["content-type"]).toBe("application/vnd.oci.image.index.v1+json");
      }
    });
  });

  describe(`${name}, what is no pull`, () => {
    test.skipIf(!isReadOnly)("uploads, pushes and deletions are 405 UNSUPPORTED", async () => {
      const { manifest, tag } = registry();
      for (const [method, path] of [
        ["POST", "blobs/uploads/"],
        ["PATCH", "blobs/uploads/1"],
        ["PUT", "blobs/uploads/1"],
        ["PUT", `manifests/${tag}`],
        ["DELETE", `manifests/${manifest.digest}`],
        ["DELETE", `blobs/${UNKNOWN}`],
      ] as const) {
        const answer = await inRepository(path, method);

        expect([method, path, answer.status]).toEqual([method, path, 405]);
        expect(errorOf(answer).code).toBe("UNSUPPORTED");
        expect(answer.headers.allow).toBe("GET, HEAD");
      }
    });

    test("a digest that is none is refused", async () => {
      const answer = await inRepository("blobs/sha256:0123");

      expect([400, 404]).toContain(answer.status);
    });
  });
}
