// The contract of pieces at rest: contents, their manifests and which pieces are verified.
// Paths are the store's own affair, except the data file, which workers read and write by offset.

import type { Secret } from "../engine/bytes/secret.ts";
import type { DiskMarks } from "../engine/core/disk-marks.ts";
import type { KeptAnswer } from "../engine/core/freshness.ts";
import type { Manifest, PieceRow } from "../engine/core/manifest.ts";
import type { PieceLayout } from "../engine/core/piece-layout.ts";
import type { PieceSet } from "../engine/core/piece-set.ts";
import type { DiskReport } from "./disk-watch.ts";

/** What is known of a content besides its pieces. */
export interface ContentFacts {
  readonly contentId: string;
  readonly taskId: string;
  /** Without user info or credentials. */
  readonly url: string;
  readonly layout: PieceLayout;
  /** Strong ETag or Last-Modified; null when the source gave none. */
  readonly validator: string | null;
  readonly lastModified: string | null;
  /** What the source last said of its use; null: not known. */
  readonly answer: KeptAnswer | null;
  /** Only who was proven at the source may have it: it is given against tickets alone. @defaultValue false */
  readonly isPrivate?: boolean;
}

/** Digests of the whole content, hex; known once it is complete. */
export interface ContentDigests {
  readonly md5: string;
  readonly sha256: string | null;
}

/** One content at rest. Pieces are written by offset into `dataPath` and then committed. */
export interface StoredContent {
  readonly facts: ContentFacts;
  readonly manifest: Manifest;
  /** Pieces that may be served; its words lie on a SharedArrayBuffer, so a piece server in a worker sees them. Replaced when a content of unknown length grows. */
  readonly have: PieceSet;
  /**
   * Two words a piece: bytes of its wire form, 0 where no row is known, and `wireMarkOf` it. Shared
   * and replaced together with `have`.
   */
  readonly wireForms: Uint32Array;
  readonly dataPath: string;
  /** Null until complete, and while pieces are in doubt. */
  readonly digests: ContentDigests | null;
  /**
   * Hashes again what an unclean stop or a changed file left in doubt; until then those pieces are
   * missing from `have`. Await it before `have` is announced or missing pieces are fetched. The
   * store also does it by itself after it was opened.
   */
  verify(): Promise<void>;
  /**
   * Writes bytes of a piece's wire form, which begins at the piece's natural offset; the buffer may be
   * reused afterwards. Bytes for a committed piece are ignored. Two writers in one piece at a time are
   * the caller's to prevent. @throws {DfError} no-space, file-unwritable
   */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /**
   * Reads `length` plain bytes at `offset`, decoding pieces that rest in another form; they are the
   * caller's. @throws {DfError} file-unreadable when they are not there, or a piece turned out damaged,
   *   which is then dropped; denied when a piece is sealed and the content locked; checksum when the
   *   key is another's
   */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Gives the key of sealed pieces, 32 bytes: kept in memory only, for `read` and for `key`. */
  unlock(key: Uint8Array): void;
  /** Null: locked, or nothing here is sealed. */
  readonly key: Secret<Uint8Array> | null;
  /** Adds a row learned from the owner, journalled with the next transaction. */
  addRow(index: number, row: PieceRow): void;
  /**
   * Takes the owner's row in place of one that was made without it, for the same plain bytes in
   * another form: the piece is dropped and must come again.
   */
  replaceRow(index: number, row: PieceRow): void;
  /** Notes the fleet's signature over a group of rows, which was checked; journalled like a row. */
  addSignature(group: number, signature: Uint8Array): void;
  /** The fleet's signature over the whole content, checked with its digests; null: none is known. */
  readonly wholeSignature: Uint8Array | null;
  /** Journalled with the next transaction. */
  noteWholeSignature(signature: Uint8Array): void;
  /** Marks a piece as written and verified; its row must be known. */
  commitPiece(index: number): void;
  /** Takes a piece back that turned out wrong on disk. */
  dropPiece(index: number): void;
  /** Fixes the length of a content that was read without knowing it. */
  setLength(length: number): void;
  /** Every piece is committed: data is synced, digests recorded. @throws {DfError} no-space, file-unwritable */
  complete(digests: ContentDigests): Promise<void>;
  /** The source said it anew; journalled with the next transaction. */
  noteAnswer(answer: KeptAnswer): void;
  /** Keeps the content from eviction until the returned function is called; idempotent. */
  lease(): () => void;
  /** Marks a use, for eviction by least recent use. */
  touch(): void;
  /** Somebody is reading it without a lease, as peers do: a use, and it stays for the next seconds. */
  noteRead(): void;
  /**
   * Keeps the content from eviction, also over restarts, until `expiresAt` (Unix milliseconds) or
   * `unpin` with the same reason. @throws {DfError} no-space, file-unwritable
   */
  pin(reason: string, expiresAt: number): void;
  unpin(reason: string): void;
  readonly isPinned: boolean;
  /** Leased, pinned or read a moment ago: eviction passes it over. */
  readonly isKept: boolean;
}

/** What a store may take. */
export interface StoreLimits {
  /** Contents beyond it are evicted by least recent use; null: only the disk limits. */
  readonly quotaBytes: number | null;
  /** Shares of the disk in use: at the high one contents go, down to the low one. */
  readonly marks: DiskMarks;
}

export interface PieceStore {
  /** Makes a content or returns the one that exists, verified and with the newer answer. Checks that the disk can hold it. @throws {DfError} no-space */
  create(facts: ContentFacts): Promise<StoredContent>;
  get(contentId: string): StoredContent | undefined;
  /** The newest content of a task, if any. */
  findByTask(taskId: string): StoredContent | undefined;
  /**
   * A complete content of any task whose bytes have this SHA-256 (hex) and that anybody may have: neither
   * private nor sealed. Its pieces may be in doubt: `digests` is null until `verify` has hashed them.
   */
  findBySha256(sha256: string): StoredContent | undefined;
  list(): StoredContent[];
  delete(contentId: string): Promise<void>;
  /** What the quota counts: bytes of all contents on disk, and what unfinished ones may yet take. */
  readonly usedBytes: number;
  /** How full the disk is. */
  readonly disk: DiskReport;
  /** Frees contents by least recent use down to the quota; leased and pinned ones stay. Returns what was evicted. */
  evict(): Promise<string[]>;
  /** Takes effect at once: what is too much now goes. */
  setLimits(limits: StoreLimits): Promise<void>;
  /** Journals what is pending and marks the stop as clean. */
  close(): Promise<void>;
}
