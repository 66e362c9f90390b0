// The head of an HTTP/1.1 message, as far as a relay must understand it: strictly, because what two
// parsers read differently is how requests are smuggled (RFC 9112 §11.2).

import type { Leg } from "./leg.ts";

/** As much as common servers take. */
const HEAD_BYTES_MAX = 48 << 10;

export interface MessageHead {
  startLine: string;
  /** "Name: value" lines as they came. */
  fields: readonly string[];
}

/**
 * Takes a head from what waits on a leg; what follows it stays.
 * @returns "none" when the sender ends before it is whole, "malformed" also for one that is too long
 */
export async function takeHead(leg: Leg): Promise<MessageHead | "malformed" | "none"> {
  for (;;) {
    const end = leg.waiting.indexOf("\r\n\r\n");
    if (end >= 0) {
      const text = leg.waiting.toString("latin1", 0, end);
      leg.waiting = leg.waiting.subarray(end + 4);
      return parseHead(text);
    }
    // Podman tries TLS first, and its greeting has no end to wait for.
    const isText =
      leg.waiting.length === 0 || /[A-Za-z]/.test(String.fromCharCode(leg.waiting[0]!));
    if (!isText || leg.waiting.length > HEAD_BYTES_MAX) return "malformed";
    if (leg.hasEnded) return "none";
    await leg.more();
  }
}

/** @param text without the empty line at its end */
export function parseHead(text: string): MessageHead | "malformed" {
  const [startLine = "", ...fields] = text.split("\r\n");
  const isClean = /^[\x20-\x7e]+$/.test(startLine) && fields.every((line) => FIELD.test(line));
  const lengths = valuesOf(fields, "content-length");
  const isFramedTwice =
    lengths.length > 1 ||
    lengths.some((length) => !/^\d{1,15}$/.test(length)) ||
    (lengths.length === 1 && valuesOf(fields, "transfer-encoding").length > 0);
  return isClean && !isFramedTwice ? { startLine, fields } : "malformed";
}

/** A name, no space before the colon, no control characters, no folded lines (RFC 9110 §5.1, §5.5). */
const FIELD = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*$/;

/** What a message cannot be read without: not between two hops, whatever Connection names. */
const ESSENTIAL = new Set(["host", "content-length", "transfer-encoding"]);

/** A request as its target is asked: its own name is the URL's, whatever Host said (RFC 9112 §3.2.2). */
export function toTarget(
  { fields }: MessageHead,
  { startLine, host }: { startLine: string; host: string },
): MessageHead {
  const others = fields.filter((line) => nameOf(line) !== "host");
  return { startLine, fields: [`Host: ${host}`, ...others] };
}

/** The fields without those that are between two hops only; the connection ends with this message. */
export function lastOfConnection({ startLine, fields }: MessageHead): string {
  const dropped = new Set(["connection", "keep-alive", "proxy-connection", "proxy-authorization"]);
  for (const names of valuesOf(fields, "connection")) {
    for (const name of names.split(",").map((one) => one.trim().toLowerCase()))
      if (!ESSENTIAL.has(name)) dropped.add(name);
  }
  const kept = fields.filter((line) => !dropped.has(nameOf(line)));
  return [startLine, ...kept, "Connection: close", "", ""].join("\r\n");
}

function valuesOf(fields: readonly string[], name: string): string[] {
  return fields
    .filter((line) => nameOf(line) === name)
    .map((line) => line.slice(line.indexOf(":") + 1).trim());
}

function nameOf(line: string): string {
  return line.slice(0, line.indexOf(":")).toLowerCase();
}
