// The trial of parts that tells whether a piece which looks random is worth its compression.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { randomPayload } from "../../../bench/harness/counting-source.ts";
import { shrinksInParts } from "../../../src/engine/bytes/compression.ts";

const MIB = 1 << 20;

function joined(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

test("random pieces of any length do not shrink in parts", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 512 << 10 }), (length) => {
      expect(shrinksInParts(randomPayload(length))).toBe(false);
    }),
    { numRuns: 50 },
  );
});

test.each([
  ["the same random run again and again", joined(...Array(256).fill(randomPayload(4 << 10)))],
  ["zeros behind random bytes", joined(randomPayload((3 * MIB) / 4), new Uint8Array(MIB / 4))],
  [
    "zeros between random bytes",
    joined(randomPayload(MIB / 4), new Uint8Array(MIB / 2), randomPayload(MIB / 4)),
  ],
])("a piece of %s shrinks in parts", (_, piece) => {
  expect(shrinksInParts(piece)).toBe(true);
});
