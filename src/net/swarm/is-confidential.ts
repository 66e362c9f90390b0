// Whether nobody else can listen to a connection: what only its user may hold travels on such alone.

import { bareHost } from "../bare-host.ts";

/** @param host name or address, without port; IPv6 in brackets or not */
export function isOwnMachine(host: string): boolean {
  return /^(localhost|(::ffff:)?127(\.\d{1,3}){3}|::1)$/i.test(bareHost(host));
}
