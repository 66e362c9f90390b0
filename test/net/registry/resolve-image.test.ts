// From an image's name to everything that a pull of it brings, at real registries: open ones, such that want
// a password or a token, and such that lie.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "bun:test";
import { Session } from "../../../bench/harness/session.ts";
import { Secret } from "../../../src/engine/bytes/secret.ts";
import type { PlatformChoice } from "../../../src/net/registry/image-platform.ts";
import { parseImageReference } from "../../../src/net/registry/image-reference.ts";
import { type ResolvedImage, resolveImage } from "../../../src/net/registry/resolve-image.ts";
import { egressFixture } from "../../fixtures/egress-fixture.ts";
import {
  blobOf,
  buildImage,
  buildIndex,
  type BuiltImage,
  descriptorOf,
  type ImageBlob,
} from "../../fixtures/image-builder.ts";
import { pushImage } from "../../fixtures/registry-push.ts";
import { hasHtpasswd, hasRegistry, startRegistry } from "../../fixtures/registry-server.ts";
import { startTokenServer } from "../../fixtures/registry-token-server.ts";

const AMD64 = { os: "linux", architecture: "amd64" };
const ARM64 = { os: "linux", architecture: "arm64" };
const OCI_INDEX = "application/vnd.oci.image.index.v1+json";

function basic(username: string, password: string): Secret<string> {
  return new Secret(`Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`);
}

function resolve(
  name: string,
  {
    platforms = [AMD64],
    authorization = null,
    isStrict = false,
  }: {
    platforms?: PlatformChoice;
    authorization?: Secret<string> | null;
    isStrict?: boolean;
  } = {},
): Promise<ResolvedImage> {
  const image = parseImageReference(name);
  const request = { image, origin: `http://${image.registry}`, platforms, authorization, isStrict };
  return resolveImage(request, egressFixture(), AbortSignal.timeout(20_000));
}

function digestsOf({ manifest, config, layers }: BuiltImage): string[] {
  return [manifest, config, ...layers].map(({ digest }) => digest);
}

test.if(hasRegistry)("an image for one platform alone is refused to who named another", () =>
  Session.run("resolve", async (session) => {
    const registry = await startRegistry(session);
    const image = buildImage({ layers: [4096], platform: AMD64 });
    const name = await pushImage(registry, { repository: "team/app" }, image);

    const own = await resolve(name, { platforms: [ARM64, AMD64], isStrict: true });
    const all = await resolve(name, { platforms: null });
    const unnamed = await resolve(name, { platforms: [ARM64] });
    const other = resolve(name, { platforms: [ARM64], isStrict: true });

    await expect(other).rejects.toMatchObject({
      code: "not-found",
      message: `resolve ${name}: it is not there for linux/arm64`,
      hint: "it is there for linux/amd64",
    });
    for (const { parts } of [own, all, unnamed]) {
      expect(parts.map(({ digest }) => digest)).toEqual(digestsOf(image));
    }
  }),
);

test.if(hasRegistry)("an index brings the manifests of the platforms that were asked for", () =>
  Session.run("resolve", async (session) => {
    const registry = await startRegistry(session);
    const images = [AMD64, ARM64].map((platform, seed) =>
      buildImage({ layers: [4096, 8192], seed, platform }),
    );
    const index = buildIndex(images);
    const name = await pushImage(registry, { repository: "team/app" }, index);

    const one = await resolve(name);
    const all = await resolve(name, { platforms: null });
    const byDigest = await resolve(`${registry.address}/team/app@${index.index.digest}`);
    const other = resolve(name, { platforms: [{ os: "linux", architecture: "s390x" }] });

    expect(one).toMatchObject({ digest: index.index.digest, isPrivate: false });
    expect(one.parts.map(({ digest }) => digest)).toEqual([
      index.index.digest,
      ...digestsOf(images[0]!),
    ]);
    const { manifest, config } = images[0]!;
    const base = `${registry.url}/v2/team/app`;
    expect(one.parts.slice(1, 3)).toEqual([
      { url: `${base}/manifests/${manifest.digest}`, kind: "manifest", digest: manifest.digest },
      { url: `${base}/blobs/${config.digest}`, kind: "blob", digest: config.digest },
    ]);
    expect(all.parts).toHaveLength(1 + 2 * 4);
    expect(byDigest.parts).toEqual(one.parts);
    await expect(other).rejects.toMatchObject({
      ...{ code: "not-found", hint: "it is there for linux/amd64, linux/arm64" },
    });
  }),
);

test.if(hasRegistry)("an image of Docker's older family without an index is read as it is", () =>
  Session.run("resolve", async (session) => {
    const registry = await startRegistry(session);
    const image = buildImage({ layers: [4096, 4096], family: "docker", seed: 3 });
    const name = await pushImage(registry, { repository: "app", tag: "v1" }, image);

    const { parts } = await resolve(name, { platforms: [ARM64] });

    expect(parts.map(({ digest }) => digest)).toEqual(digestsOf(image));
  }),
);

test.if(hasRegistry && hasHtpasswd)(
  "a password that a registry itself asks for is shown there",
  () =>
    Session.run("resolve", async (session) => {
      const credentials = { username: "ann", password: "right" };
      const registry = await startRegistry(session, { auth: { htpasswd: credentials } });
      const image = buildImage({ layers: [4096] });
      const name = await pushImage(registry, { repository: "app" }, image, { credentials });

      const known = await resolve(name, { authorization: basic("ann", "right") });
      const nobody = (): Promise<unknown> => resolve(name);
      const wrong = (): Promise<unknown> => resolve(name, { authorization: basic("ann", "wrong") });
      const gone = (): Promise<unknown> =>
        resolve(`${name}-none`, { authorization: basic("ann", "right") });

      expect(known).toMatchObject({ isPrivate: true, digest: image.manifest.digest });
      // The hints spoke of URLs and of a flag that images do not have.
      const refusal = (code: string, hint: string): object => ({
        ...{ code, hint: expect.stringContaining(hint) },
      });
      await expect(nobody()).rejects.toMatchObject(refusal("source-unauthorized", "--user"));
      await expect(wrong()).rejects.toMatchObject(refusal("source-unauthorized", "this password"));
      await expect(gone()).rejects.toMatchObject(refusal("source-not-found", "name and tag"));
    }),
);

test.if(hasRegistry)(
  "where tokens are asked for, everybody's opens what is public, and a password gets one of the repository alone for reading",
  () =>
    Session.run("resolve", async (session) => {
      const tokens = await startTokenServer(session, {
        users: { ann: "right" },
        mayPull: (user, repository) => user !== null || repository === "open/app",
      });
      const registry = await startRegistry(session, { auth: { token: tokens } });
      const credentials = { username: "ann", password: "right" };
      const image = buildImage({ layers: [4096] });
      const names: string[] = [];
      for (const repository of ["open/app", "team/app"])
        names.push(await pushImage(registry, { repository }, image, { credentials }));
      const asked = tokens.requests.length;
      const authorization = basic("ann", "right");

      const open = await resolve(names[0]!, { authorization });
      const own = await resolve(names[1]!, { authorization });
      const nobody = (): Promise<unknown> => resolve(names[1]!);
      const wrong = (): Promise<unknown> =>
        resolve(names[1]!, { authorization: basic("ann", "wrong") });

      expect([open.isPrivate, own.isPrivate]).toEqual([false, true]);
      await expect(nobody()).rejects.toMatchObject({ code: "source-unauthorized" });
      await expect(wrong()).rejects.toMatchObject({ code: "source-unauthorized" });
      const byAnn = tokens.requests.slice(asked).filter(({ user }) => user === "ann");
      expect(byAnn).toEqual([{ user: "ann", scopes: ["repository:team/app:pull"], status: 200 }]);
    }),
);

/** A registry of a test's own, which says what it likes. */
async function lyingRegistry(
  session: Session,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  session.defer(async () => {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("T-37: a realm elsewhere hears no password, and the user is told what to do", () =>
  Session.run("resolve", async (session) => {
    const heard: (string | undefined)[] = [];
    const realm = await lyingRegistry(session, ({ headers }, response) => {
      heard.push(headers.authorization);
      response.writeHead(401).end();
    });
    const challenge = `Bearer realm="http://${realm.replace("127.0.0.1", "localhost")}/token",service="x"`;
    const registry = await lyingRegistry(session, (_, response) => {
      response.writeHead(401, { "www-authenticate": challenge }).end();
    });

    const refused = resolve(`${registry}/app`, { authorization: basic("ann", "secret") });

    await expect(refused).rejects.toMatchObject({
      ...{ code: "denied", hint: expect.stringContaining("Authorization: Bearer") },
    });
    // As everybody it may be asked.
    expect(new Set(heard)).toEqual(new Set([undefined]));
  }));

test("T-14: a registry that redirects elsewhere takes no password along", () =>
  Session.run("resolve", async (session) => {
    const heard: (string | undefined)[] = [];
    const { manifest } = buildImage({ layers: [4096] });
    const elsewhere = await lyingRegistry(session, ({ headers }, response) => {
      heard.push(headers.authorization);
      response.writeHead(200, { "content-type": manifest.mediaType }).end(manifest.bytes);
    });
    const registry = await lyingRegistry(session, ({ headers }, response) => {
      const to = { location: `http://${elsewhere}/manifest` };
      if (headers.authorization === undefined) response.writeHead(401).end();
      else response.writeHead(307, to).end();
    });

    const { digest } = await resolve(`${registry}/app`, { authorization: basic("ann", "secret") });

    expect(digest).toBe(manifest.digest);
    expect(heard).toEqual([undefined]);
  }));

function serving(blobs: readonly ImageBlob[], first: ImageBlob) {
  const byDigest = new Map(blobs.map((blob) => [blob.digest, blob]));
  return ({ url = "" }: IncomingMessage, response: ServerResponse): void => {
    const blob = byDigest.get(url.split("/").at(-1)!) ?? first;
    response.writeHead(200, { "content-type": blob.mediaType }).end(blob.bytes);
  };
}

test("T-37: what is behind a digest and is not of it, too long or without end is refused", () =>
  Session.run("resolve", async (session) => {
    const image = buildImage({ layers: [4096] });
    const other = buildImage({ layers: [4096], seed: 2 });
    const index = buildIndex([image]).index;
    const asDigest = { ...other.manifest, digest: image.manifest.digest };
    const swapped = await lyingRegistry(session, serving([asDigest], index));
    const long = await lyingRegistry(session, (_, response) => {
      response.writeHead(200, { "content-type": image.manifest.mediaType });
      response.end(Buffer.alloc((4 << 20) + 1, " "));
    });
    // Indexes that each name the next one.
    let top = index;
    const nested = [image.manifest, index];
    for (let depth = 0; depth < 6; depth++) {
      const manifests = [descriptorOf(top)];
      top = blobOf(OCI_INDEX, Buffer.from(JSON.stringify({ schemaVersion: 2, manifests })));
      nested.push(top);
    }
    const deep = await lyingRegistry(session, serving(nested, top));
    const crowd = Array.from({ length: 300 }, (_, at) => ({
      ...{ mediaType: OCI_INDEX, digest: `sha256:${`${at}`.padStart(64, "0")}`, size: 2 },
    }));
    const words = JSON.stringify({ schemaVersion: 2, manifests: crowd });
    const wide = await lyingRegistry(session, serving([], blobOf(OCI_INDEX, Buffer.from(words))));

    await expect(resolve(`${swapped}/app`)).rejects.toMatchObject({ code: "checksum" });
    await expect(resolve(`${long}/app`)).rejects.toThrow(/more than 4 MiB/);
    await expect(resolve(`${deep}/app`)).rejects.toThrow(/too many indexes in indexes/);
    await expect(resolve(`${wide}/app`, { platforms: null })).rejects.toThrow(/too many manifests/);
  }));

test("what an image does not get from its registry is left to the engine", () =>
  Session.run("resolve", async (session) => {
    const image = buildImage({ layers: [4096] });
    const foreign = {
      mediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar",
      ...{ digest: `sha256:${"ab".repeat(32)}`, size: 1, urls: ["https://files.example/layer"] },
    };
    const words = JSON.parse(Buffer.from(image.manifest.bytes).toString());
    const bytes = Buffer.from(JSON.stringify({ ...words, layers: [...words.layers, foreign] }));
    const manifest = blobOf(image.manifest.mediaType, bytes);
    const registry = await lyingRegistry(session, serving([], manifest));

    const { parts } = await resolve(`${registry}/app:v1`);

    expect(parts.map(({ digest }) => digest)).toEqual(
      [manifest, image.config, ...image.layers].map(({ digest }) => digest),
    );
  }));
