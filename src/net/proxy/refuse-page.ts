// Keeps pages that a browser of this host shows away from what the port itself answers: anybody on this host
// may ask it, and a page of anybody's runs here. A browser says whose page asks (Sec-Fetch-Site, Origin),
// but not of a name that was rebound to this address, which is the page's own (DNS rebinding): so such
// requests must name this port by an address, as "localhost", or as it was told to listen.

import ipaddr from "ipaddr.js";
import type { IncomingMessage } from "node:http";
import { DfError } from "../../errors.ts";
import { bareHost } from "../bare-host.ts";
import { isOfThisMachine } from "./proxy-access.ts";

/**
 * @param ownName the host that the port was told to listen on; null: a socket's file
 * @throws {DfError} misdirected, denied
 */
export function refusePage({ headers, socket }: IncomingMessage, ownName: string | null): void {
  // Who comes from elsewhere has shown a password, which no page has.
  if (socket.remoteAddress !== undefined && !isOfThisMachine(socket.remoteAddress)) return;
  const { host = "", origin } = headers;
  const site = headers["sec-fetch-site"];
  // What a user types into a browser comes from no page.
  if (origin !== undefined || (site !== undefined && site !== "none")) {
    throw new DfError("denied", "answer a browser's page: this port is for programs of this host");
  }
  const named = URL.canParse(`http://${host}`) ? bareHost(new URL(`http://${host}`).hostname) : "";
  if (host === "" || isOwn(named, ownName)) return;
  throw new DfError("misdirected", `answer for ${host}: this port is not called so`, {
    hint: "ask it by its address, e.g. 127.0.0.1, or have it listen on that name",
  });
}

function isOwn(named: string, ownName: string | null): boolean {
  // Leads here as well, but browsers do not say then whose page asks.
  if (named === "0.0.0.0" || named === "::") return false;
  return named === "localhost" || named === ownName?.toLowerCase() || ipaddr.isValid(named);
}
