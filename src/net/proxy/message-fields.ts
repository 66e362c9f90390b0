// The header fields of a message on its way through the proxy: those that are between two hops only end
// here, and the proxy writes its name into Via (RFC 9110 §7.6).

import type { IncomingMessage } from "node:http";

export type Fields = Record<string, string | string[]>;

/** Fields of one hop whether or not Connection names them; Expect was answered here. */
const HOP_BY_HOP = new Set([
  ...["connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization"],
  ...["proxy-authentication-info", "te", "trailer", "transfer-encoding", "upgrade", "expect"],
]);

/** Without it the body of a request would be another request to the next hop, whatever Connection names. */
const FRAMING = "content-length";

/** What goes on to the next hop, names in lower case, repeated fields as lists in their order. */
export function endToEndFields({
  rawHeaders,
  headers,
}: Pick<IncomingMessage, "rawHeaders" | "headers">): Fields {
  const listed = (headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase());
  const ended = new Set([...HOP_BY_HOP, ...listed.filter((name) => name !== FRAMING)]);
  const fields: Fields = {};
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    const value = rawHeaders[i + 1]!;
    if (ended.has(name)) continue;
    const before = Object.hasOwn(fields, name) ? fields[name]! : undefined;
    fields[name] = before === undefined ? value : [before, value].flat();
  }
  return fields;
}

/** The fields with this proxy added to those that the message came through. */
export function withVia(fields: Fields, httpVersion: string, name: string): Fields {
  const before = [fields["via"] ?? []].flat();
  return { ...fields, via: [...before, `${httpVersion} ${name}`].join(", ") };
}

/** Repeated fields joined into one each (RFC 9110 §5.3). */
export function joinedFields(fields: Fields): Record<string, string> {
  const joined = Object.entries(fields).map(([name, value]) => [name, [value].flat().join(", ")]);
  return Object.fromEntries(joined);
}

/** The head of an answer, for a socket that no response of `node:http` belongs to. */
export function formatHead(status: number, reason: string, fields: Fields): string {
  const lines = Object.entries(fields).flatMap(([name, value]) =>
    [value].flat().map((one) => `${name}: ${one}\r\n`),
  );
  return `HTTP/1.1 ${status} ${reason}\r\n${lines.join("")}\r\n`;
}

/** As much of a text as fits into a status line (RFC 9112 §4). */
export function reasonPhrase(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]+/g, " ").slice(0, REASON_CHARS_MAX);
}

/** Longer ones are no line for people any more. */
const REASON_CHARS_MAX = 256;

/** Whether a message came through here before. */
export function cameThrough(message: IncomingMessage, name: string): boolean {
  const hops = (message.headers["via"] ?? "").split(",");
  return hops.some((hop) => hop.trim().split(/\s+/)[1] === name);
}
