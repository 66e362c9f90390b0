// How long an assignment is expected to be reported: a child that never does must not hold its
// parent's slot for ever.

/**
 * A reservation lapses after this long plus the piece's time. Honest children report a parent that
 * does not answer or stalls within half of it.
 */
const RESERVATION_TIMEOUT_US = 10_000_000;

/** The piece's time is that of a slot this slow; where the child's speed is known, so many times its own. */
const SLOWEST_BYTES_PER_SEC = 50_000;
const PATIENCE = 16;

/**
 * How long a child may be silent about one assignment.
 * @param bytesPerSec the child's known speed of one slot; 0: unknown
 */
export function reservationUs(pieceLength: number, bytesPerSec: number): number {
  const seconds = pieceLength / Math.max(bytesPerSec / PATIENCE, SLOWEST_BYTES_PER_SEC);
  return RESERVATION_TIMEOUT_US + Math.ceil(seconds * 1_000_000);
}
