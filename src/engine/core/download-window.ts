// How far above its first gap a child takes pieces: wide enough that useful pieces abound, narrow
// enough that the file grows from its start (digesting and reading in order keep up).

/** Pieces at least. */
export const WINDOW_PIECES_MIN = 64;

/** Seconds of the child's own rate at least. */
export const WINDOW_SECONDS = 4;

/**
 * End (exclusive) of the window of a child whose first missing piece is `firstGap`.
 * @param rateBytesPerSec 0: unknown
 */
export function windowEnd(options: {
  firstGap: number;
  pieceCount: number;
  pieceLength: number;
  rateBytesPerSec: number;
}): number {
  const ofRate = Math.ceil((WINDOW_SECONDS * options.rateBytesPerSec) / options.pieceLength);
  return Math.min(options.pieceCount, options.firstGap + Math.max(WINDOW_PIECES_MIN, ofRate));
}
