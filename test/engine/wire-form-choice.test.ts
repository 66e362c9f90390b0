// Which pieces are compressed, on bytes of every kind: nothing that shrinks is missed for long, and
// what does not shrink costs next to nothing.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { deflateSync, gzipSync } from "node:zlib";
import { shrinksInParts } from "../../src/engine/bytes/compression.ts";
import { looksRandom, SAMPLE_BYTES } from "../../src/engine/core/byte-sample.ts";
import { compressedFormatOf } from "../../src/engine/core/compressed-formats.ts";
import { CompressionLevelChoice } from "../../src/engine/core/compression-level.ts";
import {
  type FormAttempt,
  WireFormChoice,
  worthwhileLength,
} from "../../src/engine/core/wire-form-choice.ts";
import { randomPayload } from "../../bench/harness/counting-source.ts";

const PIECE = 64 << 10;
const WORDS = "the seed reads a source once and every peer passes pieces on to others ".split(" ");

/** Words in an order that does not repeat. */
function text(length: number, seed = 1): Uint8Array {
  let state = seed;
  let result = "";
  while (result.length < length) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    result += `${WORDS[(state >>> 8) % WORDS.length]}${state % 97} `;
  }
  return new TextEncoder().encode(result).subarray(0, length);
}

/** Entropy-coded data behind a JPEG's first bytes. */
function jpeg(length: number): Uint8Array {
  const bytes = randomPayload(length);
  bytes.set([0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10, 0x4a, 0x46, 0x49, 0x46]);
  return bytes;
}

/** The real thing: this process's own program. */
async function binary(length: number): Promise<Uint8Array> {
  return Bun.file(process.execPath).slice(0, length).bytes();
}

function joined(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

interface Outcome {
  wireShare: number;
  looks: number;
  /** Pieces that were compressed, and those of them that did not shrink. */
  attempts: number;
  inVain: number;
}

/** What a maker does, without its threads. */
function form(bytes: Uint8Array, pieceLength = PIECE): Outcome {
  const choice = new WireFormChoice();
  choice.begins(bytes.subarray(0, 1024));
  const outcome = { wireShare: 0, looks: 0, attempts: 0, inVain: 0 };
  let wire = 0;
  for (let at = 0; at < bytes.length; at += pieceLength) {
    const piece = bytes.subarray(at, at + pieceLength);
    wire += piece.length;
    if (!choice.wantsPiece()) continue;
    outcome.looks++;
    const attempt = choice.look(piece);
    if (attempt === "leave") continue;
    if (attempt === "gamble" && !shrinksInParts(piece)) {
      choice.tried(attempt, false);
      continue;
    }
    outcome.attempts++;
    const packed = Bun.zstdCompressSync(piece, { level: 1 }).length;
    const shrank = packed <= worthwhileLength(piece.length);
    if (shrank) wire += packed - piece.length;
    else outcome.inVain++;
    choice.tried(attempt, shrank);
  }
  return { ...outcome, wireShare: wire / bytes.length };
}

/** Were every piece compressed that shrinks by a tenth. */
function bestShare(bytes: Uint8Array, pieceLength = PIECE): number {
  let wire = 0;
  for (let at = 0; at < bytes.length; at += pieceLength) {
    const piece = bytes.subarray(at, at + pieceLength);
    const packed = Bun.zstdCompressSync(piece, { level: 1 }).length;
    wire += packed <= worthwhileLength(piece.length) ? packed : piece.length;
  }
  return wire / bytes.length;
}

test("text is compressed, every piece of it", () => {
  const outcome = form(text(100 * PIECE));

  expect(outcome).toMatchObject({ attempts: 100, inVain: 0 });
  expect(outcome.wireShare).toBeLessThan(0.5);
});

test("an executable comes out as small as if every piece were tried", async () => {
  const program = await binary(200 * PIECE);

  expect(form(program).wireShare).toBeLessThan(bestShare(program) + 0.02);
});

test("of random bytes every other piece is looked at, and none is compressed", () => {
  const outcome = form(randomPayload(400 * PIECE));

  expect(outcome.wireShare).toBe(1);
  expect(outcome.looks).toBeLessThanOrEqual(4 + 400 / 2);
  expect(outcome.attempts).toBe(0);
});

test.each([
  ["jpeg", jpeg(300 * PIECE)],
  ["gzip", gzipSync(joined(randomPayload(200 * PIECE), text(100 * PIECE)))],
])("a content that begins as %s costs one look at its first bytes", (_, bytes) => {
  expect(form(new Uint8Array(bytes))).toMatchObject({ wireShare: 1, looks: 0, attempts: 0 });
});

test("compressed bytes without magic at their start are found out by their sample", () => {
  const body = new Uint8Array(deflateSync(text(100 * PIECE))).subarray(16);
  const outcome = form(body, 16 << 10);

  expect(outcome.wireShare).toBeGreaterThan(0.99);
  expect(outcome.inVain).toBeLessThanOrEqual((0.1 * body.length) / (16 << 10));
});

test("a zip whose members are stored as they are is compressed after a few pieces", () => {
  const zip = joined(new Uint8Array([0x50, 0x4b, 0x03, 0x04]), text(300 * PIECE));

  expect(form(zip).wireShare).toBeLessThan(0.5);
});

test("a tar of mixed files loses few pieces where its character changes", async () => {
  const program = await binary(100 * PIECE);
  const tar = joined(
    program,
    jpeg(80 * PIECE),
    text(80 * PIECE),
    randomPayload(60 * PIECE),
    program,
  );

  const outcome = form(tar);

  // At each change to what shrinks, three of 420 pieces at most go plain.
  expect(outcome.wireShare).toBeLessThan(bestShare(tar) + 0.03);
  expect(outcome.inVain).toBeLessThanOrEqual(30);
});

test("pieces that look random and shrink all the same are compressed", () => {
  // The same random 4 KiB again and again: no byte count shows it.
  const run = randomPayload(4 << 10);
  const repeats = joined(...Array.from({ length: 16 * 100 }, () => run));

  expect(looksRandom(repeats.subarray(0, PIECE))).toBe(true);
  expect(form(repeats).wireShare).toBeLessThan(0.15);
});

test("a piece whose half is random and half is text is no random piece", () => {
  expect(looksRandom(joined(randomPayload(PIECE / 2), text(PIECE / 2)))).toBe(false);
});

test("what looks random depends on the sample alone, and random pieces of any length look so", () => {
  fc.assert(
    fc.property(fc.integer({ min: 4 << 10, max: 200 << 10 }), (length) => {
      const piece = randomPayload(length);
      expect(looksRandom(piece)).toBe(true);
      expect(looksRandom(piece.slice())).toBe(true);
    }),
  );
});

test("any bytes give a verdict, also none", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2 * SAMPLE_BYTES }), (bytes) => {
      expect(typeof looksRandom(bytes)).toBe("boolean");
      expect(["stream", "container", null]).toContain(compressedFormatOf(bytes));
    }),
  );
});

test("whatever comes, a content that shrinks again is found within two pieces", () => {
  const verdicts = fc.constantFrom<FormAttempt>("leave", "compress", "gamble");
  fc.assert(
    fc.property(fc.array(fc.tuple(verdicts, fc.boolean()), { maxLength: 60 }), (history) => {
      const choice = new WireFormChoice();
      for (const [attempt, shrank] of history) {
        if (choice.wantsPiece() && attempt !== "leave") choice.tried(attempt, shrank);
      }
      const wanted = [1, 2].map(() => choice.wantsPiece());
      expect(wanted).toContain(true);
    }),
  );
});

const DEMAND = { linkRate: null, freeCores: 1 };

test("the level follows what a source sends", () => {
  const levels = new CompressionLevelChoice();

  const chosen = [null, 400e6, 125e6, 80e6, 25e6].map((sourceRate) =>
    levels.levelFor({ ...DEMAND, sourceRate }),
  );

  expect(chosen).toEqual([1, 1, 1, 3, 6]);
});

test("a slow link gives time for a higher level, free cores too, a slower machine does not", () => {
  const levels = new CompressionLevelChoice();
  const fast = { ...DEMAND, sourceRate: 400e6 };

  expect(levels.levelFor({ ...fast, linkRate: 12e6 })).toBe(6);
  expect(levels.levelFor({ ...fast, freeCores: 12 })).toBe(6);
  for (let piece = 0; piece < 50; piece++) levels.measured(1, 1e6, 20_000);

  expect(levels.levelFor({ ...fast, linkRate: 12e6 })).toBe(1);
});

test("of a higher rate the level is never higher", () => {
  const rate = fc.integer({ min: 1, max: 2 ** 31 });
  fc.assert(
    fc.property(rate, rate, fc.double({ min: 0.5, max: 64, noNaN: true }), (a, b, freeCores) => {
      const levels = new CompressionLevelChoice();
      const levelOf = (sourceRate: number) =>
        levels.levelFor({ sourceRate, linkRate: null, freeCores });
      expect(levelOf(Math.max(a, b))).toBeLessThanOrEqual(levelOf(Math.min(a, b)));
    }),
  );
});
