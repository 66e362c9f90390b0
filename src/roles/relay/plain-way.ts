// What becomes of a request while the peer is away: a tunnel, a request to its own target, or a
// refusal that sends the engine elsewhere.

import { bareHost } from "../../net/bare-host.ts";
import { portOf } from "../../net/port-of.ts";
import { authorityOf, parseAuthority } from "../../net/proxy/authority.ts";
import { reasonPhrase } from "../../net/proxy/message-fields.ts";
import { isTarget, isTunnelTarget, type ProxyAccess } from "../../net/proxy/proxy-access.ts";
import { formatOciError } from "../../net/registry/oci-error.ts";
import { isBadPort } from "../../net/egress/bad-ports.ts";
import type { MessageHead } from "./message-head.ts";

export type PlainWay =
  | { kind: "tunnel"; hostname: string; port: number }
  /** `startLine` and `host` are what the target gets instead of the whole URL. */
  | { kind: "forward"; hostname: string; port: number; startLine: string; host: string }
  | { kind: "refuse"; status: number; reason: string };

/** @param access as the peer's proxy has it: what that refuses is not to be had by stopping it */
export function plainWay({ startLine }: MessageHead, access: ProxyAccess): PlainWay {
  const [, method, target, version] =
    /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) (HTTP\/1\.[01])$/.exec(startLine) ?? [];
  if (method === undefined || target === undefined) return refuse(400, "not a request");
  if (method === "CONNECT") {
    const url = parseAuthority(target);
    if (url === null) return refuse(400, "CONNECT takes HOST:PORT");
    return isTunnelTarget(url, access) ? { kind: "tunnel", ...placeOf(url) } : noTarget(url);
  }
  if (target.startsWith("/") || target === "*") {
    return refuse(503, "the Dragonfly peer of this host does not answer");
  }
  const url = URL.parse(target);
  if (url?.protocol !== "http:") return refuse(400, "send http: URLs here, and CONNECT for others");
  if (!isTarget(url, access) || isBadPort(portOf(url))) return noTarget(url);
  return {
    kind: "forward",
    ...placeOf(url),
    startLine: `${method} ${url.pathname}${url.search} ${version}`,
    host: url.host,
  };
}

function placeOf(url: URL): { hostname: string; port: number } {
  return { hostname: bareHost(url.hostname), port: portOf(url) };
}

function noTarget(url: URL): PlainWay {
  return refuse(403, `nothing leads to ${authorityOf(url)} from here, see --proxy-allow`);
}

function refuse(status: number, reason: string): PlainWay {
  return { kind: "refuse", status, reason };
}

const STATUS_TEXT: Record<number, string> = {
  400: "Bad Request",
  403: "Forbidden",
  408: "Request Timeout",
  502: "Bad Gateway",
  503: "Service Unavailable",
};

/**
 * A registry's error, for whatever engine asks (OCI distribution specification, "Error Codes").
 * @param isHead the request wants no body
 */
export function refusal(
  { status, reason }: { status: number; reason: string },
  isHead = false,
): string {
  const code = status === 403 ? "DENIED" : status === 400 ? "UNSUPPORTED" : "UNAVAILABLE";
  const message = `df relay: ${reason}`;
  const text = STATUS_TEXT[status]!;
  // Of a refused tunnel Docker and other programs in Go show their user the status line alone.
  const isOfTarget = status === 403 || status === 502;
  const body = formatOciError({ status, code, message });
  return [
    `HTTP/1.1 ${status} ${reasonPhrase(isOfTarget ? `${text}: ${message}` : text)}`,
    "Content-Type: application/json",
    `Content-Length: ${body.length}`,
    "Connection: close",
    "",
    isHead ? "" : body,
  ].join("\r\n");
}
