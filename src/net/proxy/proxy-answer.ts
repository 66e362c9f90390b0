// What the proxy itself has to say: refusals, as text for people, on a response or where there is none.

import { STATUS_CODES, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { DfError, isDfError, messageOf } from "../../errors.ts";
import { formatHead, reasonPhrase } from "./message-fields.ts";
import { PROXY_CHALLENGE } from "./proxy-credentials.ts";

/** Answered with 407 and a challenge: the right to use the proxy was not shown. */
export class ProxyAuthFault extends DfError {
  constructor() {
    super("unauthorized", "use the proxy: it wants a user and a password", {
      hint: "write them into the proxy's URL: http://USER:PASSWORD@HOST:PORT",
    });
  }
}

/** How long a refused client may take to read why, before its connection is cut. */
const LAST_WORDS_MS = 1_000;

/**
 * Answers with why a request failed. Once an answer has begun only a broken connection tells the client
 * that it is not whole.
 */
export function answerFault(response: ServerResponse, error: unknown): void {
  if (response.headersSent) return void response.destroy();
  const { status, text, fields } = refusalOf(error);
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  const isHeadOnly = response.req.method === "HEAD";
  // What is left of the request's body is not waited for.
  if (!response.req.complete) fields["connection"] = "close";
  const all = { ...fields, "content-length": Buffer.byteLength(text) };
  // Named, or the words of an answer that could not be written would count.
  response.writeHead(status, STATUS_CODES[status] ?? "", all);
  response.end(isHeadOnly ? undefined : text);
}

/** The same on a connection that no response belongs to; closes it. */
export function refuseSocket(socket: Duplex, error: unknown): void {
  if (!socket.writable) return void socket.destroy();
  const { status, text, fields } = refusalOf(error);
  const all = { ...fields, "content-length": String(Buffer.byteLength(text)), connection: "close" };
  // Of a refused tunnel Docker and other programs in Go show their user the status line alone.
  const reason = reasonPhrase(`${STATUS_CODES[status] ?? ""}: df: ${text.trim()}`);
  socket.end(formatHead(status, reason, all) + text);
  const cut = setTimeout(() => socket.destroy(), LAST_WORDS_MS);
  socket.once("close", () => clearTimeout(cut));
}

function refusalOf(error: unknown): {
  status: number;
  text: string;
  fields: Record<string, string>;
} {
  const fault = isDfError(error) ? error : new DfError("internal", messageOf(error));
  const hint = fault.hint === undefined ? "" : `hint: ${fault.hint}\n`;
  const isAuth = fault instanceof ProxyAuthFault;
  return {
    status: isAuth ? 407 : fault.status,
    text: `error: ${fault.message}\n${hint}`,
    fields: {
      "content-type": "text/plain; charset=utf-8",
      ...(isAuth ? { "proxy-authenticate": PROXY_CHALLENGE } : {}),
    },
  };
}
