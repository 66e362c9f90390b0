// Names of images as people write them, "app", "team/app:1.2", "registry.example:5000/app@sha256:…", read
// as Docker and its kin read them, and the URLs of a registry's pull API that they stand for.
// @see OCI distribution specification, "Pull"; github.com/distribution/reference

import { DfError } from "../../errors.ts";

/** Bytes of a repository's name with its registry, as engines bound it. */
const NAME_LENGTH_MAX = 255;

const COMPONENT = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const REPOSITORY = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const TAG = /^\w[\w.-]{0,127}$/;
const SHA256_DIGEST = /^sha256:[0-9a-f]{64}$/;

const LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?";
const REGISTRY = new RegExp(`^(?:${LABEL}(?:\\.${LABEL})*|\\[[0-9a-fA-F:]+\\])(?::[0-9]{1,5})?$`);

/** Where images without a registry are, and what engines also call it. */
const DOCKER_HUB = "docker.io";
const DOCKER_HUB_NAMES = new Set([DOCKER_HUB, "index.docker.io", "registry-1.docker.io"]);

/** Of Docker Hub's images without an owner. */
const OFFICIAL_OWNER = "library";

export interface ImageReference {
  /** As engines name it: "docker.io", "registry.example:5000", "[::1]:5000". */
  readonly registry: string;
  readonly repository: string;
  /** A tag, or the digest where one is given: then the tag beside it counts nothing. */
  readonly reference: string;
}

/** Whether it names one manifest for ever. */
export function isDigest(reference: string): boolean {
  return SHA256_DIGEST.test(reference);
}

/** @throws {DfError} usage */
export function parseImageReference(text: string): ImageReference {
  const [named, digest, ...rest] = text.split("@");
  if (rest.length > 0) throw noReference(text, "it has more than one @");
  if (digest !== undefined && !SHA256_DIGEST.test(digest)) {
    throw noReference(text, "after the @ a digest stands: sha256: and 64 hex digits");
  }
  const { registry, path } = splitRegistry(named!);
  // A colon in the last component alone: others would be a registry's port.
  const colon = path.lastIndexOf(":");
  const hasTag = colon > path.lastIndexOf("/");
  const repository = officialName(registry, hasTag ? path.slice(0, colon) : path);
  const tag = hasTag ? path.slice(colon + 1) : "latest";
  if (!TAG.test(tag)) throw noReference(text, "its tag is none");
  if (!REGISTRY.test(registry)) throw noReference(text, "its registry is no host");
  if (!REPOSITORY.test(repository)) {
    throw noReference(text, "a repository's name has small letters, digits and . _ - / between");
  }
  if (registry.length + 1 + repository.length > NAME_LENGTH_MAX) {
    throw noReference(text, `its name has more than ${NAME_LENGTH_MAX} characters`);
  }
  return { registry, repository, reference: digest ?? tag };
}

/** As an engine would be asked for it: "registry/repository:tag" or "registry/repository@sha256:…". */
export function formatImageReference({ registry, repository, reference }: ImageReference): string {
  return `${registry}/${repository}${isDigest(reference) ? "@" : ":"}${reference}`;
}

/**
 * The image that the URL of a manifest names, with the origin that it stands at; null: it is the URL of
 * something else.
 * @throws {TypeError} when `text` is no URL
 */
export function imageOfManifestUrl(text: string): { image: ImageReference; origin: string } | null {
  const { host, origin, pathname, protocol } = new URL(text);
  const match = /^\/v2\/(.+)\/manifests\/([^/]+)$/.exec(decodedPath(pathname));
  if (match === null || !/^https?:$/.test(protocol)) return null;
  const [, repository, reference] = match as unknown as [string, string, string];
  const isReference = TAG.test(reference) || SHA256_DIGEST.test(reference);
  if (!REPOSITORY.test(repository) || !isReference) return null;
  return { image: { registry: registryOf(host), repository, reference }, origin };
}

/** URL of a manifest, by tag or digest. @param origin where its registry is reached, "https://host:port" */
export function manifestUrl(origin: string, repository: string, reference: string): string {
  return `${origin}/v2/${repository}/manifests/${reference}`;
}

export function blobUrl(origin: string, repository: string, digest: string): string {
  return `${origin}/v2/${repository}/blobs/${digest}`;
}

/** Docker Hub has several names for engines and one for people. */
function registryOf(host: string): string {
  return DOCKER_HUB_NAMES.has(host) ? DOCKER_HUB : host;
}

/** The first component is a registry if no repository could be called so: it has a dot or port, or is localhost. */
function splitRegistry(named: string): { registry: string; path: string } {
  const slash = named.indexOf("/");
  const first = named.slice(0, Math.max(slash, 0));
  const isRegistry = /[.:]/.test(first) || first === "localhost" || /[A-Z]/.test(first);
  if (!isRegistry) return { registry: DOCKER_HUB, path: named };
  return { registry: registryOf(first), path: named.slice(slash + 1) };
}

function officialName(registry: string, repository: string): string {
  const isOfficial = registry === DOCKER_HUB && !repository.includes("/");
  return isOfficial ? `${OFFICIAL_OWNER}/${repository}` : repository;
}

/** A digest's colon may be escaped in a path. */
function decodedPath(pathname: string): string {
  return pathname.replaceAll(/%3a/gi, ":");
}

function noReference(text: string, because: string): DfError {
  return new DfError("usage", `read the image ${text}: ${because}`, {
    hint: "write [REGISTRY[:PORT]/]NAME[:TAG][@sha256:DIGEST], e.g. alpine:3.20 or ghcr.io/team/app:1.2",
  });
}
