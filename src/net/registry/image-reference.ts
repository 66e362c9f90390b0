// Names of images as people write them, "app", "team/app:1.2", "registry.example:5000/app@sha256:…", read
// as Docker and its kin read them, and the URLs of a registry's pull API that they stand for.
// @see OCI distribution specification, "Pull"; github.com/distribution/reference

import { DfError } from "../../errors.ts";
import {
  formatOciPath,
  isSha256,
  NAME as REPOSITORY_NAME,
  type OciResource,
  parseOciPath,
  repositoryIn,
  TAG,
} from "./oci-path.ts";
import { DOCKER_HUB, parseRegistry } from "./upstream-choice.ts";

/** Bytes of a repository's name with its registry, as engines bound it. */
const NAME_LENGTH_MAX = 255;

/** Of Docker Hub's images without an owner. */
const OFFICIAL_OWNER = "library";

export interface ImageReference {
  /** As engines name it: "docker.io", "registry.example:5000", "[::1]:5000". */
  readonly registry: string;
  readonly repository: string;
  /** A tag, or the digest where one is given: then the tag beside it counts nothing. */
  readonly reference: string;
}

/** @throws {DfError} usage */
export function parseImageReference(text: string): ImageReference {
  const [named, digest, ...rest] = text.split("@");
  if (rest.length > 0) throw noReference(text, "it has more than one @");
  if (digest !== undefined && !isSha256(digest)) {
    throw noReference(text, "after the @ a digest stands: sha256: and 64 hex digits");
  }
  const { registry, path } = splitRegistry(named!);
  // A colon in the last component alone: others would be a registry's port.
  const colon = path.lastIndexOf(":");
  const hasTag = colon > path.lastIndexOf("/");
  const repository = officialName(registry, hasTag ? path.slice(0, colon) : path);
  const tag = hasTag ? path.slice(colon + 1) : "latest";
  if (!TAG.test(tag)) throw noReference(text, "its tag is none");
  if (registry === null) throw noReference(text, "its registry is no host");
  if (!REPOSITORY_NAME.test(repository)) {
    throw noReference(text, "a repository's name has small letters, digits and . _ - / between");
  }
  if (registry.length + 1 + repository.length > NAME_LENGTH_MAX) {
    throw noReference(text, `its name has more than ${NAME_LENGTH_MAX} characters`);
  }
  return { registry, repository, reference: digest ?? tag };
}

/** As an engine would be asked for it: "registry/repository:tag" or "registry/repository@sha256:…". */
export function formatImageReference({ registry, repository, reference }: ImageReference): string {
  return `${registry}/${repository}${isSha256(reference) ? "@" : ":"}${reference}`;
}

/**
 * The image that the URL of a manifest names, with the origin that it stands at; null: it is the URL of
 * something else.
 * @throws {TypeError} when `text` is no URL
 */
export function imageOfManifestUrl(text: string): { image: ImageReference; origin: string } | null {
  const { host, origin, pathname, protocol } = new URL(text);
  // Some escape a digest's colon.
  const path = parseOciPath(pathname.replaceAll(/%3a/gi, ":"));
  if (path.kind !== "path" || !/^https?:$/.test(protocol)) return null;
  const repository = repositoryIn(path);
  const [reference, registry] = [referenceOf(path.resource), registryOf(host)];
  if (reference === null || registry === null || !REPOSITORY_NAME.test(repository)) return null;
  return { image: { registry, repository, reference }, origin };
}

function referenceOf(resource: OciResource): string | null {
  if (resource.kind === "tag") return resource.tag;
  return resource.kind === "manifest" && isSha256(resource.digest) ? resource.digest : null;
}

/** URL of a manifest. @param origin where the registry is reached, "https://host:port" */
export function manifestUrl(
  origin: string,
  { repository, reference }: Pick<ImageReference, "repository" | "reference">,
): string {
  const resource: OciResource = isSha256(reference)
    ? { kind: "manifest", digest: reference }
    : { kind: "tag", tag: reference };
  return origin + formatOciPath(repository, resource);
}

/** The first component is a registry if no repository could be called so: it has a dot or port, or is localhost. */
function splitRegistry(named: string): { registry: string | null; path: string } {
  const slash = named.indexOf("/");
  const first = named.slice(0, Math.max(slash, 0));
  const isRegistry = /[.:]/.test(first) || first === "localhost" || /[A-Z]/.test(first);
  if (!isRegistry) return { registry: DOCKER_HUB, path: named };
  return { registry: registryOf(first), path: named.slice(slash + 1) };
}

/** As all of its names are written; null: it is no host. */
function registryOf(host: string): string | null {
  return parseRegistry(host)?.registry ?? null;
}

function officialName(registry: string | null, repository: string): string {
  const isOfficial = registry === DOCKER_HUB && !repository.includes("/");
  return isOfficial ? `${OFFICIAL_OWNER}/${repository}` : repository;
}

function noReference(text: string, because: string): DfError {
  return new DfError("usage", `read the image ${text}: ${because}`, {
    hint: "write [REGISTRY[:PORT]/]NAME[:TAG][@sha256:DIGEST], e.g. alpine:3.20 or ghcr.io/team/app:1.2",
  });
}
