// Answers a GET or HEAD with a content while it arrives: ranges, conditions, and a client that reads slowly
// or leaves. What the bytes must be is the proof's affair: the last of them are kept back until it holds.
//
//   content ─▶ part ─▶ proof ─▶ kept back ─▶ response: a part is written when the next one is here,
//                                            the last one when the whole is right

import type { ServerResponse } from "node:http";
import { DfError } from "../../errors.ts";
import { chooseRange, contentRangeOf } from "../../net/byte-range.ts";
import { namesTag } from "../../net/entity-tag.ts";
import type { ProxiedRequest } from "../../net/proxy/proxied-request.ts";
import type { BroughtContent } from "./brought-content.ts";
import type { ContentProof } from "./content-proofs.ts";
import { freeMemoryOf } from "./free-memory.ts";
import { writePart } from "./write-part.ts";

export interface ContentAnswer {
  readonly content: BroughtContent;
  /** Fields beside those of length and range. */
  readonly fields: Readonly<Record<string, string>>;
  /** With quotes; null: none is known. */
  readonly etag: string | null;
  /** Null: whatever arrives is right. */
  readonly proof: ContentProof | null;
}

/**
 * Writes the answer and ends it.
 * @returns how many bytes of the content were written
 * @throws {DfError} when the content will not come, or is not right: then the client lacks its end
 */
export async function answerContent(
  { message, signal }: ProxiedRequest,
  response: ServerResponse,
  { content, fields, etag, proof }: ContentAnswer,
): Promise<number> {
  const { length } = content;
  const tagged = { ...fields, ...(etag === null ? {} : { etag }) };
  if (etag !== null && namesTag(message.headers["if-none-match"], etag)) {
    response.writeHead(304, tagged).end();
    return 0;
  }
  const isConditionLost =
    message.headers["if-range"] !== undefined && message.headers["if-range"] !== etag;
  const isRanged = length !== null && message.method === "GET" && !isConditionLost;
  const range = isRanged ? chooseRange(message.headers.range, length) : null;
  if (range === "beyond") {
    const told = { "content-range": `bytes */${length}`, "content-length": "0" };
    response.writeHead(416, { ...tagged, ...told }).end();
    return 0;
  }
  const from = range?.from ?? 0;
  const to = range?.to ?? length;
  const head = {
    ...tagged,
    ...(length === null ? {} : { "accept-ranges": "bytes" }),
    ...(to === null ? {} : { "content-length": String(to - from) }),
    ...(range === null ? {} : { "content-range": contentRangeOf(range, length!) }),
  };
  const begin = (): void => {
    if (!response.headersSent) response.writeHead(range === null ? 200 : 206, head);
  };
  if (message.method === "HEAD") {
    begin();
    response.end();
    return 0;
  }
  const give = async (part: Uint8Array): Promise<void> => {
    if (await writePart(response, part, signal)) freeMemoryOf(part);
  };
  let at = from;
  let kept: Uint8Array | null = null;
  for await (const part of content.read(from, to)) {
    proof?.see(at, part);
    at += part.length;
    if (kept !== null) {
      begin();
      await give(kept);
    }
    kept = part;
  }
  if (to !== null && at !== to) throw new DfError("protocol", "read a content: it ended early");
  // A part from the middle is right or wrong with the whole, which its reader has not asked for.
  if (to === length) await proof?.hold(content, at);
  begin();
  if (kept !== null) await give(kept);
  response.end();
  return at - from;
}
