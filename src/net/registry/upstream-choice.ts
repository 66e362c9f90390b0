// Which registry a request on the mirror's port is meant for, and where that is reached.
//
//   first part of the path that looks like a host   podman, skopeo, CRI-O: location = "127.0.0.1:65001/quay.io"
//   ?ns=registry.example:5000                       containerd, whenever it asks a mirror
//   X-Dragonfly-Registry: https://registry.example  whatever sends a header of its own
//   the default                                     Docker's registry-mirrors, which are for docker.io alone

import { isOwnMachine } from "../swarm/is-confidential.ts";
import { matchesUrl } from "../url-pattern.ts";
import { REGISTRY_HOST } from "./oci-path.ts";

/** What the operator says of registries. */
export interface RegistryRules {
  /** "host[:port]" of the registry that is meant where a request names none. */
  readonly defaultRegistry: string;
  /** Patterns (url-pattern.ts) of those that may be asked; empty: every one. */
  readonly allow: readonly string[];
  /** Where a registry is reached, by "host[:port]": an origin, "https://mirror.example:5000". */
  readonly upstreams: Readonly<Record<string, string>>;
}

/** Where images are that name no registry. */
export const DOCKER_HUB = "docker.io";

export const DEFAULT_REGISTRY_RULES: RegistryRules = {
  defaultRegistry: DOCKER_HUB,
  allow: [],
  upstreams: {},
};

/** What a request says of the registry; null: nothing. */
export interface NamedRegistry {
  readonly prefix: string | null;
  readonly ns: string | null;
  /** "host[:port]", or an origin. */
  readonly header: string | null;
}

/** A registry as engines name it, and where its pull API is. */
export interface Upstream {
  /** "host[:port]"; Docker Hub is "docker.io". */
  readonly registry: string;
  /** "https://host[:port]" */
  readonly origin: string;
  /** Whether the request named it. */
  readonly isNamed: boolean;
}

export type UpstreamChoice =
  | { readonly kind: "chosen"; readonly upstream: Upstream }
  | { readonly kind: "refused"; readonly registry: string }
  | { readonly kind: "malformed"; readonly what: string };

/** Names that engines have for Docker Hub, the last one its own for the pull API. */
const DOCKER_HUB_HOSTS = new Set([DOCKER_HUB, "index.docker.io", "registry-1.docker.io"]);
const DOCKER_HUB_ORIGIN = "https://registry-1.docker.io";

export function chooseUpstream(
  { prefix, ns, header }: NamedRegistry,
  rules: RegistryRules,
): UpstreamChoice {
  const named = prefix ?? ns ?? header;
  const place = parseRegistry(named ?? rules.defaultRegistry);
  if (place === null) return { kind: "malformed", what: named ?? rules.defaultRegistry };
  const { registry, scheme } = place;
  const origin = originOf(registry, scheme, rules);
  if (!isAllowed(registry, origin, rules)) return { kind: "refused", registry };
  return { kind: "chosen", upstream: { registry, origin, isNamed: named !== null } };
}

/** Reads "host[:port]" or an origin; null for what is neither. */
export function parseRegistry(
  text: string,
): { registry: string; scheme: "http" | "https" | null } | null {
  const [, scheme = null, host = text] = /^(https?):\/\/([^/]+)\/?$/.exec(text) ?? [];
  if (!REGISTRY_HOST.test(host) || !URL.canParse(`http://${host}/`)) return null;
  const registry = host.toLowerCase();
  return {
    registry: DOCKER_HUB_HOSTS.has(registry) ? DOCKER_HUB : registry,
    scheme: scheme as "http" | "https" | null,
  };
}

function originOf(
  registry: string,
  scheme: "http" | "https" | null,
  { upstreams }: RegistryRules,
): string {
  if (Object.hasOwn(upstreams, registry)) return upstreams[registry]!;
  if (registry === DOCKER_HUB) return DOCKER_HUB_ORIGIN;
  const { hostname } = new URL(`http://${registry}/`);
  // As engines do: a registry of this very host commonly has no certificate.
  return new URL(`${scheme ?? (isOwnMachine(hostname) ? "http" : "https")}://${registry}/`).origin;
}

/** By its name with the scheme that it is reached by, wherever `upstreams` leads to. */
function isAllowed(registry: string, origin: string, { allow }: RegistryRules): boolean {
  const named = new URL(`${new URL(origin).protocol}//${registry}/`);
  return allow.length === 0 || allow.some((pattern) => matchesUrl(pattern, named));
}
