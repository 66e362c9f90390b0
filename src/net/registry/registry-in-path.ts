// Whether a path of the pull API begins with a registry. A repository may be called like a host, and then
// only who asks can tell:
//
//   podman      /v2/quay.io/team/app/…                       quay.io is the registry
//   containerd  /v2/google.com/project/app/…?ns=gcr.io       google.com is a part of the name

import { type OciPath, registryOfPrefix } from "./oci-path.ts";
import { chooseUpstream, parseRegistry, type RegistryRules } from "./upstream-choice.ts";

/**
 * Engines that never write a registry into a path, and name it with `ns` wherever they ask a mirror. To take
 * their word for it keeps whoever owns the domain "my.team" from answering for registry.example/my.team/app.
 */
const NAMES_REGISTRY_IN_QUERY = /^(?:containerd|docker|buildkit|nerdctl)\//i;

/** Who asks. */
export interface RegistryAsker {
  /** Of the query; null: it names no registry. */
  readonly ns: string | null;
  readonly userAgent: string;
}

/** "host[:port]"; null: the path is all repository. */
export function registryInPath(
  { prefix, name }: Pick<Extract<OciPath, { kind: "path" }>, "prefix" | "name">,
  { ns, userAgent }: RegistryAsker,
  rules: RegistryRules,
): string | null {
  if (prefix === null) return null;
  const registry = registryOfPrefix(prefix);
  if (ns === null || name === "") return registry;
  const isSaidTwice = parseRegistry(registry)?.registry === parseRegistry(ns)?.registry;
  if (isSaidTwice) return registry;
  if (NAMES_REGISTRY_IN_QUERY.test(userAgent)) return null;
  // One that may not be asked, or that none can be, is not what is meant where another is named.
  const choice = chooseUpstream({ prefix: registry, ns: null, header: null }, rules);
  return choice.kind === "chosen" ? registry : null;
}
