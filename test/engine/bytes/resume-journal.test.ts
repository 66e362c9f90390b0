// The note beside an unfinished output: what was written comes back, anything else is refused.

import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  encodeResumeJournal,
  parseResumeJournal,
  type ResumeJournal,
} from "../../../src/engine/bytes/resume-journal.ts";

const journal: fc.Arbitrary<ResumeJournal> = fc
  .record({
    content: fc.stringMatching(/^[0-9a-f]{64}$/),
    validator: fc.option(fc.string({ maxLength: 40 }), { nil: null }),
    length: fc.constant(6_400),
    pieceLength: fc.constantFrom(64, 100, 1 << 20),
  })
  .chain((head) =>
    fc
      .dictionary(
        fc.nat(Math.ceil(head.length / head.pieceLength) - 1).map(String),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
      )
      .map((digests) => ({
        ...head,
        pieces: new Map(Object.entries(digests).map(([index, digest]) => [Number(index), digest])),
      })),
  );

test("a note comes back as it was written", () => {
  fc.assert(
    fc.property(journal, (given) =>
      expect(parseResumeJournal(encodeResumeJournal(given))).toEqual(given),
    ),
  );
});

test("a note that was torn or changed anywhere is refused", () => {
  fc.assert(
    fc.property(journal, fc.nat(), fc.integer({ min: 1, max: 255 }), (given, at, flip) => {
      const bytes = Buffer.from(encodeResumeJournal(given));
      expect(parseResumeJournal(bytes.subarray(0, at % bytes.length).toString())).toBeNull();
      bytes[at % bytes.length]! ^= flip;
      expect(parseResumeJournal(bytes.toString())).toBeNull();
    }),
  );
});

test("any other text is refused, whatever it claims", () => {
  fc.assert(fc.property(fc.string(), (text) => expect(parseResumeJournal(text)).toBeNull()));
});

/** A note as our own writer would seal it, whatever it says. */
function sealed(note: unknown): string {
  const text = `df-resume 1\n${JSON.stringify(note)}\n`;
  return `${text}${new Bun.CryptoHasher("sha256").update(text).digest("hex")}\n`;
}

const EMPTY = {
  content: "0".repeat(64),
  validator: null,
  length: 0,
  pieceLength: 1,
  have: "",
  digests: "",
};

test.each([
  ["a content that is no digest", { content: "0".repeat(63) }],
  ["a validator that is a number", { validator: 5 }],
  ["a validator without end", { validator: "x".repeat(1025) }],
  ["no validator at all", { validator: undefined }],
  ["a negative length", { length: -1 }],
  ["a length that is text", { length: "0" }],
  ["a length without the bitmap for it", { length: 2 ** 52 }],
  ["pieces of no length", { pieceLength: 0 }],
  ["pieces of half a byte", { pieceLength: 0.5 }],
  ["a bitmap that is null", { have: null }],
  ["digests of pieces that it has not", { digests: "AAAA" }],
])("a sealed note with %s is refused", (_, lie) => {
  expect(parseResumeJournal(sealed(EMPTY))).not.toBeNull();
  expect(parseResumeJournal(sealed({ ...EMPTY, ...lie }))).toBeNull();
});

test("a sealed note that is no object is refused", () => {
  for (const note of [null, 1, "text", []]) expect(parseResumeJournal(sealed(note))).toBeNull();
});
