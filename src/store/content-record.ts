// What may be believed of a content's entry in the journal: its file may be damaged.

import { isRowOf, type PieceRow } from "../engine/core/manifest.ts";
import { pieceCountOf, type PieceLayout } from "../engine/core/piece-layout.ts";
import type { ContentRecord } from "./journal.ts";

/** Pieces the record's bitmap speaks of; of an unknown length, as many as it has bits. */
export function pieceCountOfRecord({ facts, have }: ContentRecord): number {
  const { length, pieceLength } = facts.layout;
  return length === null ? have.length * 8 : pieceCountOf(length, pieceLength);
}

/** Whether a row from the index is one: the file may be damaged. */
export function isSound(layout: PieceLayout, index: number, row: PieceRow): boolean {
  const { wireSha256, plainSha256, seal } = row;
  const isSealSound = seal === null || (seal.nonce.length === 12 && seal.tag.length === 16);
  const areDigests = wireSha256.length === 32 && plainSha256.length === 32;
  return areDigests && isSealSound && isRowOf(layout, index, row);
}
