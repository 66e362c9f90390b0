// What one reader of a download sees: the events of the local API, made from the download's state.
// Progress in between is left out when the reader is slow; the last state never is.

import { forwardedAnswer } from "../../net/source/cache-terms.ts";
import type { DownloadStreamEvent } from "../../net/wire/local-api.ts";
import type { ContentTransfer } from "./content-transfer.ts";
import type { PeerDownload } from "./peer-download.ts";

/** Between two progress events: smooth to the eye, and a reader that copies is close behind. */
const PROGRESS_INTERVAL_MS = 200;

/**
 * While less than this came in between, a reader has little to do: it hears of it less often. While much
 * comes it hears of it sooner: at 300 MiB/s what 200 ms bring is 60 MiB that it still has to copy
 * and digest after the last piece.
 */
const SLOW_BYTES = 1 << 20;
const SLOW_INTERVAL_MS = 500;
const FAST_BYTES = 8 << 20;
const FAST_INTERVAL_MS = 50;

/**
 * Yields until `done`. A `content` event after the first one means a new version: what was read of
 * the former is to be discarded.
 * @throws {DfError} why the download failed; the signal's reason
 */
export async function* followDownload(
  download: PeerDownload,
  signal: AbortSignal,
): AsyncGenerator<DownloadStreamEvent> {
  let seen: ContentTransfer | null = null;
  let seenLength: number | null = null;
  let shownBytes = -1;
  let toldNotices = 0;
  for (;;) {
    const { state, transfer, notices } = download;
    if (toldNotices < notices.length) {
      yield { event: "notice", message: notices[toldNotices++]! };
      // The reader took its time: the state is another one perhaps.
      continue;
    }
    if (state.kind === "failed") throw state.error;
    if (transfer !== null) {
      const { length } = transfer.content.manifest.layout;
      if (transfer !== seen || length !== seenLength) {
        // Another transfer of the version that the reader has: pieces of it lie there in other forms.
        const isAnew = seen?.content === transfer.content && transfer !== seen;
        seen = transfer;
        seenLength = length;
        shownBytes = -1;
        yield contentEvent(transfer, { isAnew, stale: download.stale });
        continue;
      }
      if (transfer.doneBytes !== shownBytes) {
        const news = transfer.doneBytes - shownBytes;
        shownBytes = transfer.doneBytes;
        yield progressEvent(transfer);
        if (state.kind === "running") await download.ending.next(signal, intervalAfter(news));
        continue;
      }
      if (state.kind === "done") {
        const { digests, inline } = state;
        const { bytes, wireBytes } = transfer;
        const done = { event: "done", length: length!, ...digests, bytes, wireBytes } as const;
        yield inline === undefined ? done : { ...done, inline };
        return;
      }
    }
    await download.changes.next(signal);
  }
}

/** How long to wait after an event that told of so many bytes. */
function intervalAfter(newBytes: number): number {
  if (newBytes < SLOW_BYTES) return SLOW_INTERVAL_MS;
  return newBytes < FAST_BYTES ? PROGRESS_INTERVAL_MS : FAST_INTERVAL_MS;
}

function contentEvent(
  transfer: ContentTransfer,
  { isAnew, stale }: { isAnew: boolean; stale: string | null },
): DownloadStreamEvent {
  const { facts, manifest, dataPath } = transfer.content;
  return {
    event: "content",
    contentId: facts.contentId,
    taskId: facts.taskId,
    length: manifest.layout.length,
    pieceLength: manifest.layout.pieceLength,
    validator: facts.validator,
    lastModified: facts.lastModified,
    ...(facts.answer === null ? {} : { fields: forwardedAnswer(facts.answer, Date.now()).fields }),
    dataPath,
    ...(stale === null ? {} : { stale }),
    ...(isAnew ? { isAnew } : {}),
  };
}

function progressEvent(transfer: ContentTransfer): DownloadStreamEvent {
  const { prefixBytes, plainPrefixBytes, doneBytes, bytes, wireBytes, parents } = transfer;
  const done = { prefixBytes, plainPrefixBytes, doneBytes };
  return { event: "progress", ...done, bytes, wireBytes, parents };
}
