// When a peer without a supernode reads the source, and what.

import { expect, test } from "bun:test";
import {
  BackToSource,
  type BackToSourceEffect,
  type BackToSourceEvent,
} from "../../src/engine/core/back-to-source.ts";
import { PieceSet } from "../../src/engine/core/piece-set.ts";
import { Prng } from "../../src/engine/core/prng.ts";

class Fixture {
  readonly machine: BackToSource;
  readonly #pieceCount: number;
  nowUs = 0;

  constructor({ pieceCount = 8, swarmSize = 1, readersPerSec = 10, seed = 1 } = {}) {
    this.#pieceCount = pieceCount;
    const ration = { swarmSize, readersPerSec };
    this.machine = new BackToSource({ prng: new Prng(seed), pieceCount, ...ration });
  }

  step(event: BackToSourceEvent): BackToSourceEffect[] {
    const effects: BackToSourceEffect[] = [];
    this.machine.step(this.nowUs, event, effects);
    return effects;
  }

  looks(have: number[], available: number[] = [], seenAtUs = Infinity): BackToSourceEffect[] {
    const wordsOf = (pieces: number[]): Uint32Array => {
      const set = new PieceSet(this.#pieceCount);
      for (const piece of pieces) set.add(piece);
      return set.words;
    };
    const [hereWords, thereWords] = [wordsOf(have), wordsOf(available)];
    return this.step({ kind: "looked", have: hereWords, available: thereWords, seenAtUs });
  }

  /** Lets time pass; returns the reads that began. */
  waits(us: number): { piece: number; count: number }[] {
    const reads: { piece: number; count: number }[] = [];
    for (const endUs = this.nowUs + us; this.nowUs < endUs;) {
      this.nowUs += 100_000;
      for (const effect of this.step({ kind: "woke" }))
        if (effect.kind === "readPieces") reads.push({ piece: effect.piece, count: effect.count });
    }
    return reads;
  }
}

test("a piece that no neighbour has is read after some patience, one read at a time", () => {
  const fixture = new Fixture();
  fixture.looks([0, 1, 2, 3, 4, 6, 7]);

  expect(fixture.waits(1_900_000)).toEqual([]);
  expect(fixture.waits(10_000_000)).toEqual([{ piece: 5, count: 1 }]);
});

test("nothing is read while neighbours have anything of use", () => {
  const fixture = new Fixture();
  fixture.looks([0, 1, 2, 3], [6]);
  expect(fixture.waits(20_000_000)).toEqual([]);

  const effects = fixture.looks([0, 1, 2, 3, 6], [6]);
  expect(effects.map(({ kind }) => kind)).toEqual(["readPieces"]);
});

test("the piece that is missing longest is read first", () => {
  const fixture = new Fixture();
  fixture.looks([], [0, 1, 2, 4, 5, 6, 7]);
  fixture.nowUs += 500_000;
  fixture.looks([]);

  expect(fixture.waits(2_500_000)).toEqual([{ piece: 3, count: 1 }]);
});

test("a piece that shows up at a neighbour is no longer missing", () => {
  const fixture = new Fixture({ pieceCount: 1 });
  fixture.looks([]);
  fixture.waits(1_500_000);
  fixture.looks([], [0]);

  expect(fixture.waits(10_000_000)).toEqual([]);
});

test("quick reads are followed by longer ones, slow reads by shorter ones", () => {
  const fixture = new Fixture({ pieceCount: 1_000, seed: 2 });
  fixture.looks([]);
  let [read] = fixture.waits(2_000_000);
  const counts = [read!.count];
  const have: number[] = [];
  for (const tookUs of [100_000, 100_000, 100_000, 400_000, 400_000]) {
    for (let i = 0; i < read!.count; i++) have.push(read!.piece + i);
    fixture.nowUs += tookUs;
    const next = [...fixture.looks(have), ...fixture.step({ kind: "readEnded", ok: true })];
    read = next.find((effect) => effect.kind === "readPieces");
    counts.push(read!.count);
  }

  expect(counts).toEqual([1, 2, 4, 8, 4, 2]);
});

test("a source that fails is left alone ever longer", () => {
  const fixture = new Fixture();
  fixture.looks([]);
  const starts: number[] = [];
  while (starts.length < 5) {
    if (fixture.waits(100_000).length === 0) continue;
    starts.push(fixture.nowUs / 1e6);
    fixture.step({ kind: "readEnded", ok: false });
  }

  expect(starts.map((start, i) => Math.round(start - (starts[i - 1] ?? start)))).toEqual([
    0, 2, 4, 8, 16,
  ]);
});

test("about ten peers a second of a thousand begin to read", () => {
  let readers = 0;
  for (let seed = 0; seed < 1000; seed++) {
    const fixture = new Fixture({ seed, swarmSize: 1000 });
    fixture.looks([]);
    if (fixture.waits(11_900_000).length > 0) readers++;
  }

  // Ten draws each: 1000 × (1 − 0.99^10) = 96, standard deviation 9.
  expect(readers).toBeGreaterThan(60);
  expect(readers).toBeLessThan(130);
});

test("with a ration of none nobody reads, until the fleet allows it", () => {
  const fixture = new Fixture({ readersPerSec: 0 });
  fixture.looks([]);
  expect(fixture.waits(60_000_000)).toEqual([]);

  const effects = fixture.step({ kind: "rationed", swarmSize: 1, readersPerSec: 10 });

  expect(effects.map(({ kind }) => kind)).toEqual(["readPieces"]);
});

/** Ends each read at once; returns how many pieces were read until nothing more begins. */
function readsOn(fixture: Fixture, have: number[], seenAtUs: number): number {
  let effects = fixture.looks(have, [], seenAtUs);
  for (let count = 0; ;) {
    const read = effects.find((effect) => effect.kind === "readPieces");
    if (read === undefined) return count;
    for (let i = 0; i < read.count; i++) have.push(read.piece + i);
    count += read.count;
    fixture.nowUs += 1_000;
    fixture.looks(have, [], seenAtUs);
    effects = fixture.step({ kind: "readEnded", ok: true });
  }
}

test("peers that may all read bring their share of what is missing, then look at each other first", () => {
  const fixture = new Fixture({ pieceCount: 1_600, swarmSize: 4 });
  const have: number[] = [];
  fixture.looks(have, [], 0);
  fixture.nowUs = 3_000_000;

  const first = readsOn(fixture, have, 1_000_000);
  expect(first).toBeGreaterThan(50);
  expect(first).toBeLessThanOrEqual(100);
  expect(fixture.waits(60_000_000)).toEqual([]);
  expect(readsOn(fixture, have, 2_900_000)).toBe(0);

  const second = readsOn(fixture, have, fixture.nowUs);
  expect(second).toBeGreaterThan(50);
  expect(second).toBeLessThan(100);
});

test("a peer that waits for a look wants no wake", () => {
  const fixture = new Fixture({ pieceCount: 8, swarmSize: 4 });
  const have: number[] = [];
  fixture.looks(have, [], 0);
  fixture.nowUs = 3_000_000;
  expect(readsOn(fixture, have, 0)).toBe(1);

  expect(fixture.step({ kind: "woke" })).toEqual([]);
});

test("peers that cannot all know each other begin one read a second, however large the ration", () => {
  const fixture = new Fixture({ pieceCount: 1_600, swarmSize: 50, readersPerSec: 100 });
  fixture.looks([]);
  const reads: number[] = [];
  for (const have: number[] = []; reads.length < 5;) {
    const [read] = fixture.waits(100_000);
    if (read === undefined) continue;
    reads.push(fixture.nowUs);
    have.push(read.piece);
    fixture.looks(have);
    fixture.step({ kind: "readEnded", ok: true });
  }

  expect(reads.slice(1).map((atUs, i) => atUs - reads[i]!)).toEqual(Array(4).fill(1_000_000));
});
