// What a host takes from its neighbours while no supernode answers.

import { expect, test } from "bun:test";
import {
  FIRST_NEIGHBOUR,
  type NeighbourEffect,
  type NeighbourEvent,
} from "../../src/engine/core/neighbour-events.ts";
import { NeighbourScheduler } from "../../src/engine/core/neighbour-scheduler.ts";
import { PieceSet } from "../../src/engine/core/piece-set.ts";
import { Prng } from "../../src/engine/core/prng.ts";
import { PieceOutcome } from "../../src/engine/core/scheduler-events.ts";

function pieces(...drawn: string[]): PieceSet {
  const marks = drawn.join("");
  const set = new PieceSet(marks.length);
  for (let piece = 0; piece < marks.length; piece++) if (marks[piece] === "#") set.add(piece);
  return set;
}

class Fixture {
  readonly machine: NeighbourScheduler;
  readonly addresses: string[];
  nowUs = 0;
  effects: NeighbourEffect[] = [];

  constructor({ have = "........", rows = "########", neighbours = 2 } = {}) {
    this.addresses = Array.from({ length: neighbours }, (_, i) => `10.0.0.${i}:1`);
    this.machine = new NeighbourScheduler({
      prng: new Prng(1),
      addresses: this.addresses,
      pieceCount: have.length,
      pieceLength: 65_536,
      have: pieces(have),
      rows: pieces(rows),
    });
  }

  step(event: NeighbourEvent): this {
    this.effects = [];
    this.machine.step(this.nowUs, event, this.effects);
    return this;
  }

  tells(neighbour: number, have: string | null): this {
    const words = have === null ? null : pieces(have).words;
    return this.step({ kind: "haveTold", neighbour: FIRST_NEIGHBOUR + neighbour, have: words });
  }

  pulls(slots: number, overdue: number[] = []): this {
    return this.step({ kind: "pulled", pull: { slots, reports: [], overdue } });
  }

  reports(piece: number, parent: number, outcome: keyof typeof PieceOutcome, slots = 1): this {
    const report = { piece, parent, outcome: PieceOutcome[outcome], elapsedMs: 5 };
    return this.step({ kind: "pulled", pull: { slots, reports: [report], overdue: [] } });
  }

  after(us: number): this {
    this.nowUs += us;
    return this.step({ kind: "woke" });
  }

  get assigned(): { piece: number; parent: number; address: string }[] {
    return this.effects.flatMap((effect) => (effect.kind === "assign" ? effect.assignments : []));
  }

  asks(kind: "askHave" | "askRows" = "askHave"): string[] {
    return this.effects.flatMap((effect) => (effect.kind === kind ? [effect.address] : []));
  }
}

test("every neighbour is asked what it has, again the later the longer nothing is new", () => {
  const fixture = new Fixture().pulls(2);
  expect(fixture.asks()).toEqual(fixture.addresses);

  const gaps: number[] = [];
  for (let last = 0; gaps.length < 4;) {
    fixture.tells(0, "........");
    while (!fixture.after(100_000).asks().includes(fixture.addresses[0]!));
    gaps.push(fixture.nowUs - last);
    last = fixture.nowUs;
  }

  expect(gaps).toEqual([1_000_000, 1_000_000, 1_000_000, 1_000_000]);
});

test("free slots take pieces that neighbours have, from both of them, and no piece twice", () => {
  const fixture = new Fixture().pulls(2).tells(0, "##......");
  const first = fixture.assigned;
  fixture.tells(1, "##......");

  const all = [...first, ...fixture.assigned];
  expect(all.map(({ piece }) => piece).toSorted((a, b) => a - b)).toEqual([0, 1]);
  expect(fixture.pulls(4).assigned).toEqual([]);
});

test("a piece that is here, or whose row is not known, is not taken", () => {
  const fixture = new Fixture({ have: "#.......", rows: "##......" }).pulls(3).tells(0, "###.....");

  expect(fixture.assigned.map(({ piece }) => piece)).toEqual([1]);
  expect(fixture.asks("askRows")).toEqual([fixture.addresses[0]!]);
  expect(fixture.step({ kind: "rowKnown", piece: 2 }).assigned.map(({ piece }) => piece)).toEqual([
    2,
  ]);
});

test("a busy neighbour is left alone for a while, and the piece comes from the other", () => {
  const fixture = new Fixture().pulls(1).tells(0, "#.......");
  const [first] = fixture.assigned;
  fixture.tells(1, "#.......");

  fixture.reports(0, first!.parent, "busy");

  expect(fixture.assigned.map(({ parent }) => parent)).toEqual([FIRST_NEIGHBOUR + 1]);
});

test("a busy neighbour that is the only one is asked again after its time", () => {
  const fixture = new Fixture({ neighbours: 1 }).pulls(1).tells(0, "#.......");
  expect(fixture.reports(0, FIRST_NEIGHBOUR, "busy").assigned).toEqual([]);

  expect(fixture.after(900_000).assigned).toEqual([]);
  expect(fixture.after(1_200_000).assigned.map(({ piece }) => piece)).toEqual([0]);
});

test("a neighbour that gives wrong bytes is dropped for good, whatever it says later", () => {
  const fixture = new Fixture().pulls(1).tells(0, "########");

  const { piece, parent } = fixture.assigned[0]!;
  fixture.reports(piece, parent, "corrupt");

  expect(fixture.effects).toContainEqual({
    kind: "dropped",
    neighbour: FIRST_NEIGHBOUR,
    address: fixture.addresses[0]!,
  });
  expect(fixture.machine.available.count).toBe(0);
  for (let i = 0; i < 100; i++) {
    expect(fixture.after(1_000_000).asks()).not.toContain(fixture.addresses[0]!);
    expect(fixture.tells(0, "########").assigned).toEqual([]);
  }
});

test("what a neighbour claimed does not count once it failed, until it answers again", () => {
  const fixture = new Fixture({ neighbours: 1 }).pulls(1).tells(0, "##......");
  expect(fixture.machine.available.count).toBe(2);

  const { piece, parent } = fixture.assigned[0]!;
  fixture.reports(piece, parent, "gone");
  expect(fixture.machine.available.count).toBe(0);

  fixture.after(1_100_000);
  expect(fixture.asks()).toEqual(fixture.addresses);
  expect(fixture.tells(0, "##......").machine.available.count).toBe(2);
});

test("an overdue piece is taken from a second neighbour", () => {
  const fixture = new Fixture().pulls(1).tells(0, "#.......").tells(1, "#.......");

  expect(fixture.pulls(1, [0]).assigned).toEqual([
    { piece: 0, count: 1, parent: FIRST_NEIGHBOUR + 1, address: fixture.addresses[1]! } as never,
  ]);
});

test("a bitmap that is too short, too long or claims pieces past the end does no harm", () => {
  const fixture = new Fixture({ have: "...", rows: "###", neighbours: 1 }).pulls(3);
  const tell = (have: Uint32Array): Fixture =>
    fixture.step({ kind: "haveTold", neighbour: FIRST_NEIGHBOUR, have });

  expect(tell(new Uint32Array(0)).assigned).toEqual([]);
  while (fixture.asks().length === 0) fixture.after(500_000);
  tell(Uint32Array.of(0xffff_ffff, 0xffff_ffff));

  expect(fixture.assigned.every(({ piece }) => piece < 3)).toBe(true);
  expect(fixture.machine.available.count).toBe(3);
});

test("a piece that is being read from the source is not taken from a neighbour", () => {
  const fixture = new Fixture({ neighbours: 1 });
  fixture.pulls(3).step({ kind: "sourceReads", piece: 0, count: 7 });

  expect(fixture.tells(0, "########").assigned.map(({ piece }) => piece)).toEqual([7]);
  fixture.step({ kind: "sourceReads", piece: 0, count: 0 });
  expect(fixture.assigned).toHaveLength(1);
});

test("after a read of the source all neighbours are asked soon, the sooner the fewer they are", () => {
  const gapOf = (neighbours: number): number => {
    const fixture = new Fixture({ neighbours }).pulls(1);
    for (let i = 0; i < neighbours; i++) fixture.tells(i, "........");
    fixture.step({ kind: "sourceReads", piece: 0, count: 1 });
    fixture.step({ kind: "sourceReads", piece: 0, count: 0 });
    while (fixture.after(25_000).asks().length === 0);
    expect(fixture.asks()).toEqual(fixture.addresses);
    return fixture.nowUs;
  };

  expect([1, 3, 20, 40].map(gapOf)).toEqual([25_000, 75_000, 500_000, 500_000]);
});

test("what neighbours have is known as of the oldest answer of those that answer", () => {
  const fixture = new Fixture({ neighbours: 3 }).pulls(1);
  expect(fixture.machine.seenAtUs).toBe(-Infinity);

  for (let i = 0; i < 3; i++) fixture.tells(i, "........");
  expect(fixture.machine.seenAtUs).toBe(0);
  fixture.after(2_000_000).tells(0, "#.......");
  expect(fixture.machine.seenAtUs).toBe(0);
  fixture.tells(1, "########");
  expect(fixture.machine.seenAtUs).toBe(0);
  fixture.tells(2, null);
  expect(fixture.machine.seenAtUs).toBe(0);
  fixture.after(1_000_000).tells(2, null);

  expect(fixture.machine.seenAtUs).toBe(2_000_000);
});

test("nothing is asked any more when all is here", () => {
  const fixture = new Fixture({ have: ".#######", neighbours: 1 }).pulls(1).tells(0, "########");

  fixture.reports(0, FIRST_NEIGHBOUR, "finished");

  expect(fixture.effects).toEqual([]);
  expect(fixture.after(10_000_000).effects).toEqual([]);
});
