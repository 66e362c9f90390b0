// Says which host names mean another machine wherever they are used: a supernode must not read
// them on behalf of a peer, because it would read its own services (or someone else's). What a name
// resolves to is looked at by the egress guard.

import { bareHost } from "../bare-host.ts";

/**
 * Whether `hostname`, as in `URL.hostname`, is loopback, link-local, unspecified or unqualified.
 * IPv6 addresses may stand in brackets; an IPv4 address within IPv6 counts as itself.
 */
export function isLocalName(hostname: string): boolean {
  const name = bareHost(hostname.toLowerCase()).replace(/\.$/, "");
  if (name.includes(":")) return isLocalIpv6(name);
  if (/^\d+(\.\d+){3}$/.test(name)) return isLocalIpv4(name);
  if (!name.includes(".")) return true;
  return name.endsWith(".localhost") || name.endsWith(".local");
}

/** "This host", loopback and link-local (RFC 6890, table 1, 3 and 4); 169.254.169.254 is every cloud's metadata. */
function isLocalIpv4(address: string): boolean {
  return /^(0|127)\./.test(address) || address.startsWith("169.254.");
}

function isLocalIpv6(address: string): boolean {
  if (address === "::" || address === "::1") return true;
  // fe80::/10, which zone or not.
  if (/^fe[89ab][0-9a-f]:/.test(address)) return true;
  // WHATWG URLs write ::ffff:127.0.0.1 as ::ffff:7f00:1.
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(address);
  if (mapped === null) return false;
  const high = Number.parseInt(mapped[1]!, 16);
  const low = Number.parseInt(mapped[2]!, 16);
  return isLocalIpv4([high >> 8, high & 255, low >> 8, low & 255].join("."));
}
