// What a content on disk begins with: the store around it, and what the journal knew of it.

import type { Pacer } from "../engine/bytes/pacing.ts";
import type { PieceRow } from "../engine/core/manifest.ts";
import { PieceSet } from "../engine/core/piece-set.ts";
import type { DataFiles } from "./data-files.ts";
import type { DecodedPieces } from "./decoded-pieces.ts";
import type { Journal } from "./journal.ts";
import type { ContentDigests, ContentFacts, StoredContent } from "./piece-store.ts";

/** What a content needs of its store. */
export interface ContentSurroundings {
  readonly files: DataFiles;
  readonly decoded: DecodedPieces;
  readonly journal: Journal;
  /** Limits writes and verification reads. */
  readonly diskPacer: Pacer;
  /** Limits verification that nobody waits for. */
  readonly backgroundPacer: Pacer;
  readonly onVerified: (content: StoredContent) => void;
  readonly onWarning: (message: string) => void;
  /** Digests of the whole were recorded. */
  readonly completed: (contentId: string) => void;
  /** Aborted when the store closes: verification stops and leaves the rest in doubt. */
  readonly closing: AbortSignal;
  /** A content of unknown length took so many bytes more than anyone reckoned with. */
  readonly grew: (bytes: number) => void;
  /** Unix milliseconds, never the same twice. */
  readonly nextUse: () => number;
}

export interface ContentStart {
  readonly facts: ContentFacts;
  readonly dataPath: string;
  readonly rows: readonly { index: number; row: PieceRow }[];
  /** Pieces the journal calls verified; taken over. */
  readonly journalled: PieceSet;
  /** Whether they may be served without being hashed again. */
  readonly isTrusted: boolean;
  readonly digests: ContentDigests | null;
  readonly signatures: readonly { group: number; signature: Uint8Array }[];
  readonly wholeSignature: Uint8Array | null;
  readonly dataStamp: string | null;
  readonly createdAt: number;
  readonly usedAt: number;
  readonly pins: readonly { reason: string; expiresAt: number }[];
}

/** A piece may have been committed after the last transaction: wherever a row is known, look. */
export function piecesInDoubt({ journalled, rows }: ContentStart): PieceSet {
  const inDoubt = new PieceSet(journalled.size, journalled.words.slice());
  for (const { index } of rows) inDoubt.add(index);
  return inDoubt;
}
