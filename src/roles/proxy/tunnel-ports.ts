// The ports that a tunnel may lead to: those of the web, and what the operator's other words name anyway.

import { TUNNEL_PORTS } from "../../net/proxy/proxy-access.ts";
import type { RegistryRules } from "../../net/registry/upstream-choice.ts";
import { parseUrlPattern } from "../../net/url-pattern.ts";
import type { ForwardOptions } from "./forward-options.ts";

export function tunnelPortsOf(
  { intercept }: Pick<ForwardOptions, "intercept">,
  { allow, defaultRegistry, upstreams }: RegistryRules,
): ReadonlySet<number> {
  const named = [...intercept, ...allow, defaultRegistry, ...Object.entries(upstreams).flat()];
  return new Set([
    ...TUNNEL_PORTS,
    ...named.flatMap((pattern) => parseUrlPattern(pattern)?.port ?? []),
  ]);
}
