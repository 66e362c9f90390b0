// Where a broken read goes on: at the first gap in what is there, for as long as it is. A first
// request that takes more, or begins elsewhere, reads bytes that another one brings again.

import { type PieceLayout, pieceOffset } from "./piece-layout.ts";
import type { PieceSet } from "./piece-set.ts";

/** The first missing stretch in bytes, reckoned in whole pieces; null: nothing is missing. */
export function firstGap(
  have: PieceSet,
  layout: PieceLayout,
): { startAt: number; startBytes: number } | null {
  const first = have.firstMissing();
  if (first === have.size) return null;
  let next = first + 1;
  while (next < have.size && !have.has(next)) next++;
  const startAt = pieceOffset(layout, first);
  return { startAt, startBytes: pieceOffset(layout, next) - startAt };
}
