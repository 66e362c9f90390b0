// Passes one request on to its target and the answer back, as both are: method, status, fields and bytes,
// redirects too, which are the client's to follow. Only what is between two hops ends here. Where it
// may go is the egress guard's affair; certificates are verified, whatever the client asked for.

import http, { type ClientRequest, type IncomingMessage, type ServerResponse } from "node:http";
import https from "node:https";
import { DfError, isDfError } from "../../errors.ts";
import { CONNECT_TIMEOUT_MS } from "../../limits.ts";
import type { Outlet, Passage } from "../egress/outlet.ts";
import { refusalOf } from "../egress/tunnel-agent.ts";
import { faultOfTransport } from "../source/source-fault.ts";
import { redactUrl } from "../task-request.ts";
import { endToEndFields, type Fields, withVia } from "./message-fields.ts";
import type { ProxiedRequest } from "./proxied-request.ts";
import { TUNNEL_IDLE_MS } from "./tunnel.ts";

export interface Forwarding {
  /** Connections of this client alone: another one's credentials may differ. */
  outlet: Outlet;
  /** Where the request goes: what it named, or what a rule made of that. */
  url: URL;
  /** This proxy's name in Via. */
  via: string;
}

/**
 * Settles when the answer is complete.
 * @throws {DfError} as Outlet.enter; network, tls, timeout: before the answer began, or in its midst
 */
export async function forwardRequest(
  { message, signal }: Pick<ProxiedRequest, "message" | "signal">,
  response: ServerResponse,
  { outlet, url, via }: Forwarding,
): Promise<void> {
  const passage = await enter(outlet, url, signal);
  const fields = withVia(endToEndFields(message), message.httpVersion, via);
  const request = requestTo(passage, message.method ?? "GET", withFraming(fields, message));
  try {
    await passOn(request, message, response, { url, via, passage, signal });
  } catch (error) {
    if (isDfError(error)) throw error;
    throw faultOfTransport(error, url.href).error;
  } finally {
    request.destroy();
    passage.leave();
  }
}

/** @throws {DfError} as Outlet.enter, and for a name that does not resolve */
export async function enter(outlet: Outlet, url: URL, signal: AbortSignal): Promise<Passage> {
  try {
    return await outlet.enter(url, null, signal);
  } catch (error) {
    if (signal.aborted) throw error;
    throw refusalToClient(isDfError(error) ? error : faultOfTransport(error, url.href).error);
  }
}

/** To who asks a proxy, an address that is not for it is one that it must not go to. */
export function refusalToClient(error: DfError): DfError {
  if (error.code !== "not-shareable") return error;
  return new DfError("denied", error.message, { cause: error, hint: error.hint });
}

/** Begins the request; its head is sent with the first byte of the body, or its end. */
export function requestTo(passage: Passage, method: string, fields: Fields): ClientRequest {
  const { url } = passage.target;
  const bare = new URL(url);
  bare.username = "";
  bare.password = "";
  const { request } = url.protocol === "https:" ? https : http;
  return request(bare, {
    method,
    // The target's own name, whatever Host said (RFC 9112 §3.2.2).
    headers: { ...fields, ...passage.headers },
    ...passage.options,
  });
}

/** A body of unknown length travels in chunks; what has none says nothing of one. */
function withFraming(fields: Fields, { headers }: IncomingMessage): Fields {
  return headers["transfer-encoding"] === undefined
    ? fields
    : { ...fields, "transfer-encoding": "chunked" };
}

async function passOn(
  request: ClientRequest,
  message: IncomingMessage,
  response: ServerResponse,
  {
    url,
    via,
    passage,
    signal,
  }: Omit<Forwarding, "outlet"> & { passage: Passage; signal: AbortSignal },
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const interrupt = (): void => reject(new DfError("interrupted", "forward: the client left"));
  const stopWaiting = expectConnection(request, url, reject);
  signal.addEventListener("abort", interrupt, { once: true });
  request.on("error", (error) => {
    passage.failed();
    reject(error);
  });
  request.once("response", (answer) => {
    stopWaiting();
    passage.answered(answer.socket.remoteAddress ?? "");
    if (passage.target.proxy !== null && answer.statusCode === 407) return reject(refusalOf(407));
    try {
      const fields = withVia(endToEndFields(answer), answer.httpVersion, via);
      response.writeHead(answer.statusCode ?? 502, answer.statusMessage, fields);
    } catch (error) {
      // A status, or words of one, that nobody may write.
      return reject(error);
    }
    answer.on("error", reject);
    answer.once("close", () => {
      if (!answer.complete) reject(new Error("the answer ended early"));
    });
    response.once("finish", resolve);
    answer.pipe(response);
  });
  request.once("upgrade", (_answer, socket) => {
    socket.destroy();
    reject(new Error("another protocol began that nobody asked for"));
  });
  message.on("error", reject);
  message.pipe(request);
  if (signal.aborted) interrupt();
  try {
    await promise;
  } finally {
    stopWaiting();
    signal.removeEventListener("abort", interrupt);
  }
}

/** Gives up a target that cannot be connected to, or is silent for long; returns what stops that. */
function expectConnection(
  request: ClientRequest,
  url: URL,
  giveUp: (error: DfError) => void,
): () => void {
  const after = (what: string, ms: number): Timer =>
    setTimeout(() => {
      const message = `forward to ${redactUrl(url.href)}: ${what} within ${ms / 1000} s`;
      giveUp(new DfError("timeout", message, { hint: "check that it is reachable from here" }));
    }, ms);
  let timer = after("no connection", CONNECT_TIMEOUT_MS);
  const connected = (): void => {
    clearTimeout(timer);
    timer = after("no answer", TUNNEL_IDLE_MS);
  };
  request.once("socket", (socket) => {
    if (socket.connecting) socket.once("connect", connected);
    else connected();
  });
  return () => clearTimeout(timer);
}
