// For which hosts the proxy's port opens tunnels: those that the operator named and that its CA may speak for.

import { bareHost } from "../../net/bare-host.ts";
import { Interceptor } from "../../net/proxy/interceptor.ts";
import type { Interception } from "../../net/proxy/proxy-front.ts";
import { matchesUrl } from "../../net/url-pattern.ts";
import { leafIssuer } from "../ca/leaf-issuer.ts";
import { isPermitted } from "../ca/name-constraints.ts";
import { hostIn, openProxyCa } from "../ca/proxy-ca.ts";

/** Clients that do not trust the CA are told of once for each host. */
const DISTRUSTED_MAX = 1_000;

/**
 * Null: no host is named.
 * @param intercept patterns of hosts
 * @throws {DfError} as openProxyCa
 */
export async function interceptionBy(
  intercept: readonly string[],
  { dataDir, onWarning }: { dataDir: string; onWarning: (message: string) => void },
): Promise<Interception | null> {
  if (intercept.length === 0) return null;
  const ca = await openProxyCa(dataDir, intercept);
  const beyond = intercept.filter(
    (pattern) => !isPermitted(ca.hosts, hostIn(pattern).replace(/^\*\./, "")),
  );
  if (beyond.length > 0) {
    onWarning(
      `the proxy's CA may not speak for ${beyond.join(", ")}: their tunnels stay closed until it is ` +
        "made anew with df ca show --replace --for HOST,…",
    );
  }
  const distrusted = new Set<string>();
  return new Interceptor({
    isFor: (target) =>
      intercept.some((pattern) => matchesUrl(pattern, target)) &&
      isPermitted(ca.hosts, bareHost(target.hostname)),
    issue: leafIssuer(ca),
    onDistrust: (name) => {
      if (distrusted.has(name) || distrusted.size >= DISTRUSTED_MAX) return;
      distrusted.add(name);
      onWarning(
        `a client of the proxy broke off TLS for ${name}: it may not trust the CA; see df ca`,
      );
    },
  });
}
