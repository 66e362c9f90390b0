// The paths of the pull API (OCI distribution specification, "Endpoints" end-1, 2, 3, 8 and 12): what a path
// asks for, and the names within it. Nothing that did not match here ever gets into another URL.
//
//   /v2/                                  /v2/<prefix>/
//   /v2/[<prefix>/]<name>/blobs/<digest>
//   /v2/[<prefix>/]<name>/manifests/<digest or tag>
//   /v2/[<prefix>/]<name>/tags/list
//   /v2/[<prefix>/]<name>/referrers/<digest>
//
// A first part that looks like a host is the prefix: "localhost", or anything with a dot or a colon. Podman, CRI-O
// and skopeo take no colon there; for them "registry.example:5000" is "registry.example_5000".

/** What a path asks for, without the repository's name. */
export type OciResource =
  | { readonly kind: "version" }
  | { readonly kind: "blob"; readonly digest: string }
  | { readonly kind: "manifest"; readonly digest: string }
  | { readonly kind: "tag"; readonly tag: string }
  | { readonly kind: "tags" }
  | { readonly kind: "referrers"; readonly digest: string };

export type OciPath =
  | {
      readonly kind: "path";
      /** The registry that the path begins with (see `registryOfPrefix`), as it stands there; null: none. */
      readonly prefix: string | null;
      /** "" for the version. */
      readonly name: string;
      readonly resource: OciResource;
    }
  /** Of the pull API, but with a name, a digest or a tag that none can have. */
  | { readonly kind: "malformed"; readonly what: "name" | "digest" | "tag" }
  /** Something else: uploads, the catalog, another service. */
  | { readonly kind: "foreign" };

/** "host[:port]" as in a reference to an image. */
export const REGISTRY_HOST =
  /^(?!.*\.\.)(?:localhost|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/;

/** A repository's name. */
export const NAME =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
export const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
/** Any algorithm of the image specification's grammar; those without a registered length are kept short. */
const DIGEST = /^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]{32,256}$/;

/** Clients and registries commonly stop at 255 with the host. */
const NAME_LENGTH_MAX = 255;

/** @param pathname without query; percent-encoding is in none of these paths */
export function parseOciPath(pathname: string): OciPath {
  const parts = pathname.split("/");
  if (parts[0] !== "" || parts[1] !== "v2") return { kind: "foreign" };
  const rest = parts.slice(2);
  if (rest.length < 2 || (rest.length === 2 && rest[1] === "")) return versionOf(rest[0] ?? "");
  // From the end: a repository may be called "blobs".
  const resource = rest.length < 3 ? null : resourceOf(rest.at(-2)!, rest.at(-1)!);
  if (resource === null) return { kind: "foreign" };
  if (resource.kind === "malformed") return resource;
  const { prefix, name } = withoutPrefix(rest.slice(0, -2));
  if (name.length > NAME_LENGTH_MAX || !NAME.test(name)) return { kind: "malformed", what: "name" };
  return { kind: "path", prefix, name, resource };
}

/** The repository where the registry is known otherwise: what looks like a host is a part of the name. */
export function repositoryIn({ prefix, name }: Extract<OciPath, { kind: "path" }>): string {
  return prefix === null ? name : `${prefix}/${name}`;
}

/** Whether bytes can be proven by it here. */
export function isSha256(digest: string): boolean {
  return /^sha256:[0-9a-f]{64}$/.test(digest);
}

/** "host[:port]" of the first part of a path. No host has an underscore. */
export function registryOfPrefix(prefix: string): string {
  return prefix.replace(/_(\d{1,5})$/, ":$1");
}

/** The first part of a path that means a registry, in the form that every engine takes. */
export function prefixOfRegistry(registry: string): string {
  return registry.replace(/:(\d{1,5})$/, "_$1");
}

/** Whether the first part of a repository's name would be taken for a registry's host. */
export function looksLikeHost(part: string): boolean {
  const host = registryOfPrefix(part);
  // Without a dot, "team_2" is a name like any other.
  const isMarked = part.includes(":") || /^localhost(?:_|$)/.test(part) || part.includes(".");
  return isMarked && REGISTRY_HOST.test(host);
}

function versionOf(part: string): OciPath {
  const prefix = part === "" ? null : part;
  if (prefix !== null && !looksLikeHost(prefix)) return { kind: "foreign" };
  return { kind: "path", prefix, name: "", resource: { kind: "version" } };
}

function resourceOf(
  kind: string,
  reference: string,
): OciResource | { kind: "malformed"; what: "digest" | "tag" } | null {
  switch (kind) {
    case "blobs":
    case "referrers":
      if (!isDigest(reference)) return { kind: "malformed", what: "digest" };
      return { kind: kind === "blobs" ? "blob" : "referrers", digest: reference };
    case "manifests":
      if (!reference.includes(":")) {
        return TAG.test(reference)
          ? { kind: "tag", tag: reference }
          : { kind: "malformed", what: "tag" };
      }
      if (!isDigest(reference)) return { kind: "malformed", what: "digest" };
      return { kind: "manifest", digest: reference };
    case "tags":
      return reference === "list" ? { kind: "tags" } : null;
    default:
      return null;
  }
}

function isDigest(text: string): boolean {
  if (text.startsWith("sha256:")) return isSha256(text);
  if (text.startsWith("sha512:")) return /^sha512:[0-9a-f]{128}$/.test(text);
  return DIGEST.test(text);
}

function withoutPrefix(parts: readonly string[]): { prefix: string | null; name: string } {
  const [first = "", ...others] = parts;
  if (others.length > 0 && looksLikeHost(first)) return { prefix: first, name: others.join("/") };
  return { prefix: null, name: parts.join("/") };
}

/** The same resource in another place's pull API. */
export function formatOciPath(name: string, resource: OciResource): string {
  switch (resource.kind) {
    case "version":
      return "/v2/";
    case "blob":
      return `/v2/${name}/blobs/${resource.digest}`;
    case "manifest":
      return `/v2/${name}/manifests/${resource.digest}`;
    case "tag":
      return `/v2/${name}/manifests/${resource.tag}`;
    case "tags":
      return `/v2/${name}/tags/list`;
    case "referrers":
      return `/v2/${name}/referrers/${resource.digest}`;
  }
}
