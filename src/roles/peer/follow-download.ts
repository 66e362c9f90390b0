// What one reader of a download sees: the events of the local API, made from the download's state.
// Progress in between is left out when the reader is slow; the last state never is.

import type { DownloadStreamEvent } from "../../net/wire/local-api.ts";
import type { ContentTransfer } from "./content-transfer.ts";
import type { PeerDownload } from "./peer-download.ts";

/** Between two progress events: smooth to the eye, and no line per piece on a slow link. */
const PROGRESS_INTERVAL_MS = 200;

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
    while (toldNotices < notices.length)
      yield { event: "notice", message: notices[toldNotices++]! };
    if (state.kind === "failed") throw state.error;
    if (transfer !== null) {
      const { length } = transfer.content.manifest.layout;
      if (transfer !== seen || length !== seenLength) {
        seen = transfer;
        seenLength = length;
        shownBytes = -1;
        yield contentEvent(transfer);
        continue;
      }
      if (transfer.doneBytes !== shownBytes) {
        shownBytes = transfer.doneBytes;
        yield progressEvent(transfer);
        if (state.kind === "running") await download.ending.next(signal, PROGRESS_INTERVAL_MS);
        continue;
      }
      if (state.kind === "done") {
        const { digests, inline } = state;
        const done = { event: "done", length: length!, ...digests, bytes: transfer.bytes } as const;
        yield inline === undefined ? done : { ...done, inline };
        return;
      }
    }
    await download.changes.next(signal);
  }
}

function contentEvent(transfer: ContentTransfer): DownloadStreamEvent {
  const { facts, manifest, dataPath } = transfer.content;
  return {
    event: "content",
    contentId: facts.contentId,
    taskId: facts.taskId,
    length: manifest.layout.length,
    pieceLength: manifest.layout.pieceLength,
    validator: facts.validator,
    lastModified: facts.lastModified,
    dataPath,
  };
}

function progressEvent(transfer: ContentTransfer): DownloadStreamEvent {
  const { prefixBytes, doneBytes, bytes, parents } = transfer;
  return { event: "progress", prefixBytes, doneBytes, bytes, parents };
}
