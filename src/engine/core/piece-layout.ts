// How a content is cut into pieces: the one place that maps piece indices to byte offsets.

/** Smallest and largest piece: below 16 KiB the request outweighs the bytes, above 16 MiB a lost piece costs too much. */
export const PIECE_LENGTH_MIN = 16 << 10;
export const PIECE_LENGTH_MAX = 16 << 20;

/** Unknown lengths grow piece by piece. */
export const PIECE_LENGTH_UNKNOWN = 1 << 20;

/**
 * Pieces a content is cut into at least, where 16 KiB allows it. The last host finishes some
 * log(hosts) piece times after the fluid limit, so more pieces end sooner until control cost binds:
 * at 512 KiB, 7,000 hosts at 200 Mb/s already ask for 333,000 assignments a second.
 */
export const PIECE_COUNT_MIN = 300;

/**
 * Large pieces are cut to this many: the owner has time for them. Simulated, 5 GB to 10,000 hosts at
 * 1 Gb/s: 8 MiB pieces end at 1.08 of the limit, 4 MiB ones at 1.04 with 286,000 assignments a second.
 */
export const LARGE_PIECE_COUNT_MIN = 600;
export const LARGE_PIECE_LENGTH = 1 << 20;

/** Contents of one piece: too small for a swarm to help inside the file. */
export const SINGLE_PIECE_BYTES = 64 << 10;

/**
 * Smallest piece of an image's layer. Engines fetch several layers at once over one link, so that the pieces of
 * all together make the swarm's, while each costs its CPU: 40 hosts that pulled 10 MB in three layers spent
 * 50 CPU s in their peers with 16 KiB pieces, 25 with 64 KiB, 21 with 128 KiB.
 */
export const LAYER_PIECE_LENGTH_MIN = 128 << 10;

export interface PieceLayout {
  /** Bytes of the whole content; null while a source that gives no length is still being read. */
  readonly length: number | null;
  /** Bytes of every piece but the last, a power of two. */
  readonly pieceLength: number;
}

/** A bitmap of so many pieces is 32 KiB: one of each content travels with every join. */
export const PIECE_COUNT_MAX = 1 << 18;

/**
 * The power of two that gives a content of `length` bytes (null: unknown) its pieces.
 * @param wanted a power of two within bounds, which only a very long content makes larger; "auto":
 *   what its length suggests
 * @param least of the suggested lengths, a power of two @defaultValue PIECE_LENGTH_MIN
 */
export function pieceLengthFor(
  length: number | null,
  wanted: number | "auto" = "auto",
  least = PIECE_LENGTH_MIN,
): number {
  if (wanted !== "auto") {
    let pieceLength = wanted;
    while ((length ?? 0) / pieceLength > PIECE_COUNT_MAX) pieceLength *= 2;
    return pieceLength;
  }
  if (length === null) return PIECE_LENGTH_UNKNOWN;
  if (length <= SINGLE_PIECE_BYTES) return SINGLE_PIECE_BYTES;
  let pieceLength = PIECE_LENGTH_MAX;
  while (pieceLength > least && length / pieceLength < pieceCountMin(pieceLength)) {
    pieceLength /= 2;
  }
  return pieceLength;
}

function pieceCountMin(pieceLength: number): number {
  return pieceLength > LARGE_PIECE_LENGTH ? LARGE_PIECE_COUNT_MIN : PIECE_COUNT_MIN;
}

/** Number of pieces of a content of known length; 0 for an empty content. */
export function pieceCountOf(length: number, pieceLength: number): number {
  return Math.ceil(length / pieceLength);
}

/** Byte offset of a piece. A multiplication, not a shift: contents pass 2^32 bytes. */
export function pieceOffset(layout: PieceLayout, index: number): number {
  return index * layout.pieceLength;
}

/** Bytes of piece `index`; the last one may be short. An unknown length counts as endless. */
export function pieceLengthAt(layout: PieceLayout, index: number): number {
  if (layout.length === null) return layout.pieceLength;
  return Math.min(layout.pieceLength, layout.length - index * layout.pieceLength);
}
