// The binary frames of the swarm channel: what is encoded decodes to the same, and nothing else
// decodes at all.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";

import { plainRow, type PieceRow, wireFormOf } from "../../src/engine/core/manifest.ts";
import type { ReceivedAssignment } from "../../src/engine/core/download-events.ts";
import type { PieceOutcome, Pull } from "../../src/engine/core/scheduler-events.ts";
import {
  ASSIGNMENTS_MAX,
  decodeAssign,
  decodeFrame,
  decodePull,
  decodeRows,
  FrameEncoder,
  type NumberedRow,
  PULL_ENTRIES_MAX,
} from "../../src/net/wire/swarm-frames.ts";

const uint16 = fc.integer({ min: 0, max: 0xffff });
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });

const pulls: fc.Arbitrary<Pull> = fc.record({
  slots: uint16,
  reports: fc.array(
    fc.record({
      piece: uint32,
      parent: uint32,
      outcome: fc.integer({ min: 0, max: 5 }).map((outcome) => outcome as PieceOutcome),
      elapsedMs: uint32,
    }),
    { maxLength: 40 },
  ),
  overdue: fc.array(uint32, { maxLength: 40 }),
});

const addresses = fc
  .array(fc.integer({ min: 0x21, max: 0x7e }), { minLength: 1, maxLength: 60 })
  .map((codes) => String.fromCharCode(...codes));

const assignmentLists: fc.Arbitrary<ReceivedAssignment[]> = fc.array(
  fc.record({
    piece: uint32,
    count: fc.integer({ min: 1, max: 0xffff }),
    parent: uint32,
    address: addresses,
  }),
  { maxLength: 40 },
);

function bytesOf(length: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: length, maxLength: length });
}

function sealedRow(digest: Uint8Array): PieceRow {
  const seal = { nonce: new Uint8Array(12).fill(1), tag: new Uint8Array(16).fill(2) };
  const row = { zstdLevel: 0, wireLength: 5, plainLength: 5, seal };
  return { ...row, form: wireFormOf(row), wireSha256: digest, plainSha256: digest };
}

const rowsOfAllForms: fc.Arbitrary<PieceRow> = fc
  .record({
    zstdLevel: fc.integer({ min: 0, max: 22 }),
    lengths: fc.tuple(uint32, uint32),
    digests: fc.tuple(bytesOf(32), bytesOf(32)),
    seal: fc.option(fc.record({ nonce: bytesOf(12), tag: bytesOf(16) })),
  })
  .map(({ zstdLevel, lengths, digests: [wireSha256, plainSha256], seal }) => {
    const wireLength = Math.min(...lengths);
    if (zstdLevel === 0 && seal === null) return plainRow(wireLength, wireSha256);
    const row = { zstdLevel, wireLength, plainLength: Math.max(...lengths), seal };
    return { ...row, form: wireFormOf(row), wireSha256, plainSha256 };
  });

const rowLists: fc.Arbitrary<NumberedRow[]> = fc.array(
  fc.record({ piece: uint32, row: rowsOfAllForms }),
  { maxLength: 40 },
);

describe("a frame decodes to what was encoded", () => {
  const encoder = new FrameEncoder();

  test("pull", () => {
    fc.assert(
      fc.property(uint32, pulls, (handle, pull) => {
        expect(decodePull(encoder.pull(handle, pull))).toEqual({ kind: "pull", handle, pull });
      }),
    );
  });

  test("assign", () => {
    fc.assert(
      fc.property(uint32, assignmentLists, (handle, assignments) => {
        const decoded = decodeAssign(encoder.assign(handle, assignments));
        expect(decoded).toEqual({ kind: "assign", handle, assignments });
      }),
    );
  });

  test("rows, whose digests outlive the frame", () => {
    fc.assert(
      fc.property(uint32, rowLists, (handle, rows) => {
        const frame = encoder.rows(handle, rows);
        const decoded = decodeRows(frame);
        frame.fill(0);
        expect(decoded).toEqual({ kind: "rows", handle, rows });
      }),
    );
  });
});

describe("a frame is refused whole", () => {
  const encoder = new FrameEncoder();
  const frames = (): Uint8Array[] => [
    encoder
      .pull(7, {
        slots: 3,
        reports: [{ piece: 1, parent: 2, outcome: 0, elapsedMs: 5 }],
        overdue: [9],
      })
      .slice(),
    encoder.assign(7, [{ piece: 1, count: 2, parent: 3, address: "10.0.0.7:65002" }]).slice(),
    encoder
      .rows(7, [
        { piece: 1, row: plainRow(5, new Uint8Array(32)) },
        { piece: 2, row: sealedRow(new Uint8Array(32)) },
      ])
      .slice(),
    encoder.signed(7, [{ group: 3, signature: new Uint8Array(64) }]).slice(),
  ];

  test("when a byte is missing or left over", () => {
    for (const frame of frames()) {
      expect(decodeFrame(frame)).not.toBeNull();
      for (let length = 0; length < frame.length; length++)
        expect(decodeFrame(frame.subarray(0, length))).toBeNull();
      expect(decodeFrame(Uint8Array.from([...frame, 0]))).toBeNull();
    }
  });

  test("when it announces more entries than it may or has", () => {
    const [pull, assign, rows] = frames() as [Uint8Array, Uint8Array, Uint8Array];
    for (const frame of [pull, assign, rows]) {
      const at = frame === pull ? 7 : 5;
      frame[at] = 0xff;
      frame[at + 1] = 0xff;
      expect(decodeFrame(frame)).toBeNull();
    }
  });

  test("when an outcome, form, count or address is out of range", () => {
    const [pull, assign, rows] = frames() as [Uint8Array, Uint8Array, Uint8Array];
    pull[11 + 8] = 6;
    assign[7 + 4] = 0;
    rows[7 + 4] = 1;
    const spaced = frames()[1]!;
    spaced[spaced.length - 1] = 0x20;
    for (const frame of [pull, assign, rows, spaced]) expect(decodeFrame(frame)).toBeNull();
  });

  test("when it is garbage, and never with an exception", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const decoded = decodeFrame(bytes);
        if (decoded === null) return;
        expect([1, 2, 3]).toContain(bytes[0]!);
      }),
      { numRuns: 2_000 },
    );
  });
});

test("an encoder refuses more entries than a decoder takes", () => {
  const encoder = new FrameEncoder();
  const overdue = Array.from({ length: PULL_ENTRIES_MAX + 1 }, (_, i) => i);
  const assignment = { piece: 0, count: 1, parent: 0, address: "a:1" };
  const assignments = Array.from({ length: ASSIGNMENTS_MAX + 1 }, () => assignment);

  expect(() => encoder.pull(1, { slots: 1, reports: [], overdue })).toThrow(RangeError);
  expect(() => encoder.assign(1, assignments)).toThrow(RangeError);
});
