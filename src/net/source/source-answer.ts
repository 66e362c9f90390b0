// Reads the headers of a source's answer: which version it is, how long, and which bytes it carries.

import type { IncomingHttpHeaders } from "node:http";
import { isSha256 } from "../registry/oci-path.ts";
import type { SourceAnswer } from "./exchange.ts";
import { keptAnswerOf } from "./cache-terms.ts";
import { parseHttpDate } from "./http-date.ts";
import type { SourceFacts } from "./source-read.ts";

/** A Last-Modified younger than this may hide a second change within its second (RFC 9110 §8.8.2.2). */
const LAST_MODIFIED_AGE_MS = 60_000;

/**
 * What the answer says of the content; a 206 is taken by its total.
 * @param digest "sha256:hex" that names the version instead of what the answer says
 */
export function factsOf(answer: SourceAnswer, digest?: string): SourceFacts {
  const { headers, status } = answer;
  return {
    length: status === 206 ? (contentRangeOf(headers)?.total ?? null) : bodyLengthOf(headers),
    validator: digest === undefined ? validatorOf(headers) : `"${digest}"`,
    lastModified: headers["last-modified"] ?? null,
    acceptsRanges: status === 206 || headers["accept-ranges"] === "bytes",
    contentType: headers["content-type"] ?? null,
    contentEncoding: headers["content-encoding"] ?? null,
    finalUrl: answer.finalUrl,
    answer: keptAnswerOf(answer),
  };
}

/**
 * The strong ETag, else the digest that a registry names, in quotes as if it were one, else a Last-Modified
 * that is strong in the sense of RFC 9110 §8.8.2.2; null when the answer names its version by none. Weak
 * ETags do not promise equal bytes.
 */
export function validatorOf(headers: IncomingHttpHeaders): string | null {
  const etag = headers.etag;
  if (etag !== undefined && /^"[^"]*"$/.test(etag)) return etag;
  const digest = registryDigestOf(headers);
  if (digest !== null) return `"${digest}"`;
  const modified = headers["last-modified"];
  if (modified === undefined) return null;
  const modifiedAt = parseHttpDate(modified);
  const sentAt = parseHttpDate(headers.date);
  if (modifiedAt === null || sentAt === null) return null;
  return sentAt - modifiedAt >= LAST_MODIFIED_AGE_MS ? modified : null;
}

/** Whether an answer of the same source still is the version that `validator` names. */
export function namesVersion(headers: IncomingHttpHeaders, validator: string): boolean {
  const digest = registryDigestOf(headers);
  if (headers.etag === undefined && digest !== null && `"${digest}"` === validator) return true;
  // A repeated Last-Modified needs no second proof of age: it was old enough the first time.
  return headers.etag === validator || headers["last-modified"] === validator;
}

/** What a registry calls the bytes of its answer (OCI distribution specification); null: it does not say. */
function registryDigestOf(headers: IncomingHttpHeaders): string | null {
  const digest = headers["docker-content-digest"];
  return typeof digest === "string" && isSha256(digest) ? digest : null;
}

/** Whether an answer may be of the bytes that `digest` names, as far as it says. */
export function mayBeNamed({ headers }: SourceAnswer, digest: string): boolean {
  const named = headers["docker-content-digest"];
  return named === undefined || named === digest;
}

export interface ContentRange {
  /** First and last byte, inclusive; null for an unsatisfied range. */
  bytes: { first: number; last: number } | null;
  /** Null: the source does not know the length. */
  total: number | null;
}

/** Parses Content-Range (RFC 9110 §14.4); null when it is missing, malformed or contradicts itself. */
export function contentRangeOf(headers: IncomingHttpHeaders): ContentRange | null {
  const match = /^bytes (?:(\d{1,15})-(\d{1,15})|\*)\/(\d{1,15}|\*)$/.exec(
    headers["content-range"] ?? "",
  );
  if (match === null) return null;
  const total = match[3] === "*" ? null : Number(match[3]);
  if (match[1] === undefined) return { bytes: null, total };
  const first = Number(match[1]);
  const last = Number(match[2]);
  if (last < first || (total !== null && last >= total)) return null;
  return { bytes: { first, last }, total };
}

/** Whether the first byte was refused because there is none: a content of no bytes, and no fault. */
export function saysEmpty({ status, headers }: SourceAnswer): boolean {
  return status === 416 && contentRangeOf(headers)?.total === 0;
}

/** Length of a body that is the whole content; null when it only ends with its connection or last chunk. */
function bodyLengthOf(headers: IncomingHttpHeaders): number | null {
  if (headers["transfer-encoding"] !== undefined) return null;
  const length = headers["content-length"];
  return length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : null;
}
