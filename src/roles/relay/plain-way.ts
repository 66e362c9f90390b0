// What becomes of a request while the peer is away: a tunnel, a request to its own target, or a
// refusal that sends the engine elsewhere.

import { isBadPort } from "../../net/egress/bad-ports.ts";
import type { MessageHead } from "./message-head.ts";

export type PlainWay =
  | { kind: "tunnel"; hostname: string; port: number }
  /** `startLine` is what the target gets instead of the one with its whole URL. */
  | { kind: "forward"; hostname: string; port: number; startLine: string }
  | { kind: "refuse"; status: number; reason: string };

const HOST_AND_PORT = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/;

export function plainWay({ startLine }: MessageHead): PlainWay {
  const [, method, target, version] =
    /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) (HTTP\/1\.[01])$/.exec(startLine) ?? [];
  if (method === undefined || target === undefined) return refuse(400, "not a request");
  if (method === "CONNECT") {
    const [, host, port] = HOST_AND_PORT.exec(target) ?? [];
    if (host === undefined) return refuse(400, "CONNECT takes HOST:PORT");
    return allowed(host, Number(port)) ?? { kind: "tunnel", ...placeOf(host, Number(port)) };
  }
  if (target.startsWith("/") || target === "*") {
    return refuse(503, "the Dragonfly peer of this host does not answer");
  }
  const url = URL.parse(target);
  if (url?.protocol !== "http:") return refuse(400, "send http: URLs here, and CONNECT for others");
  const port = Number(url.port || 80);
  return (
    allowed(url.hostname, port) ?? {
      kind: "forward",
      ...placeOf(url.hostname, port),
      startLine: `${method} ${url.pathname}${url.search} ${version}`,
    }
  );
}

function placeOf(host: string, port: number): { hostname: string; port: number } {
  return { hostname: host.replace(/^\[|\]$/g, ""), port };
}

function allowed(host: string, port: number): PlainWay | null {
  if (port >= 1 && port <= 65_535 && !isBadPort(port)) return null;
  return refuse(403, `nothing is forwarded to port ${port} of ${host}`);
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
  const body = JSON.stringify({ errors: [{ code, message: `df relay: ${reason}` }] });
  return [
    `HTTP/1.1 ${status} ${STATUS_TEXT[status]}`,
    "Content-Type: application/json",
    `Content-Length: ${body.length}`,
    "Connection: close",
    "",
    isHead ? "" : body,
  ].join("\r\n");
}
