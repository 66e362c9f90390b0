// How `df get` reaches a source itself: anything that wget would read, through the proxies that wget
// would use.

import { OWN_CONNECTIONS } from "../../limits.ts";
import { EgressGuard } from "../../net/egress/egress-guard.ts";
import { DEFAULT_EGRESS } from "../../net/egress/egress-policy.ts";
import { parseProxy, type ProxyRules } from "../../net/egress/proxy-rules.ts";
import { isUrlPattern } from "../../net/url-pattern.ts";

export function ownEgress(proxies: ProxyRules): EgressGuard {
  return new EgressGuard({
    policy: { ...DEFAULT_EGRESS, reach: "own", proxies },
    ...OWN_CONNECTIONS,
  });
}

/**
 * What `http_proxy`, `https_proxy` and `no_proxy` say, as wget reads them. Daemons do not read them: what
 * an operator's shell happened to say would decide about all hosts.
 */
export function proxiesOfEnvironment(
  env: Readonly<Record<string, string | undefined>>,
): ProxyRules {
  const rules: Record<string, string> = {};
  const { http_proxy: http, https_proxy: https, no_proxy: exceptions = "" } = env;
  for (const [scheme, given] of Object.entries({ http, https })) {
    const proxy = given?.includes("://") === false ? `http://${given}` : given;
    if (proxy === undefined || parseProxy(proxy) === null) continue;
    rules[`${scheme}://*`] = proxy;
    // Longer patterns count before shorter ones: these before the rule for all.
    for (const pattern of exceptions.split(",").flatMap(patternsOf)) {
      const rule = `${scheme}://${pattern}`;
      if (isUrlPattern(rule)) rules[rule] = "";
    }
  }
  return rules;
}

/** "example.org" and ".example.org" mean the host and all below it, "*" every host. */
function patternsOf(exception: string): string[] {
  const name = exception.trim().replace(/^\*?\./, "");
  if (name === "") return [];
  return name === "*" ? ["*/"] : [name, `*.${name}`];
}
