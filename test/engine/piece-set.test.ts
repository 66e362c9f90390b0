// Piece sets against a plain set of numbers, and their byte form against garbage.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { lowestBit, PieceSet, popcount } from "../../src/engine/core/piece-set.ts";

const members = fc.integer({ min: 0, max: 200 }).chain((size) =>
  fc.record({
    size: fc.constant(size),
    indices: size === 0 ? fc.constant([]) : fc.array(fc.nat(size - 1)),
  }),
);

function setOf({ size, indices }: { size: number; indices: readonly number[] }): PieceSet {
  const set = new PieceSet(size);
  for (const index of indices) set.add(index);
  return set;
}

test("a piece set behaves as a set of numbers", () => {
  fc.assert(
    fc.property(members, fc.array(fc.nat(199)), ({ size, indices }, removed) => {
      const set = setOf({ size, indices });
      const model = new Set(indices);
      for (const index of removed) expect(set.delete(index)).toBe(model.delete(index));

      expect([...set]).toEqual([...model].toSorted((a, b) => a - b));
      expect(set.count).toBe(model.size);
      expect(set.isFull).toBe(model.size === size);
      for (let from = 0; from < size; from++) {
        let missing = from;
        while (missing < size && model.has(missing)) missing++;
        expect(set.firstMissing(from)).toBe(missing);
      }
    }),
  );
});

test("adding tells whether the piece was new", () => {
  const set = new PieceSet(33);

  expect([set.add(32), set.add(32), set.add(0)]).toEqual([true, false, true]);
  expect(() => set.add(33)).toThrow("bug:");
  expect(() => set.add(-1)).toThrow("bug:");
});

test("the byte form keeps a set, and one of another size or with spare bits is refused", () => {
  fc.assert(
    fc.property(members, (given) => {
      const set = setOf(given);
      const bytes = set.toBytes();

      expect([...PieceSet.fromBytes(given.size, bytes)!]).toEqual([...set]);
      expect(PieceSet.fromBytes(given.size + 8, bytes)).toBeNull();
    }),
  );
  expect(PieceSet.fromBytes(3, new Uint8Array([0b1000]))).toBeNull();
  expect(PieceSet.fromBytes(3, new Uint8Array([0b111]))!.isFull).toBe(true);
  for (const size of [2 ** 32, 2 ** 52])
    expect(PieceSet.fromBytes(size, new Uint8Array())).toBeNull();
});

test("any bytes either are refused or come back as they were", () => {
  fc.assert(
    fc.property(fc.nat(100), fc.uint8Array({ maxLength: 14 }), (size, bytes) => {
      const set = PieceSet.fromBytes(size, bytes);
      if (set !== null) expect(set.toBytes()).toEqual(bytes);
    }),
  );
});

test("a grown set holds the same pieces and has room for more", () => {
  fc.assert(
    fc.property(members, fc.nat(100), (given, more) => {
      const set = setOf(given);
      const grown = set.grownTo(given.size + more);

      expect([...grown]).toEqual([...set]);
      expect(grown.firstMissing()).toBe(set.firstMissing());
    }),
  );
});

test.each([0, 1, 31, 32, 33, 64])("a full set of %p pieces lacks none", (size) => {
  const set = PieceSet.full(size);

  expect(set.count).toBe(size);
  expect(set.firstMissing()).toBe(size);
});

test("bit counts agree with counting one by one", () => {
  fc.assert(
    fc.property(fc.integer(), (word) => {
      const bits = (word >>> 0).toString(2);
      expect(popcount(word)).toBe(bits.replaceAll("0", "").length);
      if (word !== 0) expect(lowestBit(word)).toBe(bits.length - 1 - bits.lastIndexOf("1"));
    }),
  );
});
