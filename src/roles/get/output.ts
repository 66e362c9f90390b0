// Where a download's bytes go: a file that appears whole or not at all, or stdout. Both ways of
// bringing bytes write through this.

import type { PieceSet } from "../../engine/core/piece-set.ts";

/** The version whose bytes are written; what an unfinished output must match to be resumed. */
export interface OutputVersion {
  /** Names the content, or the task in a direct read; 64 hex digits. */
  readonly content: string;
  /** Null: not resumable at the source. */
  readonly validator: string | null;
  /** Null: not known yet. */
  readonly length: number | null;
  readonly pieceLength: number;
}

export interface Output {
  /** Null for stdout. */
  readonly path: string | null;
  /** Whether bytes may be written in any order, read back, and thrown away to begin anew. */
  readonly isRandomAccess: boolean;
  /** What an earlier run left; pieces that no longer have their digest are not among them. */
  resumable(content: string): Promise<{ version: OutputVersion; have: PieceSet } | null>;
  /** Begins a version, unless `resumed`: then what was found stays. Checks that the disk can hold it. */
  begin(version: OutputVersion, resumed: boolean): Promise<void>;
  write(offset: number, bytes: Uint8Array): Promise<void>;
  read(offset: number, length: number): Promise<Uint8Array>;
  /** A piece was written whole; remembered for a later run. */
  pieceWritten(index: number, sha256: Uint8Array): void;
  /** Syncs the bytes and gives the file its name. */
  commit(length: number): Promise<void>;
  /** Lets go: what is there stays for a later run, unless `discard`. Idempotent. */
  close(discard: boolean): Promise<void>;
}
