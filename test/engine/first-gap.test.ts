// Where a read goes on.

import { expect, test } from "bun:test";
import { firstGap } from "../../src/engine/core/first-gap.ts";
import { PieceSet } from "../../src/engine/core/piece-set.ts";

const PIECE = 16_384;

test.each<[string, { startAt: number; startBytes: number } | null]>([
  ["....", { startAt: 0, startBytes: 4 * PIECE }],
  ["##..", { startAt: 2 * PIECE, startBytes: 2 * PIECE }],
  ["#..#.", { startAt: PIECE, startBytes: 2 * PIECE }],
  ["###.", { startAt: 3 * PIECE, startBytes: PIECE }],
  ["####", null],
])("a read of %s goes on at its first gap, and no further than that reaches", (row, gap) => {
  const have = new PieceSet(row.length);
  row.split("").forEach((mark, piece) => {
    if (mark === "#") have.add(piece);
  });

  expect(firstGap(have, { length: row.length * PIECE, pieceLength: PIECE })).toEqual(gap);
});
