// What a host tells under the fleet's signature survives the way, and garbage is no answer.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { plainRow } from "../../src/engine/core/manifest.ts";
import { SIGNED_ROWS } from "../../src/net/wire/signed-rows.ts";
import {
  decodeTold,
  encodeTold,
  isWholeGroup,
  TOLD_GROUPS_MAX,
  type ToldManifest,
} from "../../src/net/wire/signatures-api.ts";
import { FrameEncoder } from "../../src/net/wire/swarm-frames.ts";

const encoder = new FrameEncoder();
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

const groups = fc
  .uniqueArray(fc.integer({ min: 0, max: 1_000 }), { maxLength: TOLD_GROUPS_MAX })
  .chain((numbers) =>
    fc.tuple(
      ...numbers.map((group) =>
        fc
          .record({
            signature: bytes(64),
            digests: fc.array(bytes(32), { maxLength: SIGNED_ROWS }),
          })
          .map(({ signature, digests }) => ({
            ...{ group, signature },
            rows: digests.map((digest, i) => {
              return { piece: group * SIGNED_ROWS + i, row: plainRow(9, digest) };
            }),
          })),
      ),
    ),
  );
const told: fc.Arbitrary<ToldManifest> = fc.record({
  validator: fc.option(fc.string({ maxLength: 100 })),
  length: fc.option(fc.nat()),
  pieceLength: fc.integer({ min: 1, max: 1 << 26 }),
  groups,
  whole: fc.option(
    fc.record({
      ...{ length: fc.nat(), md5: fc.constant("0a".repeat(16)) },
      ...{ sha256: fc.option(fc.constant("0b".repeat(32))) },
      signature: bytes(64).map((signature) => signature.toBase64()),
    }),
  ),
});

test("what is told is read as it was written", () => {
  fc.assert(
    fc.property(told, (manifest) => {
      expect(decodeTold(encodeTold(manifest, encoder))).toEqual(manifest);
    }),
    { numRuns: 60 },
  );
});

test("garbage, and an answer that lost or changed a byte, is read without a failure", () => {
  fc.assert(
    fc.property(told, fc.nat(), fc.uint8Array({ maxLength: 200 }), (manifest, at, garbage) => {
      const answer = encodeTold(manifest, encoder);
      const changed = answer.slice();
      changed[at % changed.length]! ^= 0x15;

      expect(decodeTold(garbage)).toBeNull();
      expect(decodeTold(answer.subarray(0, answer.length - 1))).toBeNull();
      expect(() => decodeTold(changed)).not.toThrow();
    }),
    { numRuns: 100 },
  );
});

test("a group is whole with the rows of all its pieces, and of no others", () => {
  const row = plainRow(9, new Uint8Array(32));
  const group = (from: number, count: number) => ({
    ...{ group: 1, signature: new Uint8Array(64) },
    rows: Array.from({ length: count }, (_, i) => ({ piece: from + i, row })),
  });

  expect(isWholeGroup(group(64, 64), 200)).toBe(true);
  expect(isWholeGroup(group(64, 6), 70)).toBe(true);
  expect(isWholeGroup(group(64, 63), 200)).toBe(false);
  expect(isWholeGroup(group(65, 64), 200)).toBe(false);
  expect(isWholeGroup(group(64, 64), 70)).toBe(false);
  expect(isWholeGroup(group(64, 0), 64)).toBe(false);
});
