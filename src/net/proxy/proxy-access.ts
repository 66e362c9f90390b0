// What may be asked of the proxy, and by whom, before anything is resolved. Where a target's addresses may
// be is the egress guard's affair, as for every request to an address that somebody else named.

import { addressKind } from "../egress/address-kind.ts";
import { portOf } from "../port-of.ts";
import { matchesUrl, parseUrlPattern } from "../url-pattern.ts";
import type { ProxyCredentials } from "./proxy-credentials.ts";

export interface ProxyAccess {
  /** Null: only this machine reaches the port, and anybody there may use it. */
  readonly credentials: ProxyCredentials | null;
  /** Patterns (url-pattern.ts) of targets; null: any that the guard lets through. */
  readonly allow: readonly string[] | null;
  /** Ports that a tunnel may lead to besides what `allow` names. */
  readonly tunnelPorts: ReadonlySet<number>;
}

/** The web's, and where registries listen by default. */
export const TUNNEL_PORTS: readonly number[] = [80, 443, 5000];

/** Whether a target may be asked for by a request in absolute form. */
export function isTarget(url: URL, { allow }: ProxyAccess): boolean {
  return allow === null || allow.some((pattern) => matchesUrl(pattern, url));
}

/** Whether a tunnel may lead there: through one passes anything, so its port must be the web's or named. */
export function isTunnelTarget(url: URL, access: ProxyAccess): boolean {
  const named = (access.allow ?? []).some(
    (pattern) => parseUrlPattern(pattern)?.port !== null && matchesUrl(pattern, url),
  );
  return named || (isTarget(url, access) && access.tunnelPorts.has(portOf(url)));
}

/**
 * Of a TCP connection; a unix socket's file says itself who may use it.
 * @param address as a socket tells it; undefined: its connection was reset meanwhile, whoever that was
 */
export function isOfThisMachine(address: string | undefined): boolean {
  return address !== undefined && addressKind(address) === "loopback";
}
