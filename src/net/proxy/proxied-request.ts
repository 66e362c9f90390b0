// The contract between the proxy's port and whoever answers what is asked on it: the front (proxy-front.ts)
// says how a request came and what it names; what it gets is the handler's affair.
//
//   GET /v2/team/app/…               origin       the port itself is asked: the registry mirror
//   GET http://files.lan/big.iso     absolute     the port is asked to forward (RFC 9112 §3.2.2)
//   CONNECT host:443, TLS, GET /…    intercepted  within a tunnel that is opened here

import type { IncomingMessage, ServerResponse } from "node:http";

export type RequestForm = "origin" | "absolute" | "intercepted";

/** One request whose framing and Host were checked, and whose sender may ask it. */
export interface ProxiedRequest {
  readonly form: RequestForm;
  /** What is meant; of the origin form with the Host that the client named, or that of the port. */
  readonly url: URL;
  /** Fields that are between two hops only are still in it: see endToEndFields. */
  readonly message: IncomingMessage;
  /** Aborted when the client leaves before its answer is complete. */
  readonly signal: AbortSignal;
}

/**
 * Answers one request; the response is ended or destroyed when the promise settles. A DfError becomes an
 * answer with its status as long as none has begun.
 */
export type ProxyHandler = (request: ProxiedRequest, response: ServerResponse) => Promise<void>;
