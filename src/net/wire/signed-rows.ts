// The fleet's word on a manifest: signatures over groups of rows, and one over the whole. Whoever
// passes rows on passes the signatures too, so rows may come from anybody. Made by supernodes with
// the cluster's private key, checked by all machines with its public half (Ed25519, RFC 8032).
//
//   group   "df rows 1" LF content ID LF piece length LF group LF
//             and the rows in the order of their pieces, as encodeRow writes them
//   whole   "df manifest 1" LF content ID LF task ID LF length LF piece length LF md5 LF
//             sha256 or "none" LF "private" or "public" LF validator as JSON
//
// No field but the last can hold a line feed, and JSON escapes it there: no two statements meet.

import { type KeyObject, sign, verify } from "node:crypto";
import type { Manifest } from "../../engine/core/manifest.ts";
import { pieceCountOf } from "../../engine/core/piece-layout.ts";
import { encodeRow, type NumberedRow } from "./swarm-frames.ts";

/** Rows under one signature: 78 µs to sign and 107 to check (measured), so less than 2 µs a piece. */
export const SIGNED_ROWS = 64;

/** One group of a content's rows. */
export interface RowGroup {
  readonly contentId: string;
  readonly pieceLength: number;
  /** The rows are of pieces `group × SIGNED_ROWS` onwards. */
  readonly group: number;
  /** All rows of the group, in the order of their pieces: of the last one perhaps fewer. */
  readonly rows: readonly NumberedRow[];
}

/** What is known of a content once it is complete. */
export interface WholeContent {
  readonly contentId: string;
  readonly taskId: string;
  readonly length: number;
  readonly pieceLength: number;
  /** Hex. */
  readonly md5: string;
  readonly sha256: string | null;
  readonly isPrivate: boolean;
  /** As its source named the version; null: it did not. */
  readonly validator: string | null;
}

/** 64 bytes. @param key private, Ed25519 */
export function signRows(group: RowGroup, key: KeyObject): Uint8Array {
  return new Uint8Array(sign(null, rowsStatement(group), key));
}

/** Whether the fleet signed these rows. @param key public, Ed25519 */
export function areSigned(group: RowGroup, signature: Uint8Array, key: KeyObject): boolean {
  return verify(null, rowsStatement(group), key, signature);
}

/** 64 bytes. @param key private, Ed25519 */
export function signWhole(whole: WholeContent, key: KeyObject): Uint8Array {
  return new Uint8Array(sign(null, wholeStatement(whole), key));
}

/** Whether the fleet signed this. @param key public, Ed25519 */
export function isSignedWhole(whole: WholeContent, signature: Uint8Array, key: KeyObject): boolean {
  return verify(null, wholeStatement(whole), key, signature);
}

export function groupOf(piece: number): number {
  return Math.floor(piece / SIGNED_ROWS);
}

/** How many groups the rows of so many pieces make. */
export function groupCountOf(pieceCount: number): number {
  return Math.ceil(pieceCount / SIGNED_ROWS);
}

/**
 * The rows of a group; null while one of them is not known. Where the length is not known no group
 * is the last one: each has SIGNED_ROWS rows.
 */
export function rowsOfGroup(manifest: Manifest, group: number): NumberedRow[] | null {
  const { length, pieceLength } = manifest.layout;
  const pieceCount = length === null ? Infinity : pieceCountOf(length, pieceLength);
  const from = group * SIGNED_ROWS;
  const rows: NumberedRow[] = [];
  for (let piece = from; piece < Math.min(from + SIGNED_ROWS, pieceCount); piece++) {
    const row = manifest.row(piece);
    if (row === undefined) return null;
    rows.push({ piece, row });
  }
  return rows.length === 0 ? null : rows;
}

function rowsStatement({ contentId, pieceLength, group, rows }: RowGroup): Buffer {
  const head = Buffer.from(`df rows 1\n${contentId}\n${pieceLength}\n${group}\n`);
  return Buffer.concat([head, ...rows.map(encodeRow)]);
}

function wholeStatement(whole: WholeContent): Buffer {
  const { contentId, taskId, length, pieceLength, md5, sha256, isPrivate, validator } = whole;
  const fields = [
    ...["df manifest 1", contentId, taskId, length, pieceLength, md5, sha256 ?? "none"],
    ...[isPrivate ? "private" : "public", JSON.stringify(validator)],
  ];
  return Buffer.from(fields.join("\n"));
}
