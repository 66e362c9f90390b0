// Rows that no supernode told: two hosts must say the same.

import { expect, test } from "bun:test";
import { plainRow, type PieceRow } from "../../src/engine/core/manifest.ts";
import { RowWitnesses } from "../../src/engine/core/row-witnesses.ts";

function row(mark: number, wireLength = 100): PieceRow {
  const digest = new Uint8Array(32).fill(mark);
  return plainRow(wireLength, digest);
}

test("a row is proven when a second host tells the same", () => {
  const witnesses = new RowWitnesses();

  expect(witnesses.told(1, 0, row(7))).toBe(false);
  expect(witnesses.told(2, 1, row(7))).toBe(false);
  expect(witnesses.told(2, 0, row(7))).toBe(true);
});

test("one host proves nothing, however often and whatever it says", () => {
  const witnesses = new RowWitnesses();

  expect([row(7), row(7), row(8), row(8)].some((said) => witnesses.told(1, 0, said))).toBe(false);
});

test("hosts agree on a row only to its last field: the same bytes may be told to open otherwise", () => {
  const witnesses = new RowWitnesses();
  const compressed: PieceRow = {
    ...{ ...row(7), form: "compressed", zstdLevel: 3, plainLength: 200 },
    plainSha256: new Uint8Array(32).fill(8),
  };
  const seal = { nonce: new Uint8Array(12), tag: new Uint8Array(16) };
  const others: PieceRow[] = [
    { ...compressed, zstdLevel: 4 },
    { ...compressed, plainLength: 201 },
    { ...compressed, plainSha256: new Uint8Array(32).fill(9) },
    { ...compressed, form: "compressed-sealed", seal },
    {
      ...compressed,
      form: "compressed-sealed",
      seal: { ...seal, tag: new Uint8Array(16).fill(1) },
    },
  ];

  expect(witnesses.told(0, 0, compressed)).toBe(false);
  expect(others.map((other, i) => witnesses.told(i + 1, 0, other))).toEqual(
    others.map(() => false),
  );
  expect(witnesses.told(9, 0, compressed)).toBe(true);
});

test("a liar delays nobody: two others that agree are believed", () => {
  const witnesses = new RowWitnesses();

  expect(witnesses.told(1, 0, row(6))).toBe(false);
  expect(witnesses.told(2, 0, row(7))).toBe(false);
  expect(witnesses.told(3, 0, row(7, 99))).toBe(false);
  expect(witnesses.told(4, 0, row(7))).toBe(true);
});
