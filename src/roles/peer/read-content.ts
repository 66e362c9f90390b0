// The bytes of a content in order, each as soon as it is verified: what the local API streams.

import { DfError } from "../../errors.ts";
import { RANGE_BYTES_MAX } from "../../limits.ts";
import type { StoredContent } from "../../store/piece-store.ts";
import type { PeerDownload } from "./peer-download.ts";

/**
 * Reads `from` … `to` − 1; `to` null: to the end. Holds a lease, so that nothing is evicted while
 * it is read; holds at most one part in memory.
 * @param download who brings what is missing; undefined: nobody does
 * @throws {DfError} when the rest will not come; the signal's reason
 */
export async function* readContent(
  content: StoredContent,
  range: { from: number; to: number | null; partBytesMax?: number | undefined },
  download: PeerDownload | undefined,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { partBytesMax = RANGE_BYTES_MAX } = range;
  const releaseLease = content.lease();
  content.touch();
  const endOf = (): number =>
    Math.min(range.to ?? Infinity, content.manifest.layout.length ?? Infinity);
  try {
    for (let at = range.from; at < endOf();) {
      signal.throwIfAborted();
      const length = Math.min(partBytesMax, hereFrom(content, at) - at, endOf() - at);
      if (length > 0) {
        yield await content.read(at, length);
        at += length;
      } else await nextChange(content, download, signal);
    }
  } finally {
    releaseLease();
  }
}

/**
 * Where the piece ends that `at` lies in, if it is here; else `at`. A short piece is the last one, which may
 * come before its content's length is told: there is nothing behind it then, and the end is yet to be told.
 */
function hereFrom({ have, manifest }: StoredContent, at: number): number {
  const { pieceLength } = manifest.layout;
  const piece = Math.floor(at / pieceLength);
  if (piece >= have.size || !have.has(piece)) return at;
  return piece * pieceLength + manifest.row(piece)!.plainLength;
}

async function nextChange(
  content: StoredContent,
  download: PeerDownload | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { contentId } = content.facts;
  if (download?.state.kind === "failed") throw download.state.error;
  // A download that has no content just dropped this one: what it ends with says why.
  const mayBeBrought = download?.contentId === contentId || download?.contentId === null;
  const isBrought = download?.state.kind === "running" && mayBeBrought;
  if (!isBrought) {
    throw new DfError(
      "unavailable",
      `read content ${contentId}: the rest of it is not being brought`,
      {
        hint: "start the download again",
      },
    );
  }
  await download.changes.next(signal);
}
