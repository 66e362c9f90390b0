// What the store's tests share: contents made of random bytes, temporary folders, warnings kept.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestNow, toHex } from "../../src/engine/bytes/digest.ts";
import { encodePiece, type EncodedPiece } from "../../src/engine/bytes/wire-form.ts";
import { plainRow, type PieceRow } from "../../src/engine/core/manifest.ts";
import { openStore, type StoreOptions } from "../../src/store/open-store.ts";
import type { ContentFacts, PieceStore, StoredContent } from "../../src/store/piece-store.ts";

export const PIECE_LENGTH = 1 << 16;

/** A folder that goes with the test: `using dir = temporaryDir()`. */
export function temporaryDir(): { path: string; [Symbol.dispose]: () => void } {
  const path = mkdtempSync(join(tmpdir(), "df-store-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export async function openTestStore(
  dir: string,
  options: Partial<StoreOptions> = {},
): Promise<{ store: PieceStore; warnings: string[] }> {
  const warnings: string[] = [];
  const store = await openStore({
    dir,
    quotaBytes: null,
    onWarning: (message) => warnings.push(message),
    ...options,
  });
  return { store, warnings };
}

/** A content ID that a number stands for. */
export function idOf(seed: number): string {
  return toHex(digestNow("sha256", String(seed)));
}

export function factsOf(
  seed: number,
  length: number | null,
  overrides: Partial<ContentFacts> = {},
): ContentFacts {
  return {
    contentId: idOf(seed),
    taskId: idOf(seed + 1_000),
    url: `http://source/${seed}`,
    layout: { length, pieceLength: PIECE_LENGTH },
    validator: '"1"',
    lastModified: null,
    answer: null,
    ...overrides,
  };
}

/** Bytes of a piece that anyone can make again. */
export function pieceBytes(seed: number, index: number, length = PIECE_LENGTH): Uint8Array {
  const block = digestNow("sha256", `${seed}/${index}`);
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += block.length) bytes.set(block.subarray(0, length - at), at);
  return bytes;
}

export function rowOf(bytes: Uint8Array): PieceRow {
  const digest = digestNow("sha256", bytes);
  return plainRow(bytes.length, digest);
}

/** Opens what `formedPiece` seals. */
export const KEY = digestNow("sha256", "the key of a test's contents");

interface FormChange {
  length?: number;
  zstdLevel?: number;
  /** Null: not sealed. */
  key?: Uint8Array | null;
}

/** The wire form of a piece and its row: compressed and sealed unless told otherwise. */
export function formedPiece(
  seed: number,
  index: number,
  { length = PIECE_LENGTH, zstdLevel = 3, key = KEY }: FormChange = {},
): Promise<EncodedPiece> {
  const plain = pieceBytes(seed, index, length);
  return encodePiece(plain, { contentId: idOf(seed), index, zstdLevel, key });
}

/** Brings one piece into a content in its wire form. */
export async function putFormed(
  content: StoredContent,
  index: number,
  { wire, row }: EncodedPiece,
): Promise<void> {
  content.addRow(index, row);
  await content.write(index * PIECE_LENGTH, wire);
  content.commitPiece(index);
}

/** Brings one piece into a content as a role does: row, bytes, commit. */
export async function putPiece(
  content: StoredContent,
  seed: number,
  index: number,
  length = PIECE_LENGTH,
): Promise<void> {
  const bytes = pieceBytes(seed, index, length);
  content.addRow(index, rowOf(bytes));
  await content.write(index * PIECE_LENGTH, bytes);
  content.commitPiece(index);
}

/** A content with all its pieces, complete. */
export async function putContent(
  store: PieceStore,
  seed: number,
  pieceCount: number,
): Promise<StoredContent> {
  const content = await store.create(factsOf(seed, pieceCount * PIECE_LENGTH));
  for (let index = 0; index < pieceCount; index++) await putPiece(content, seed, index);
  await content.complete({ md5: "0".repeat(32), sha256: null });
  return content;
}
