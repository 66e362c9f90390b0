// Manifest rows: append-only, in any order, never contradicted.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { Manifest, plainRow, sameBytes, type PieceRow } from "../../src/engine/core/manifest.ts";

function row(seed: number): PieceRow {
  const digest = new Uint8Array(32).fill(seed);
  return plainRow(100, digest);
}

test("rows may come in any order and more than once, and are listed as they were learned", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50)), (indices) => {
      const manifest = new Manifest({ length: 5_100, pieceLength: 100 });
      for (const index of indices) manifest.append(index, row(index));

      expect(manifest.learned).toEqual([...new Set(indices)]);
      for (const index of indices) expect(manifest.row(index)).toEqual(row(index));
      expect(manifest.row(51)).toBeUndefined();
    }),
  );
});

test("a row that contradicts an earlier one is refused", () => {
  const manifest = new Manifest({ length: 200, pieceLength: 100 });
  manifest.append(0, row(1));

  expect(() => manifest.append(0, row(2))).toThrow("a manifest row never changes");
});

test("a length that becomes known stays", () => {
  const manifest = new Manifest({ length: null, pieceLength: 100 });
  manifest.close(250);

  expect(manifest.layout).toEqual({ length: 250, pieceLength: 100 });
  manifest.close(250);
  expect(() => manifest.close(251)).toThrow("a content's length never changes");
});

test("equal bytes are equal, others are not", () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
      expect(sameBytes(a, b)).toBe(a.toHex() === b.toHex());
      expect(sameBytes(a, a.slice())).toBe(true);
    }),
  );
});
