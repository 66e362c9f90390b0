// How much of a source waits in memory while pieces are made: bounded, whatever the disk does. And
// what of a sealed content is written, without a wait.

import { expect, test } from "bun:test";
import { availableParallelism } from "node:os";
import { randomPayload } from "../../bench/harness/counting-source.ts";
import { digestNow } from "../../src/engine/bytes/digest.ts";
import { decodePiece } from "../../src/engine/bytes/wire-form.ts";
import type { PieceRow } from "../../src/engine/core/manifest.ts";
import { PieceMaker, type PieceMakerOptions } from "../../src/roles/worker/piece-maker.ts";
import { PieceMakers } from "../../src/roles/worker/piece-makers.ts";

const PIECE = 64 << 10;
const MAKERS_MAX = Math.max(1, availableParallelism() - 1);
const NO_SIGNAL = new AbortController().signal;

interface Written {
  offset: number;
  length: number;
}

const KEY = digestNow("sha256", "a content key");

/** A maker of one content that notes what it writes; `disk` holds each write up. */
function makerFixture(overrides: Partial<PieceMakerOptions> & { disk?: () => Promise<void> } = {}) {
  const { disk = async () => {}, ...options } = overrides;
  const written: Written[] = [];
  /** What the data file holds. */
  const file = new Uint8Array(100 * PIECE);
  const made = new Map<number, PieceRow>();
  const makers = overrides.makers ?? new PieceMakers();
  const maker = new PieceMaker({
    ...{ contentId: "c", layout: { length: 100 * PIECE, pieceLength: PIECE } },
    ...{ rows: new Map(), compresses: true, key: null, makers },
    write: async (offset, bytes) => {
      await disk();
      written.push({ offset, length: bytes.length });
      file.set(bytes, offset);
    },
    made: (index, row) => void made.set(index, row),
    failed: (error) => {
      throw error;
    },
    ...options,
  });
  /** The piece as whoever has its row and key gets it. */
  const decoded = (index: number) => {
    const row = made.get(index)!;
    const wire = file.slice(index * PIECE, index * PIECE + row.wireLength);
    return decodePiece(wire, row, { contentId: "c", index, key: options.key ?? null });
  };
  return { maker, makers, written, made, file, decoded };
}

/** A whole piece, as a source sends it. */
async function give(maker: PieceMaker, index: number, bytes: Uint8Array, signal = NO_SIGNAL) {
  for (let at = 0; at < bytes.length; at += 16 << 10) {
    await maker.take(index * PIECE + at, bytes.subarray(at, at + (16 << 10)), signal);
  }
  maker.finish(index, bytes.length, digestNow("sha256", bytes));
}

const words = new TextEncoder().encode("a piece for every peer ".repeat(3_000)).subarray(0, PIECE);

test("a source is held up when as many pieces wait as are made, and goes on when one is", async () => {
  const disk = Promise.withResolvers<void>();
  const { maker, made } = makerFixture({ disk: () => disk.promise });
  let given = 0;
  const giving = (async () => {
    for (let index = 0; index < 50; index++) {
      await give(maker, index, words);
      given = index + 1;
    }
  })();

  await Bun.sleep(100);
  const givenWhileStuck = given;
  disk.resolve();
  await giving;
  await maker.settled();

  expect(givenWhileStuck).toBe(2 * MAKERS_MAX);
  expect(made.size).toBe(50);
});

test("an abort ends the wait for a maker", async () => {
  const stuck = Promise.withResolvers<void>();
  const makers = new PieceMakers();
  const busy = Array.from({ length: 2 * MAKERS_MAX }, () => makers.run(() => stuck.promise));
  const stop = new AbortController();
  const { maker } = makerFixture({ makers });

  const giving = give(maker, 0, words, stop.signal).catch((error: unknown) => error);
  stop.abort(new Error("stop"));

  expect(await giving).toMatchObject({ message: "stop" });
  stuck.resolve();
  await Promise.all(busy);
});

test("once pieces did not shrink for a while, half of them never wait in memory", async () => {
  const { maker, written, made } = makerFixture();

  for (let index = 0; index < 50; index++) await give(maker, index, randomPayload(PIECE));
  await maker.settled();

  expect(made.size).toBe(50);
  const whole = written.filter(({ length }) => length === PIECE).length;
  // Those that began before the first verdicts were there, and every other one from then on.
  expect(whole).toBeLessThanOrEqual(4 + 2 * MAKERS_MAX + 50 / 2);
});

test("a piece that begins anew, as in a repeated stream, is made of its last bytes", async () => {
  const { maker, made } = makerFixture();

  await maker.take(0, randomPayload(16 << 10), NO_SIGNAL);
  await give(maker, 0, words);
  await maker.settled();

  expect(made.get(0)).toMatchObject({
    form: "compressed",
    plainSha256: digestNow("sha256", words),
  });
});

test("pieces of many contents leave buffers for a few, for as long as others are made", async () => {
  const makers = new PieceMakers();
  const holdAll = () =>
    Promise.all(
      Array.from({ length: 20 }, (_, index) => makers.hold((4 << 20) + index, NO_SIGNAL)),
    );
  const other = await makers.hold(PIECE, NO_SIGNAL);
  const first = await holdAll();
  const firstBytes = new Set(first.map(({ bytes }) => bytes));
  for (const piece of first) piece.release(true);

  const second = await holdAll();
  for (const piece of [...second, other]) piece.release(true);
  const third = await holdAll();

  // 64 MiB of 80.
  expect(second.filter(({ bytes }) => firstBytes.has(bytes))).toHaveLength(15);
  const former = new Set([...firstBytes, ...second.map(({ bytes }) => bytes)]);
  expect(third.filter(({ bytes }) => former.has(bytes))).toHaveLength(0);
});

test("what is sealed and not compressed is written as it comes, sealed, and never waits in memory", async () => {
  const stuck = Promise.withResolvers<void>();
  const makers = new PieceMakers();
  const busy = Array.from({ length: 2 * MAKERS_MAX }, () => makers.run(() => stuck.promise));
  const { maker, made, written, file, decoded } = makerFixture({
    ...{ makers, key: KEY, compresses: false },
  });

  for (let index = 0; index < 5; index++) await give(maker, index, words);
  stuck.resolve();
  await Promise.all(busy);

  expect([...made.values()].map(({ form }) => form)).toEqual(Array(5).fill("sealed"));
  expect(written.every(({ length }) => length === 16 << 10)).toBe(true);
  expect(Buffer.from(file).includes("for every peer")).toBe(false);
  for (const index of made.keys()) expect(await decoded(index)).toEqual(words);
});

test("T-23: a sealed piece that begins anew has another nonce, and its row says what came last", async () => {
  const { maker, made, file, decoded } = makerFixture({ key: KEY, compresses: false });
  await maker.take(0, words.subarray(0, 16 << 10), NO_SIGNAL);
  const firstTry = file.slice(0, 16 << 10);

  await give(maker, 0, words);

  expect(await decoded(0)).toEqual(words);
  expect(file.subarray(0, 16 << 10)).not.toEqual(firstTry);
  expect(made.get(0)!.wireSha256).toEqual(digestNow("sha256", file.subarray(0, PIECE)));
});

test("a sealed content that does not shrink is sealed as it comes or looked at first, none of it plain", async () => {
  const { maker, made, written, decoded } = makerFixture({ key: KEY });
  const pieces = Array.from({ length: 40 }, () => randomPayload(PIECE));

  for (const [index, bytes] of pieces.entries()) await give(maker, index, bytes);
  await maker.settled();

  expect([...made.values()].every(({ form }) => form === "sealed")).toBe(true);
  expect(new Set(written.map(({ length }) => length))).toEqual(new Set([PIECE, 16 << 10]));
  for (const [index, bytes] of pieces.entries()) expect(await decoded(index)).toEqual(bytes);
});

test("the last piece of a sealed content whose length is not known is sealed at its own length", async () => {
  const { maker, made, decoded } = makerFixture({
    ...{ key: KEY, compresses: false, layout: { length: null, pieceLength: PIECE } },
  });

  await give(maker, 0, words);
  await give(maker, 1, words.subarray(0, 1000));
  await maker.settled();

  expect(made.get(1)).toMatchObject({ form: "sealed", plainLength: 1000 });
  expect(await decoded(1)).toEqual(words.subarray(0, 1000));
});

test("a piece of a sealed content without its first bytes is a bug, not a plain write", async () => {
  const { maker, written } = makerFixture({ key: KEY, compresses: false });

  const taken = maker.take(1000, words.subarray(1000, 2000), NO_SIGNAL);

  await expect(taken).rejects.toThrow("no plain byte");
  expect(written).toEqual([]);
});
