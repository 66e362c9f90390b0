// A host as sockets, certificates and name servers take it. URLs, and "host:port", have IPv6 addresses in
// brackets.

export function bareHost(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, "");
}
