// A GET of any source that a rule gives to the swarm: taken apart as `df get` does it, brought by this
// peer, and answered with what the source said of its bytes. Ranges are cut from the whole.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { LocalApi } from "../../net/local/local-server.ts";
import { endToEndFields, joinedFields, withVia } from "../../net/proxy/message-fields.ts";
import type { ProxiedRequest } from "../../net/proxy/proxied-request.ts";
import { splitRequest } from "../../net/task-request.ts";
import { type BroughtContent, bringContent } from "./brought-content.ts";
import { answerContent } from "./content-answer.ts";

/** Fields by which a client asks for a change, or nothing: only the source can tell. */
const CONDITIONS = ["if-none-match", "if-modified-since", "if-match", "if-unmodified-since"];

/** Fields that are about the answer, not about the task. */
const OF_THE_ANSWER = new Set(["host", "via", "range", "if-range"]);

/**
 * Fields that every client of a kind sends, that are no credential, and that no download's bytes depend on
 * unless the source says so in Vary. Whoever sends them asks for the same task as others.
 */
const CUSTOMARY =
  /^(?:accept(?:-.*)?|cache-control|pragma|expires|dnt|priority|origin|x-requested-with|upgrade-insecure-requests|sec-.*|npm-.*|pacote-.*)$/;

/** What is told of a content beside its length and its tag. */
const TOLD = [
  ...["content-type", "content-encoding", "content-disposition", "last-modified"],
  ...["cache-control", "expires", "age", "date", "vary"],
];

export interface SwarmAnswerOptions {
  local: LocalApi;
  /** This proxy's name in Via. */
  via: string;
  /** Hears what is told of how a content is brought. */
  onNotice: (notice: string) => void;
}

/** Whether the swarm can answer such a request at all: a GET without a body and without conditions. */
export function isForSwarm({ message: { method, headers } }: ProxiedRequest): boolean {
  const hasBody =
    headers["transfer-encoding"] !== undefined || Number(headers["content-length"]) > 0;
  return method === "GET" && !hasBody && CONDITIONS.every((name) => headers[name] === undefined);
}

/**
 * Answers with the content.
 * @returns false, with nothing answered, when the source gives others bytes to whoever sends such fields
 * @throws {DfError} as LocalApi.download and ReadableContent.read
 */
export async function answerFromSwarm(
  request: ProxiedRequest,
  response: ServerResponse,
  { local, via, onNotice }: SwarmAnswerOptions,
): Promise<boolean> {
  const { message, url } = request;
  const left = new AbortController();
  const signal = AbortSignal.any([request.signal, left.signal]);
  try {
    const headers = taskFieldsOf(message);
    const content = await bringContent(local, splitRequest({ url: url.href, headers }), signal);
    // That its source is down, and its last version given, is no affair of the rule.
    if (content.stale === null) content.notices.forEach(onNotice);
    if (!isSameForAll(content, message)) return false;
    const told = TOLD.filter((name) => Object.hasOwn(content.fields, name));
    const fields = Object.fromEntries(told.map((name) => [name, content.fields[name]!]));
    await answerContent({ ...request, signal }, response, {
      content,
      fields: withVia(fields, "1.1", via) as Record<string, string>,
      etag: content.fields["etag"] ?? null,
      proof: null,
    });
    return true;
  } finally {
    left.abort();
  }
}

/** What of a request may name the task or show a right; the rest is customary. */
function taskFieldsOf(message: IncomingMessage): Record<string, string> {
  const fields = Object.entries(joinedFields(endToEndFields(message)));
  const telling = fields.filter(([name]) => !OF_THE_ANSWER.has(name) && !CUSTOMARY.test(name));
  return Object.fromEntries(telling);
}

/** Whether what was asked for without the customary fields is the answer to who sent them (RFC 9111 §4.1). */
function isSameForAll({ fields }: BroughtContent, { headers }: IncomingMessage): boolean {
  const vary = (fields["vary"] ?? "").split(",").map((name) => name.trim().toLowerCase());
  // The source was asked for the bytes as they are, which every client takes.
  const deciding = vary.filter((name) => name !== "" && name !== "accept-encoding");
  return deciding.every((name) => name !== "*" && isUsual(name, headers[name]));
}

function isUsual(name: string, value: string | string[] | undefined): boolean {
  return value === undefined || (name === "accept" && value === "*/*");
}
