// Patterns by which an operator names sources, in settings of the fleet: a host, one port, a folder.
//
//   example.org            that host, every port and path
//   *.example.org          every host below it, not itself
//   *                      every source
//   example.org:8443       one port; without one the scheme's own and every other count
//   https://example.org    one scheme
//   example.org/private/*.iso    paths that begin so; * stands for any run of characters
//
// Hosts are compared without regard to case, IPv6 addresses in brackets.

import { portOf } from "./port-of.ts";

const PATTERN =
  /^(?:(https?):\/\/)?(\*|(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]{2,45}\])(?::(\d{1,5}))?(\/[^\s?#]*)?$/;

/** What a pattern says, part by part; null: it does not name that. */
export interface UrlPattern {
  readonly scheme: string | null;
  /** In lower case: a name, "*.example.org", "*", or an address as URLs have it. */
  readonly host: string;
  readonly port: number | null;
  readonly path: string | null;
}

/** Null: `text` is no pattern as this file describes it. */
export function parseUrlPattern(text: string): UrlPattern | null {
  const [, scheme = null, host = "", portText, path = null] = PATTERN.exec(text) ?? [];
  const port = portText === undefined ? null : Number(portText);
  if (host === "" || port === 0 || (port ?? 0) > 65_535) return null;
  return { scheme, host: host.toLowerCase(), port, path };
}

export function isUrlPattern(text: string): boolean {
  return parseUrlPattern(text) !== null;
}

/** Whether a source lies under a pattern; a text that is no pattern matches nothing. */
export function matchesUrl(pattern: string, url: URL): boolean {
  const parts = parseUrlPattern(pattern);
  if (parts === null) return false;
  const { scheme, host, port, path } = parts;
  if (scheme !== null && url.protocol !== `${scheme}:`) return false;
  if (port !== null && port !== portOf(url)) return false;
  return matchesHost(host, url.hostname) && matchesPath(path ?? "/", url.pathname);
}

/** What the pattern that says most about `url` stands for: the longest one that matches. */
export function mostSpecific<T>(rules: Readonly<Record<string, T>>, url: URL): T | undefined {
  const [best] = Object.entries(rules)
    .filter(([pattern]) => matchesUrl(pattern, url))
    .toSorted(([a], [b]) => b.length - a.length || (a < b ? -1 : 1));
  return best?.[1];
}

function matchesHost(pattern: string, hostname: string): boolean {
  if (pattern === "*") return true;
  return pattern.startsWith("*.") ? hostname.endsWith(pattern.slice(1)) : hostname === pattern;
}

/** Each literal part of the pattern is taken where it occurs first: that leaves most to the rest. */
function matchesPath(pattern: string, path: string): boolean {
  const [first, ...others] = pattern.split("*");
  if (!path.startsWith(first!)) return false;
  let at = first!.length;
  for (const part of others) {
    const found = path.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return true;
}
