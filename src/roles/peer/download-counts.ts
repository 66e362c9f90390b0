// What the downloads of this process came to: running ones as far as they are, ended ones as they ended.

import type { BytesBySource } from "../../net/wire/local-api.ts";
import type { PeerDownload } from "./peer-download.ts";

export interface DownloadCounts {
  done: number;
  failed: number;
  bytes: BytesBySource;
  /** Bytes that travelled here for what was not here before. */
  wireBytes: number;
}

export function noDownloads(): DownloadCounts {
  return {
    done: 0,
    failed: 0,
    bytes: { source: 0, supernode: 0, peers: 0, cache: 0 },
    wireBytes: 0,
  };
}

/** Adds what a download brought so far, and how it ended if it did. */
export function addDownload(counts: DownloadCounts, { transfer, state }: PeerDownload): void {
  if (state.kind === "done") counts.done++;
  if (state.kind === "failed") counts.failed++;
  if (transfer === null) return;
  const { bytes } = counts;
  bytes.source += transfer.bytes.source;
  bytes.supernode += transfer.bytes.supernode;
  bytes.peers += transfer.bytes.peers;
  bytes.cache += transfer.bytes.cache;
  counts.wireBytes += transfer.wireBytes;
}
