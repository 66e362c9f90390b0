// A small content that came inside the join answer: its pieces are stored as if a parent had given
// them, so that this host can share them.

import { digestNow } from "../../engine/bytes/digest.ts";
import { plainRow } from "../../engine/core/manifest.ts";
import { pieceLengthAt, pieceOffset } from "../../engine/core/piece-layout.ts";
import { DfError } from "../../errors.ts";
import type { ContentTransfer } from "./content-transfer.ts";

/**
 * Stores the pieces that are missing; false when the rows that are here tell of other bytes.
 * @param inline base64
 * @throws {DfError} protocol when the length is not the content's; as StoredContent.write
 */
export async function takeInline(transfer: ContentTransfer, inline: string): Promise<boolean> {
  const { content } = transfer;
  const { layout } = content.manifest;
  const bytes = new Uint8Array(Buffer.from(inline, "base64"));
  if (bytes.length !== layout.length) {
    const message = `bring ${content.facts.url}: the supernode sent another length than it said`;
    throw new DfError("protocol", message);
  }
  for (let piece = 0; piece < content.have.size; piece++) {
    if (content.have.has(piece)) continue;
    const from = pieceOffset(layout, piece);
    const part = bytes.subarray(from, from + pieceLengthAt(layout, piece));
    const digest = digestNow("sha256", part);
    if (!transfer.learn([{ piece, row: plainRow(part.length, digest) }])) return false;
    await content.write(from, part);
    content.commitPiece(piece);
    transfer.gained(piece, "supernode");
  }
  return true;
}
