// What every way of bringing a URL takes and gives back.

import type { DigestAlgorithm } from "../../engine/bytes/digest.ts";
import type { BytesBySource } from "../../net/wire/local-api.ts";

/** Told while bytes arrive; never more often than a person can see. */
export interface TransferProgress {
  doneBytes: number;
  /** Null: not known yet. */
  length: number | null;
  bytes: BytesBySource;
  /** Bytes that travelled here: compressed pieces as they came. */
  wireBytes: number;
  /** Parents with a transfer under way; 0 in a direct read. */
  parents: number;
}

export interface TransferWatcher {
  progress(progress: TransferProgress): void;
  /** Something the user should know, e.g. that the request is private. */
  notice(message: string): void;
}

export interface TransferResult {
  length: number;
  bytes: BytesBySource;
  wireBytes: number;
  /** Digests of the very bytes that were written, hex, as far as they were asked for. */
  digests: ReadonlyMap<DigestAlgorithm, string>;
  /** `performance.now()` when the last byte was written. */
  lastByteAtMs: number;
}

export const NO_BYTES: BytesBySource = { source: 0, supernode: 0, peers: 0, cache: 0 };
