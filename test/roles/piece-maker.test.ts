// How much of a source waits in memory while pieces are made: bounded, whatever the disk does.

import { expect, test } from "bun:test";
import { availableParallelism } from "node:os";
import { randomPayload } from "../../bench/harness/counting-source.ts";
import { digestNow } from "../../src/engine/bytes/digest.ts";
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

/** A maker of one content that notes what it writes; `disk` holds each write up. */
function makerFixture(overrides: Partial<PieceMakerOptions> & { disk?: () => Promise<void> } = {}) {
  const { disk = async () => {}, ...options } = overrides;
  const written: Written[] = [];
  const made = new Map<number, PieceRow>();
  const makers = overrides.makers ?? new PieceMakers();
  const maker = new PieceMaker({
    ...{ contentId: "c", layout: { length: 100 * PIECE, pieceLength: PIECE } },
    ...{ rows: new Map(), compresses: true, key: null, makers },
    write: async (offset, bytes) => {
      await disk();
      written.push({ offset, length: bytes.length });
    },
    made: (index, row) => void made.set(index, row),
    failed: (error) => {
      throw error;
    },
    ...options,
  });
  return { maker, makers, written, made };
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
