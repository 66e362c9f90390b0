// Keeps other people's pages away from this service. A browser says by itself when it sends a request
// for a page (Sec-Fetch-Site, Origin); such requests must name this service and come from its own page.
// So neither a page elsewhere nor a name that was rebound to this address (DNS rebinding) gets through.

import type { Handler } from "hono";
import ipaddr from "ipaddr.js";
import { DfError } from "../../errors.ts";
import { bareHost } from "../../net/bare-host.ts";

/** @param ownNames host names under which this service may be called, in lower case; addresses always may */
export function browserGuard(ownNames: () => ReadonlySet<string>): Handler {
  return async (context, next) => {
    const { req } = context;
    const origin = req.header("origin");
    const site = req.header("sec-fetch-site");
    if (origin !== undefined || site !== undefined) {
      refuseForeign({ url: new URL(req.url), method: req.method, origin, site }, ownNames());
    }
    await next();
    // What a user named may stand in an answer: it is text or JSON and never read as a page.
    context.header("x-content-type-options", "nosniff");
  };
}

interface BrowserRequest {
  url: URL;
  method: string;
  origin: string | undefined;
  site: string | undefined;
}

/** @throws {DfError} misdirected, denied */
function refuseForeign(
  { url: { host, hostname }, method, origin, site }: BrowserRequest,
  ownNames: ReadonlySet<string>,
): void {
  if (!isAddress(hostname) && !ownNames.has(hostname)) {
    throw new DfError("misdirected", `answer a browser: this service is not called ${hostname}`, {
      hint: "name it with --url where machines and people may call it so",
    });
  }
  const isForeign = origin !== undefined && hostOf(origin) !== host;
  // A link to the page may stand anywhere; only what changes something may not come from there.
  const isForged = site === "cross-site" && method !== "GET";
  if (isForeign || isForged) {
    throw new DfError("denied", "answer a browser: the request comes from another site's page");
  }
}

function isAddress(hostname: string): boolean {
  return hostname === "localhost" || ipaddr.isValid(bareHost(hostname));
}

/** "null" and other words that are no origin name no host. */
function hostOf(origin: string): string | null {
  return URL.canParse(origin) ? new URL(origin).host : null;
}
