// Where requests may go that others named: plain data, which travels to the worker that reads sources.
// What it means for one URL and its addresses is decided here; who resolves and connects is the guard.

import { bareHost } from "../bare-host.ts";
import { portOf } from "../port-of.ts";
import { matchesUrl } from "../url-pattern.ts";
import { addressKind, type AddressKind } from "./address-kind.ts";
import { isBadPort } from "./bad-ports.ts";
import { isOwnPort, type Listener } from "./own-ports.ts";
import type { ProxyRules } from "./proxy-rules.ts";

/**
 * Whose requests these are.
 * - `own`: of a user's command in its own process: anything that wget would read
 * - `host`: of a service that only this machine reaches: loopback too
 * - `network`: of a service that others reach: what is loopback here is another machine to them
 */
export type EgressReach = "own" | "host" | "network";

export interface EgressPolicy {
  readonly reach: EgressReach;
  /** Private addresses are refused too. */
  readonly isPublicOnly: boolean;
  /** Patterns (url-pattern.ts) of sources that are allowed whatever their addresses are. */
  readonly allow: readonly string[];
  readonly listeners: readonly Listener[];
  readonly proxies: ProxyRules;
  /** PEM certificates beside the system's that sources may be signed by; null: none. */
  readonly ca: string | null;
}

export const DEFAULT_EGRESS: EgressPolicy = {
  ...{ reach: "network", isPublicOnly: false, allow: [], listeners: [] },
  ...{ proxies: {}, ca: null },
};

/** Why a request must not go there. Names no address: who asked may be anybody. */
export type EgressRefusal =
  | "no-http"
  | "bad-port"
  | "metadata"
  | "forbidden"
  | "private"
  | "own-port";

/** Names under which clouds answer with a machine's credentials. */
const METADATA_NAMES = new Set(["metadata.google.internal", "metadata.goog"]);

/** What speaks against a URL before anything is resolved; null: nothing. */
export function urlRefusal(url: URL, policy: EgressPolicy): EgressRefusal | null {
  if (url.protocol !== "http:" && url.protocol !== "https:") return "no-http";
  if (policy.reach === "own" || isAllowed(url, policy)) return null;
  if (isBadPort(portOf(url))) return "bad-port";
  return METADATA_NAMES.has(nameOf(url)) ? "metadata" : null;
}

/** What speaks against one of a URL's addresses; null: nothing. */
export function addressRefusal(
  url: URL,
  address: string,
  policy: EgressPolicy,
): EgressRefusal | null {
  if (policy.reach === "own") return null;
  if (isOwnPort(policy.listeners, address, portOf(url))) return "own-port";
  if (isAllowed(url, policy)) return null;
  const kind = addressKind(address);
  if (kind === "public" || (kind === "loopback" && policy.reach === "host")) return null;
  if (kind === "private") return policy.isPublicOnly ? "private" : null;
  return "forbidden";
}

/** What speaks against a name that a proxy will resolve. */
export function proxiedRefusal(url: URL, policy: EgressPolicy): EgressRefusal | null {
  if (isLoopbackName(url)) return addressRefusal(url, "127.0.0.1", policy);
  return isLiteral(url) ? addressRefusal(url, literalOf(url), policy) : null;
}

/** Whether an address leads to the reader or its link, where nothing from elsewhere may lead it. */
export function isNear(kind: AddressKind): boolean {
  return kind === "loopback" || kind === "link";
}

/** What a URL will be to a proxy, which resolves its name, as far as the name tells. */
export function proxiedKind(url: URL): AddressKind {
  if (isLoopbackName(url)) return "loopback";
  if (METADATA_NAMES.has(nameOf(url))) return "link";
  return isLiteral(url) ? addressKind(literalOf(url)) : "public";
}

/** Names that are loopback to whoever resolves them (RFC 6761 §6.3). */
function isLoopbackName(url: URL): boolean {
  const name = nameOf(url);
  return name === "localhost" || name.endsWith(".localhost");
}

export function isLiteral(url: URL): boolean {
  return url.hostname.startsWith("[") || /^\d+(\.\d+){3}$/.test(url.hostname);
}

/** The address of a literal, without brackets. */
export function literalOf(url: URL): string {
  return bareHost(url.hostname);
}

/** One line for a service's log; no proxy is shown, for it may have a password. */
export function describePolicy({ reach, isPublicOnly, allow, proxies }: EgressPolicy): string {
  const kinds = ["public"];
  if (!isPublicOnly) kinds.push("private");
  if (reach === "host") kinds.push("loopback");
  const addresses = reach === "own" ? "any address" : `${kinds.join(", ")} addresses`;
  const besides = allow.length === 0 ? "" : `, and ${allow.join(", ")}`;
  const proxied = Object.keys(proxies);
  const through = proxied.length === 0 ? "" : `; through a proxy: ${proxied.join(", ")}`;
  return `sources may be at ${addresses}${besides}${through}`;
}

function isAllowed(url: URL, { allow }: EgressPolicy): boolean {
  return allow.some((pattern) => matchesUrl(pattern, url));
}

function nameOf(url: URL): string {
  return url.hostname.replace(/\.$/, "");
}
