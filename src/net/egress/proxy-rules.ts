// Which proxy a source is read through, where a network lets nothing out by itself: by patterns of
// sources. A proxy resolves names itself, so the guard can check only literal addresses behind one.

import { bareHost } from "../bare-host.ts";
import { basicAuthorization } from "../basic-authorization.ts";
import { mostSpecific } from "../url-pattern.ts";

/** By patterns of sources; an empty text: no proxy. May hold a password: never to be shown. */
export type ProxyRules = Readonly<Record<string, string>>;

export interface SourceProxy {
  readonly hostname: string;
  readonly port: number;
  /** For Proxy-Authorization; null: it wants none. */
  readonly authorization: string | null;
}

/** The proxy on the way to `url`; null: none. */
export function proxyFor(url: URL, rules: ProxyRules): SourceProxy | null {
  const text = mostSpecific(rules, url) ?? "";
  return text === "" ? null : parseProxy(text);
}

/** Reads "http://[USER:PASSWORD@]HOST[:PORT]". Null for what is none; its text may be a secret. */
export function parseProxy(text: string): SourceProxy | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  const { protocol, hostname, port } = url;
  if (protocol !== "http:" || hostname === "") return null;
  return {
    hostname: bareHost(hostname),
    port: Number(port || 80),
    authorization: basicAuthorization(url),
  };
}

export function proxyHeaders({ authorization }: SourceProxy): Record<string, string> {
  return authorization === null ? {} : { "proxy-authorization": authorization };
}
