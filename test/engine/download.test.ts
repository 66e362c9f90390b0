// One download's rules: what it fetches, what it tells the owner, and what it does without one.

import { describe, expect, test } from "bun:test";

import type { DownloadEffect, DownloadEvent } from "../../src/engine/core/download-events.ts";
import { Download } from "../../src/engine/core/download.ts";
import { PieceSet } from "../../src/engine/core/piece-set.ts";
import {
  NO_PARENT,
  PieceOutcome,
  type PieceReport,
} from "../../src/engine/core/scheduler-events.ts";

class DownloadFixture {
  readonly download: Download;
  /** What was there when it began. */
  readonly #known: Uint32Array | null;
  nowUs = 0;
  /** Effects of the last step. */
  effects: DownloadEffect[] = [];

  constructor({ slots = 2, have = null as PieceSet | null } = {}) {
    this.download = new Download({ slots, have });
    this.#known = have?.words.slice() ?? null;
  }

  step(event: DownloadEvent): this {
    this.effects = [];
    this.download.step(this.nowUs, event, this.effects);
    return this;
  }

  joins(pieceCount: number | null): this {
    return this.step({ kind: "joined", pieceCount, known: this.#known });
  }

  assigned(...pieces: { piece: number; parent: number; count?: number }[]): this {
    const assignments = pieces.map(({ piece, parent, count = 1 }) => {
      return { piece, parent, count, address: `10.0.0.${parent}:1` };
    });
    return this.step({ kind: "assigned", assignments });
  }

  fetched(fetch: number, outcome: keyof typeof PieceOutcome = "finished", retryAfterMs = 0): this {
    return this.step({
      kind: "fetched",
      fetch,
      outcome: PieceOutcome[outcome],
      bytes: 65_536,
      elapsedMs: 10,
      retryAfterMs,
    });
  }

  /** Lets time pass as the caller would: wakes whenever it was asked to. */
  waits(durationUs: number): DownloadEffect[] {
    const seen: DownloadEffect[] = [];
    for (const endUs = this.nowUs + durationUs; this.nowUs < endUs;) {
      this.nowUs += 100_000;
      seen.push(...this.step({ kind: "woke" }).effects);
    }
    return seen;
  }

  get fetches(): { fetch: number; piece: number }[] {
    return this.effects.flatMap((effect) =>
      effect.kind === "fetch" ? [{ fetch: effect.fetch, piece: effect.piece }] : [],
    );
  }

  get reports(): PieceReport[] {
    return this.effects.flatMap((effect) => (effect.kind === "pull" ? effect.pull.reports : []));
  }

  has(kind: DownloadEffect["kind"]): boolean {
    return this.effects.some((effect) => effect.kind === kind);
  }
}

test("an owner that forgot its assignments and gives them again hears one answer for each", () => {
  const fixture = new DownloadFixture({ slots: 1 }).joins(4);
  // One is sent, one waits for the slot; then the owner says the same once more, and once more.
  const pieces = [
    { piece: 0, parent: 1 },
    { piece: 1, parent: 1 },
  ];
  const seen = [...fixture.assigned(...pieces).effects];
  const again = [fixture.assigned(...pieces).effects, fixture.assigned(...pieces).effects];

  const reports: PieceReport[] = [];
  for (const effect of seen) {
    if (effect.kind === "fetch") seen.push(...fixture.fetched(effect.fetch).effects);
    if (effect.kind === "pull") reports.push(...effect.pull.reports);
  }

  // A refusal would free the reservation at the owner, which would give the same again, without end.
  expect(again.flat().filter(({ kind }) => kind !== "wakeAt")).toEqual([]);
  expect(reports.map(({ piece, outcome }) => [piece, outcome])).toEqual([
    [0, PieceOutcome.finished],
    [1, PieceOutcome.finished],
  ]);
});

describe("with an owner", () => {
  test("it pulls as soon as it joined, naming its slots", () => {
    const { effects } = new DownloadFixture({ slots: 3 }).joins(4);

    expect(effects).toContainEqual({ kind: "pull", pull: { slots: 3, reports: [], overdue: [] } });
  });

  test("it fetches as many pieces at once as it has slots and the next when one ends", () => {
    const fixture = new DownloadFixture({ slots: 2 }).joins(9);

    fixture.assigned({ piece: 0, parent: 1, count: 2 }, { piece: 5, parent: 2 });
    expect(fixture.fetches.map(({ piece }) => piece)).toEqual([0, 1]);

    fixture.fetched(1);
    expect(fixture.fetches.map(({ piece }) => piece)).toEqual([5]);
    expect(fixture.reports).toEqual([
      { piece: 0, parent: 1, outcome: PieceOutcome.finished, elapsedMs: 10 },
    ]);
  });

  test.each(["busy", "broken", "corrupt", "gone"] as const)(
    "it reports %s and keeps the piece open",
    (outcome) => {
      const fixture = new DownloadFixture().joins(4).assigned({ piece: 0, parent: 1 });

      fixture.fetched(1, outcome);

      expect(fixture.reports[0]).toMatchObject({
        piece: 0,
        parent: 1,
        outcome: PieceOutcome[outcome],
      });
      expect(fixture.download.have.has(0)).toBe(false);
    },
  );

  test("it asks a parent that gave wrong bytes for nothing more of what was assigned", () => {
    const fixture = new DownloadFixture({ slots: 1 })
      .joins(4)
      .assigned({ piece: 0, parent: 1, count: 2 }, { piece: 2, parent: 2 });

    fixture.fetched(1, "corrupt");

    expect(fixture.fetches).toEqual([{ fetch: 2, piece: 2 }]);
    expect(fixture.reports).toMatchObject([
      { piece: 1, parent: 1, outcome: PieceOutcome.cancelled },
      { piece: 0, parent: 1, outcome: PieceOutcome.corrupt },
    ]);
  });

  test("it reports a piece as finished when it is assigned what it has", () => {
    const have = new PieceSet(4);
    have.add(2);
    const fixture = new DownloadFixture({ have }).joins(4);

    fixture.assigned({ piece: 2, parent: 1 });

    expect(fixture.fetches).toEqual([]);
    expect(fixture.reports).toEqual([
      { piece: 2, parent: 1, outcome: PieceOutcome.finished, elapsedMs: 0 },
    ]);
  });

  test("it starts a second transfer of an overdue piece at once and cancels the loser", () => {
    const fixture = new DownloadFixture({ slots: 1 }).joins(4).assigned({ piece: 0, parent: 1 });
    const named = fixture
      .waits(6_000_000)
      .flatMap((effect) => (effect.kind === "pull" ? effect.pull.overdue : []));
    expect(named).toContain(0);

    fixture.assigned({ piece: 0, parent: 2 });
    expect(fixture.fetches.length).toBe(1);
    fixture.fetched(2);

    expect(fixture.effects).toContainEqual({ kind: "cancel", fetch: 1 });
    expect(fixture.reports.map(({ parent, outcome }) => [parent, outcome])).toEqual([
      [1, PieceOutcome.cancelled],
      [2, PieceOutcome.finished],
    ]);
    // The cancelled fetch's own end says nothing new.
    expect(fixture.fetched(1, "cancelled").effects).toEqual([]);
  });

  test("it completes once, with the last report sent", () => {
    const fixture = new DownloadFixture().joins(1).assigned({ piece: 0, parent: 1 });

    fixture.fetched(1);

    expect(fixture.effects.map(({ kind }) => kind)).toEqual(["pull", "complete"]);
    expect(fixture.joins(1).has("complete")).toBe(false);
  });

  test("an empty content is complete when it is joined", () => {
    expect(new DownloadFixture().joins(0).has("complete")).toBe(true);
  });

  test("a content of unknown length completes when it is closed", () => {
    const fixture = new DownloadFixture().joins(null).assigned({ piece: 0, parent: 0, count: 2 });
    fixture.fetched(1);
    expect(fixture.fetched(2).has("complete")).toBe(false);

    fixture.step({ kind: "closed", pieceCount: 2 });

    expect(fixture.has("complete")).toBe(true);
  });

  test("it tells the owner when its slots change", () => {
    const fixture = new DownloadFixture({ slots: 3 }).joins(4);

    fixture.step({ kind: "slotsChanged", slots: 1 });

    expect(fixture.effects).toContainEqual({
      kind: "pull",
      pull: { slots: 1, reports: [], overdue: [] },
    });
  });

  test("it asks again when nothing came for long", () => {
    const fixture = new DownloadFixture().joins(4);

    expect(fixture.waits(6_000_000).filter(({ kind }) => kind === "pull").length).toBe(1);
  });
});

describe("without an owner", () => {
  test("it goes on with what was assigned and pulls nothing", () => {
    const fixture = new DownloadFixture({ slots: 1 }).joins(4);
    fixture
      .assigned({ piece: 0, parent: 1 }, { piece: 1, parent: 1 })
      .step({ kind: "channelLost" });

    fixture.fetched(1);

    expect(fixture.fetches.map(({ piece }) => piece)).toEqual([1]);
    expect(fixture.has("pull")).toBe(false);
  });

  test("it asks a busy parent again after the time that it named", () => {
    const fixture = new DownloadFixture().joins(4).assigned({ piece: 0, parent: 1 });
    fixture.step({ kind: "channelLost" });
    fixture.fetched(1, "busy", 1000);
    expect(fixture.fetches).toEqual([]);

    const effects = fixture.waits(1_100_000);

    expect(effects.some((effect) => effect.kind === "fetch" && effect.piece === 0)).toBe(true);
  });

  test("failures from before are forgotten when it joins again, for the owner forgot too", () => {
    const fixture = new DownloadFixture().joins(4).assigned({ piece: 0, parent: 1 });
    fixture.step({ kind: "channelLost" }).fetched(1, "broken");

    expect(fixture.joins(4).reports).toEqual([]);
  });

  // Once these reports were dropped: an owner that sent a tiny content with its answer then gave a
  // slot of its seed to a child that had all and never spoke of it again. Eight such children
  // stopped every other download for the 30 s after which a slot is taken back.
  test("a piece that came before the join was answered is told with the first pull", () => {
    const fixture = new DownloadFixture().step({ kind: "sourcePieceRead", piece: 0 });

    fixture.joins(1);

    expect(fixture.reports).toEqual([
      { piece: 0, parent: NO_PARENT, outcome: PieceOutcome.finished, elapsedMs: 0 },
    ]);
    expect(fixture.effects.at(-1)).toEqual({ kind: "complete" });
  });

  test("what came since the join was said is told when the join is answered", () => {
    const fixture = new DownloadFixture({ slots: 1 }).joins(4).assigned({ piece: 2, parent: 1 });
    fixture.step({ kind: "channelLost" }).fetched(1);

    expect(fixture.joins(4).reports).toEqual([
      { piece: 2, parent: NO_PARENT, outcome: PieceOutcome.finished, elapsedMs: 0 },
    ]);
  });

  // Once the new owner's assignment of a piece under way was taken for a hedge, and brought it twice.
  test("a piece that is under way when it joins again is not fetched a second time", () => {
    const fixture = new DownloadFixture({ slots: 2 }).joins(4).assigned({ piece: 0, parent: 1 });
    fixture.step({ kind: "channelLost" }).joins(4);

    expect(fixture.assigned({ piece: 0, parent: 2 }).fetches).toEqual([]);
    expect(fixture.fetched(1).fetches).toEqual([]);
    expect(fixture.reports).toContainEqual({
      piece: 0,
      parent: 2,
      outcome: PieceOutcome.cancelled,
      elapsedMs: 0,
    });
  });

  test("and comes from the new parent when the old one fails", () => {
    const fixture = new DownloadFixture({ slots: 2 }).joins(4).assigned({ piece: 0, parent: 1 });
    fixture.step({ kind: "channelLost" }).joins(4).assigned({ piece: 0, parent: 2 });

    expect(fixture.fetched(1, "broken").fetches).toEqual([{ fetch: 2, piece: 0 }]);
  });

  test("pieces read from the source count, and the owner learns of them without a parent", () => {
    const fixture = new DownloadFixture().joins(2);

    fixture.step({ kind: "sourcePieceRead", piece: 1 });

    expect(fixture.reports).toEqual([
      { piece: 1, parent: NO_PARENT, outcome: PieceOutcome.finished, elapsedMs: 0 },
    ]);
    fixture.step({ kind: "sourcePieceRead", piece: 0 });
    expect(fixture.has("complete")).toBe(true);
  });
});
