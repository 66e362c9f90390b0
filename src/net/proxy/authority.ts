// The target of a CONNECT request: "host:port" and nothing else (RFC 9110 §9.3.6, RFC 9112 §3.2.3).

import { portOf } from "../port-of.ts";

const AUTHORITY =
  /^(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_.])?):(\d{1,5})$/;

/**
 * The target as a URL without a path, so that patterns and the egress guard read it as any other; null
 * for what is no target. Other spellings of an address ("0x7f.1") come out as the address.
 */
export function parseAuthority(text: string): URL | null {
  const match = AUTHORITY.exec(text);
  const port = Number(match?.[2] ?? 0);
  // The scheme is a guess that only its default port confirms.
  const href = `https://${text}/`;
  return port >= 1 && port <= 65_535 && URL.canParse(href) ? new URL(href) : null;
}

/** "host:port" of a URL, IPv6 in brackets, the scheme's own port written out. */
export function authorityOf(url: URL): string {
  return `${url.hostname}:${portOf(url)}`;
}
