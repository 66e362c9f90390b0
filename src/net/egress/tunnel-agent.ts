// Connections through a proxy to sources that speak TLS: a tunnel, and the source's own TLS within it.

import http from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import tls from "node:tls";
import { DfError } from "../../errors.ts";
import { proxyHeaders, type SourceProxy } from "./proxy-rules.ts";

/** A tunnel that is not open by then is given up. */
const TUNNEL_TIMEOUT_MS = 10_000;

/** Opens connections to https sources by CONNECT (RFC 9110 §9.3.6). */
export class TunnelAgent extends https.Agent {
  readonly #proxy: SourceProxy;

  constructor(proxy: SourceProxy) {
    super({ keepAlive: true });
    this.#proxy = proxy;
  }

  override createConnection(
    options: https.RequestOptions,
    callback: (error: Error | null, socket?: unknown) => void,
  ): undefined {
    const { host, port } = options;
    const connected = (error: Error | null, socket?: Socket): void => {
      if (error !== null) callback(error);
      else callback(null, tls.connect({ ...options, socket } as tls.ConnectionOptions));
    };
    openTunnel(this.#proxy, `${bracketed(String(host))}:${port}`, connected);
    return undefined;
  }
}

/** Calls back once: with the tunnel, with the proxy's refusal, or because it is out of order. */
export function openTunnel(
  proxy: SourceProxy,
  authority: string,
  connected: (error: Error | null, socket?: Socket) => void,
): void {
  const { hostname: host, port } = proxy;
  const headers = { host: authority, ...proxyHeaders(proxy) };
  const to = { host, port, method: "CONNECT", path: authority, headers, agent: false } as const;
  const request = http.request(to);
  const late = setTimeout(() => request.destroy(new Error("no answer in time")), TUNNEL_TIMEOUT_MS);
  request.once("error", (error) => {
    clearTimeout(late);
    connected(new Error(`reach the proxy: ${error.message}`));
  });
  request.once("connect", ({ statusCode = 0 }, socket: Socket, head: Buffer) => {
    clearTimeout(late);
    // What the other end said at once came with the proxy's answer.
    if (head.length > 0) socket.unshift(head);
    if (statusCode >= 200 && statusCode < 300) return connected(null, socket);
    socket.destroy();
    connected(refusalOf(statusCode));
  });
  request.once("response", ({ statusCode = 0 }) => {
    clearTimeout(late);
    request.destroy();
    connected(refusalOf(statusCode));
  });
  request.end();
}

/** What a proxy's own status means, for who asked for a source. */
export function refusalOf(status: number): Error {
  if (status === 407) {
    return new DfError("unauthorized", "pass the proxy: it wants other credentials", {
      hint: "write them into the proxy's URL: http://USER:PASSWORD@HOST:PORT",
    });
  }
  if (status >= 500) return new Error(`the proxy answered ${status}`);
  return new DfError("denied", `pass the proxy: it answered ${status}`, {
    hint: "the proxy does not let this source through",
  });
}

function bracketed(host: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}
