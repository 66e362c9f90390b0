// Tells whether the bytes of one piece in a data file are the wire form that its manifest row says.

import { sha256 } from "../engine/bytes/digest.ts";
import { sameBytes, type PieceRow } from "../engine/core/manifest.ts";
import type { DataFiles } from "./data-files.ts";

/** Read from both ends of a piece to tell a hole; one page each. */
const PROBE_BYTES = 4096;

/** Where a piece lies in its data file and what its bytes must hash to. */
export interface PieceOnDisk {
  readonly path: string;
  readonly offset: number;
  readonly row: PieceRow;
}

/** Hashes the piece. @throws {DfError} file-unreadable */
export async function isRightOnDisk(files: DataFiles, piece: PieceOnDisk): Promise<boolean> {
  const bytes = await files.read(piece.path, piece.offset, piece.row.wireLength);
  return sameBytes(await sha256(bytes), piece.row.wireSha256);
}

/**
 * Whether the piece looks as if it was never written: zeros at both ends. Spares hashing all the
 * holes of a sparse file; a real piece that looks so is merely fetched again.
 * @throws {DfError} file-unreadable
 */
export async function looksLikeHole(files: DataFiles, piece: PieceOnDisk): Promise<boolean> {
  const { wireLength } = piece.row;
  const probe = Math.min(PROBE_BYTES, wireLength);
  for (const offset of [piece.offset, piece.offset + wireLength - probe]) {
    const bytes = await files.read(piece.path, offset, probe);
    if (bytes.some((byte) => byte !== 0)) return false;
  }
  return true;
}
