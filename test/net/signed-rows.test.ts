// What the fleet signs of a manifest: any change of any field, and any other key, breaks it.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { generateKeyPairSync } from "node:crypto";
import { Manifest, plainRow, wireFormOf, type PieceRow } from "../../src/engine/core/manifest.ts";
import {
  areSigned,
  groupCountOf,
  groupOf,
  isSignedWhole,
  rowsOfGroup,
  SIGNED_ROWS,
  signRows,
  signWhole,
  type RowGroup,
  type WholeContent,
} from "../../src/net/wire/signed-rows.ts";

const keys = generateKeyPairSync("ed25519");
const others = generateKeyPairSync("ed25519");

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const HEX_DIGITS = Array.from("0123456789abcdef");
const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(...HEX_DIGITS), minLength: length, maxLength: length });

/** Rows as a seed makes them: plain, compressed, sealed, or both. */
const rowShapes: fc.Arbitrary<PieceRow> = fc
  .record({
    ...{ zstdLevel: fc.integer({ min: 0, max: 22 }), wireLength: fc.integer({ min: 1, max: 1e6 }) },
    ...{ more: fc.integer({ min: 0, max: 1e6 }), wireSha256: bytes(32), plainSha256: bytes(32) },
    seal: fc.option(fc.record({ nonce: bytes(12), tag: bytes(16) })),
  })
  .map(({ more, ...row }) => {
    const form = wireFormOf(row);
    if (form === "plain") return plainRow(row.wireLength, row.wireSha256);
    return { ...row, form, plainLength: row.wireLength + more };
  });

const groups: fc.Arbitrary<RowGroup> = fc
  .record({
    contentId: hex(64),
    pieceLength: fc.integer({ min: 1, max: 1 << 26 }),
    group: fc.integer({ min: 0, max: 16_383 }),
    rows: fc.array(rowShapes, { minLength: 1, maxLength: SIGNED_ROWS }),
  })
  .map(({ rows, ...names }) => {
    const first = names.group * SIGNED_ROWS;
    return { ...names, rows: rows.map((row, i) => ({ piece: first + i, row })) };
  });

const wholes: fc.Arbitrary<WholeContent> = fc.record({
  ...{ contentId: hex(64), taskId: hex(64), md5: hex(32), sha256: fc.option(hex(64)) },
  length: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  pieceLength: fc.integer({ min: 1, max: 1 << 26 }),
  isPrivate: fc.boolean(),
  validator: fc.option(fc.string({ unit: "binary", maxLength: 40 })),
});

test("a group that was signed verifies, and with another one's fields, rows or key it does not", () => {
  fc.assert(
    fc.property(groups, groups, (group, other) => {
      const signature = signRows(group, keys.privateKey);
      fc.pre(group.contentId !== other.contentId);

      expect(areSigned(group, signature, keys.publicKey)).toBe(true);
      expect(areSigned(group, signature, others.publicKey)).toBe(false);
      const changes: RowGroup[] = [
        { ...group, contentId: other.contentId },
        { ...group, pieceLength: group.pieceLength + 1 },
        { ...group, group: group.group + 1 },
        { ...group, rows: other.rows },
        { ...group, rows: group.rows.slice(1) },
        { ...group, rows: [...group.rows, group.rows[0]!] },
      ];
      for (const changed of changes)
        expect(areSigned(changed, signature, keys.publicKey)).toBe(false);
    }),
    { numRuns: 60 },
  );
});

/** Every field of a row that a frame carries, changed. */
function changesOf(row: PieceRow): PieceRow[] {
  const flip = (digest: Uint8Array): Uint8Array =>
    digest.map((byte, i) => (i === 7 ? byte ^ 1 : byte));
  const longer = { ...row, wireLength: row.wireLength + 1, wireSha256: flip(row.wireSha256) };
  const all = [longer, { ...row, wireSha256: flip(row.wireSha256) }];
  if (row.form === "plain") return all;
  all.push({ ...row, plainLength: row.plainLength + 1 });
  all.push({ ...row, plainSha256: flip(row.plainSha256) });
  all.push({ ...row, zstdLevel: (row.zstdLevel % 22) + 1 });
  if (row.seal === null) return all;
  const { nonce, tag } = row.seal;
  all.push(
    { ...row, seal: { nonce: flip(nonce), tag } },
    { ...row, seal: { nonce, tag: flip(tag) } },
  );
  return all;
}

test("a change of any field of any row breaks the signature of its group", () => {
  fc.assert(
    fc.property(groups, fc.nat(), (group, which) => {
      const signature = signRows(group, keys.privateKey);
      const at = which % group.rows.length;

      for (const row of changesOf(group.rows[at]!.row)) {
        const rows = group.rows.with(at, { ...group.rows[at]!, row });
        // Plain level 1 and compressed level 1 are different rows; equal ones are no change.
        if (Bun.deepEquals(rows, group.rows)) continue;
        expect(areSigned({ ...group, rows }, signature, keys.publicKey)).toBe(false);
      }
    }),
    { numRuns: 60 },
  );
});

test("a change of any field breaks the signature of the whole", () => {
  fc.assert(
    fc.property(wholes, wholes, (whole, other) => {
      const signature = signWhole(whole, keys.privateKey);

      expect(isSignedWhole(whole, signature, keys.publicKey)).toBe(true);
      expect(isSignedWhole(whole, signature, others.publicKey)).toBe(false);
      for (const field of Object.keys(whole) as (keyof WholeContent)[]) {
        if (whole[field] === other[field]) continue;
        const changed = { ...whole, [field]: other[field] };
        expect(isSignedWhole(changed, signature, keys.publicKey)).toBe(false);
      }
    }),
    { numRuns: 200 },
  );
});

test("no validator can be made to look like another field", () => {
  const whole: WholeContent = {
    ...{ contentId: "a".repeat(64), taskId: "b".repeat(64), length: 5, pieceLength: 4 },
    ...{ md5: "c".repeat(32), sha256: null, isPrivate: false, validator: '"1"\nprivate\n"2"' },
  };
  const signature = signWhole(whole, keys.privateKey);

  const twisted = { ...whole, isPrivate: true, validator: '"2"' };
  expect(isSignedWhole(twisted, signature, keys.publicKey)).toBe(false);
  expect(isSignedWhole({ ...whole, validator: null }, signature, keys.publicKey)).toBe(false);
});

test("a signature of any other length or content is none", () => {
  fc.assert(
    fc.property(groups, fc.uint8Array({ maxLength: 80 }), (group, signature) => {
      expect(areSigned(group, signature, keys.publicKey)).toBe(false);
    }),
    { numRuns: 40 },
  );
});

test("a group is known with its last row; the last one is short where the length says so", () => {
  const manifest = new Manifest({ length: null, pieceLength: 10 });
  const row = plainRow(10, new Uint8Array(32));
  for (let piece = 0; piece < SIGNED_ROWS + 2; piece++) {
    if (piece !== 5) manifest.append(piece, row);
  }

  expect(rowsOfGroup(manifest, 0)).toBeNull();
  manifest.append(5, row);
  expect(rowsOfGroup(manifest, 0)!.map(({ piece }) => piece)).toEqual(
    Array.from({ length: SIGNED_ROWS }, (_, i) => i),
  );
  expect(rowsOfGroup(manifest, 1)).toBeNull();
  manifest.close((SIGNED_ROWS + 2) * 10);
  expect(rowsOfGroup(manifest, 1)!.map(({ piece }) => piece)).toEqual([64, 65]);
  expect(rowsOfGroup(manifest, 2)).toBeNull();
});

test("pieces 0 to 63 are group 0, and a content of 65 pieces has two", () => {
  expect([0, 63, 64, 127, 128].map(groupOf)).toEqual([0, 0, 1, 1, 2]);
  expect([0, 1, 64, 65, 128].map(groupCountOf)).toEqual([0, 1, 1, 2, 2]);
});
