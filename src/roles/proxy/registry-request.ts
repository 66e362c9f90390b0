// One request for something of a registry: which registry, and what of it, or why it is asked nowhere.

import type { ProxiedRequest } from "../../net/proxy/proxied-request.ts";
import type { OciError, OciSubject } from "../../net/registry/oci-error.ts";
import {
  formatOciPath,
  isSha256,
  NAME,
  type OciPath,
  type OciResource,
  parseOciPath,
  repositoryIn,
} from "../../net/registry/oci-path.ts";
import { registryInPath } from "../../net/registry/registry-in-path.ts";
import {
  chooseUpstream,
  type RegistryRules,
  type Upstream,
} from "../../net/registry/upstream-choice.ts";

export interface RegistryRequest {
  readonly asked: ProxiedRequest;
  readonly upstream: Upstream;
  /** The repository's; "" for the version. */
  readonly name: string;
  readonly resource: OciResource;
  /** What the query named the registry with; null: nothing. */
  readonly ns: string | null;
}

/** Where the registry is asked for it, without a query. */
export function registryUrlOf({ upstream, name, resource }: RegistryRequest): string {
  return `${upstream.origin}${formatOciPath(name, resource)}`;
}

export function subjectOf({ resource }: Pick<RegistryRequest, "resource">): OciSubject {
  if (resource.kind === "blob") return "blob";
  return resource.kind === "manifest" || resource.kind === "tag" ? "manifest" : "other";
}

/** Fields of every answer of the mirror's own. */
export function ownFields({ upstream }: Pick<RegistryRequest, "upstream">): Record<string, string> {
  return {
    // Engines of some age look for it before they believe that this is a registry.
    "docker-distribution-api-version": "registry/2.0",
    // "Registry Proxying" of the specification.
    "oci-namespace": upstream.registry,
  };
}

/** Why a request is not asked anywhere. */
export class Refusal extends Error {
  readonly oci: OciError;

  constructor(oci: OciError) {
    super(oci.message);
    this.oci = oci;
  }
}

const MALFORMED = {
  name: { status: 400, code: "NAME_INVALID", message: "no repository can have this name" },
  digest: { status: 400, code: "DIGEST_INVALID", message: "this is no digest" },
  // A tag that none can have is one that is not there.
  tag: { status: 404, code: "MANIFEST_UNKNOWN", message: "no tag can have this name" },
} as const satisfies Record<Extract<OciPath, { kind: "malformed" }>["what"], OciError>;

/**
 * What a request to the port itself asks, of the registry that it names.
 * @throws {Refusal}
 */
export function requestOf(asked: ProxiedRequest, rules: RegistryRules): RegistryRequest {
  const { message, url } = asked;
  const path = pathOf(asked);
  const { resource } = path;
  const ns = url.searchParams.get("ns");
  const header = [message.headers["x-dragonfly-registry"] ?? []].flat()[0] ?? null;
  const userAgent = message.headers["user-agent"] ?? "";
  const prefix = registryInPath(path, { ns, userAgent }, rules);
  const name = prefix === null ? wholeNameOf(path) : path.name;
  const choice = chooseUpstream({ prefix, ns, header }, rules);
  switch (choice.kind) {
    case "chosen":
      return { asked, upstream: choice.upstream, name, resource, ns };
    case "refused":
      throw new Refusal({
        status: 403,
        code: "DENIED",
        message: `this mirror does not ask ${choice.registry}: see --registry-allow`,
      });
    case "malformed":
      throw new Refusal({
        status: 400,
        code: "NAME_INVALID",
        message: `${choice.what.slice(0, 256)} is no registry: HOST or HOST:PORT`,
      });
  }
}

/**
 * What a request that names its host as any proxy's does asks of the registry there.
 * @throws {Refusal}
 */
export function requestAt(asked: ProxiedRequest): RegistryRequest {
  const { url } = asked;
  const path = pathOf(asked);
  const name = wholeNameOf(path);
  const upstream: Upstream = { registry: url.host, origin: url.origin, isNamed: true };
  return { asked, upstream, name, resource: path.resource, ns: null };
}

/** The repository where the path names no registry. @throws {Refusal} */
function wholeNameOf(path: Extract<OciPath, { kind: "path" }>): string {
  const name = repositoryIn(path);
  if (path.resource.kind !== "version" && !NAME.test(name)) throw new Refusal(MALFORMED.name);
  return name;
}

/** @throws {Refusal} for what is no pull */
function pathOf({ message, url }: ProxiedRequest): Extract<OciPath, { kind: "path" }> {
  const path = parseOciPath(url.pathname);
  const isRead = message.method === "GET" || message.method === "HEAD";
  if (path.kind === "foreign" && isRead && !url.pathname.startsWith("/v2/")) {
    const what = "this is a registry mirror: its API is at /v2/";
    throw new Refusal({ status: 404, code: "UNSUPPORTED", message: what });
  }
  if (!isRead || path.kind === "foreign") {
    const what =
      "a mirror only answers pulls: GET and HEAD of blobs, manifests, tags and referrers";
    throw new Refusal({ status: 405, code: "UNSUPPORTED", message: what });
  }
  if (path.kind === "malformed") throw new Refusal(MALFORMED[path.what]);
  return path;
}

/** Whether the swarm may have the answer. */
export function isForSwarm({ asked, resource }: RegistryRequest): boolean {
  switch (resource.kind) {
    case "blob":
      // HEAD proves what this engine may have: that is between it and the registry.
      return asked.message.method === "GET" && isSha256(resource.digest);
    case "manifest":
      return isSha256(resource.digest);
    case "tag":
      return true;
    case "version":
    case "tags":
    case "referrers":
      return false;
  }
}

/** Where the registry is asked what the engine asked. */
export function askedUrlOf(request: RegistryRequest): string {
  return `${registryUrlOf(request)}${queryOf(request.asked.url)}`;
}

/** The query without what is for the mirror. */
function queryOf({ searchParams }: URL): string {
  const query = new URLSearchParams(searchParams);
  query.delete("ns");
  return query.size === 0 ? "" : `?${query.toString()}`;
}
