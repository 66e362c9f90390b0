// How contents are cut: no gap, no overlap, exact beyond 4 GiB.

import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  LAYER_PIECE_LENGTH_MIN,
  PIECE_LENGTH_MAX,
  PIECE_LENGTH_MIN,
  PIECE_LENGTH_UNKNOWN,
  pieceCountOf,
  pieceLengthAt,
  pieceLengthFor,
  pieceOffset,
  SINGLE_PIECE_BYTES,
} from "../../src/engine/core/piece-layout.ts";

const length = fc.oneof(fc.nat(1 << 20), fc.integer({ min: 0, max: 2 ** 45 }));

test("the pieces of a content cover it once, without gap or overlap", () => {
  fc.assert(
    fc.property(fc.nat(100_000_000), (bytes) => {
      const layout = { length: bytes, pieceLength: pieceLengthFor(bytes) };
      let covered = 0;
      for (let index = 0; index < pieceCountOf(bytes, layout.pieceLength); index++) {
        expect(pieceOffset(layout, index)).toBe(covered);
        expect(pieceLengthAt(layout, index)).toBeGreaterThan(0);
        covered += pieceLengthAt(layout, index);
      }
      expect(covered).toBe(bytes);
    }),
    { numRuns: 30 },
  );
});

test("a piece length is a power of two between 16 KiB and 16 MiB", () => {
  fc.assert(
    fc.property(length, (bytes) => {
      const pieceLength = pieceLengthFor(bytes);
      expect(Number.isInteger(Math.log2(pieceLength))).toBe(true);
      expect(pieceLength).toBeGreaterThanOrEqual(PIECE_LENGTH_MIN);
      expect(pieceLength).toBeLessThanOrEqual(PIECE_LENGTH_MAX);
    }),
  );
});

test.each([
  [0, 0],
  [1, 1],
  [SINGLE_PIECE_BYTES, 1],
  [PIECE_LENGTH_MAX * 1000, 1000],
  [PIECE_LENGTH_MAX * 1000 + 1, 1001],
  [PIECE_LENGTH_MAX * 1000 - 1, 1000],
])("a content of %p bytes has %p pieces", (bytes, count) => {
  expect(pieceCountOf(bytes, pieceLengthFor(bytes))).toBe(count);
});

test("offsets beyond 4 GiB are exact, and an unknown length has full pieces", () => {
  const layout = { length: 2 ** 40 + 5, pieceLength: PIECE_LENGTH_MAX };

  expect(pieceOffset(layout, 65_536)).toBe(2 ** 40);
  expect(pieceLengthAt(layout, 65_536)).toBe(5);
  expect(pieceLengthFor(null)).toBe(PIECE_LENGTH_UNKNOWN);
  expect(pieceLengthAt({ length: null, pieceLength: PIECE_LENGTH_UNKNOWN }, 1_000_000)).toBe(
    PIECE_LENGTH_UNKNOWN,
  );
});

test("a layer's pieces are no smaller than what three layers at once need, and larger ones stay as they are", () => {
  const lengthOf = (bytes: number) => pieceLengthFor(bytes, "auto", LAYER_PIECE_LENGTH_MIN);

  expect(lengthOf(3_000_000)).toBe(LAYER_PIECE_LENGTH_MIN);
  expect(lengthOf(1_000_000_000)).toBe(pieceLengthFor(1_000_000_000));
});
