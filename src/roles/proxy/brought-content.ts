// A content on its way to this host for one reader on the proxy's port: the peer is asked as `df get` asks
// it, in this process.

import { DfError } from "../../errors.ts";
import type { LocalApi, ReadableContent } from "../../net/local/local-server.ts";
import type { DownloadRequest, DownloadStreamEvent } from "../../net/wire/local-api.ts";

/**
 * A stalled reader holds two of these and what its socket took: with a hundred of them less than a hundred
 * pieces of 1 MiB. Half of it costs a fast reader a fifth more CPU time, twice as much saves a tenth.
 */
const PART_BYTES_MAX = 128 << 10;

export interface BroughtContent {
  readonly contentId: string;
  /** As ReadableContent.identity. */
  readonly identity: object;
  /** Null: not known before its end. */
  readonly length: number | null;
  /** What the source said with it, by names in lower case. */
  readonly fields: Readonly<Record<string, string>>;
  /** Why it may be out of date; null: it is current, as far as is known. */
  readonly stale: string | null;
  /** What `df get` would tell of how it is brought, e.g. that this host reads the source itself. */
  readonly notices: readonly string[];
  /**
   * Bytes `from` … `to` − 1 in order as they arrive; `to` null: to the end.
   * @throws {DfError} when the rest will not come
   */
  read(from: number, to: number | null): AsyncGenerator<Uint8Array>;
  /** Other bytes than its digest's came: as ReadableContent.discard. */
  discard(): Promise<void>;
}

/**
 * Joins the download and waits until its version is known. The download has this reader until the signal
 * aborts or it is done.
 * @throws {DfError} why it cannot be had; the signal's reason
 */
export async function bringContent(
  local: LocalApi,
  request: DownloadRequest,
  signal: AbortSignal,
): Promise<BroughtContent> {
  const events = local.download(request, signal);
  const { content, readable, notices } = await firstReadable(local, events);
  const { contentId, length, fields = {}, stale = null } = content;
  void stayUntilDone(events);
  return {
    contentId,
    length,
    fields,
    stale,
    notices,
    read: (from, to) => readable.read(from, to, signal, PART_BYTES_MAX),
    discard: () => readable.discard(),
    identity: readable.identity,
  };
}

type ContentEvent = Extract<DownloadStreamEvent, { event: "content" }>;

async function firstReadable(
  local: LocalApi,
  events: AsyncGenerator<DownloadStreamEvent>,
): Promise<{ content: ContentEvent; readable: ReadableContent; notices: readonly string[] }> {
  const notices: string[] = [];
  for (;;) {
    const next = await events.next();
    if (next.done === true) {
      throw new DfError("unavailable", "bring a content: it is gone", { hint: "ask again" });
    }
    const content = next.value;
    if (content.event === "notice") notices.push(content.message);
    if (content.event !== "content") continue;
    const readable = local.content(content.contentId, content.access ?? "");
    // What was dropped by now is followed by another version, or by why there is none.
    if (readable !== undefined) return { content, readable, notices };
  }
}

/** A reader that leaves lets the download end. What fails it is told to whoever reads the bytes. */
async function stayUntilDone(events: AsyncGenerator<DownloadStreamEvent>): Promise<void> {
  try {
    while ((await events.next()).done !== true);
  } catch {
    // Told there.
  }
}
