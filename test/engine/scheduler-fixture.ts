// A scheduler and its swarm drawn as strings: host 0 is the seed, the others have what "#" marks.

import { PieceSet } from "../../src/engine/core/piece-set.ts";
import { Prng } from "../../src/engine/core/prng.ts";
import {
  PieceOutcome,
  type Assignment,
  type PieceReport,
  type SchedulerEffect,
  type SchedulerEvent,
} from "../../src/engine/core/scheduler-events.ts";
import { Scheduler } from "../../src/engine/core/scheduler.ts";

export const SEED_HOST = 0;
const CONTENT = 0;

export class DrawnSwarm {
  readonly scheduler = new Scheduler({ prng: new Prng(1) });
  nowUs = 0;
  /** Effects of the last step. */
  effects: SchedulerEffect[] = [];

  /**
   * @param picture "seed: ####" or "####  #...  ....": pieces of the seed, then of hosts 1, 2, …
   * @param options.slots upload slots of each peer
   * @param options.seedSlots upload slots of the seed
   */
  constructor(
    picture: string,
    {
      slots = 2,
      seedSlots = 8,
      pieceCount,
    }: { slots?: number; seedSlots?: number; pieceCount?: number | null } = {},
  ) {
    const rows = picture.trim().split(/\s+/);
    const pieces = pieceCount === undefined ? rows[0]!.length : pieceCount;
    const seed = { isSeed: true, alsoIn: "all", uploadSlots: seedSlots } as const;
    this.step({ kind: "hostArrived", host: SEED_HOST, ...seed });
    this.step({
      kind: "contentOpened",
      content: CONTENT,
      pieceCount: pieces,
      pieceLength: 1 << 20,
    });
    rows.forEach((row, host) => {
      if (host === SEED_HOST) this.seeds(...piecesOf(row));
      else this.joins(host, row, slots);
    });
  }

  step(event: SchedulerEvent): SchedulerEffect[] {
    this.effects = [];
    this.scheduler.step(this.nowUs, event, this.effects);
    return this.effects;
  }

  seeds(...pieces: number[]): void {
    for (const piece of pieces)
      this.step({ kind: "pieceSeeded", content: CONTENT, host: SEED_HOST, piece });
  }

  joins(
    host: number,
    row: string,
    uploadSlots = 2,
    { seedsOnly = false, zone = 0, alsoIn = [] as number[] } = {},
  ): void {
    const have = new PieceSet(row.length);
    for (const piece of piecesOf(row)) have.add(piece);
    this.step({ kind: "hostArrived", host, isSeed: false, uploadSlots, zone, alsoIn });
    const part = { have: have.words, wantsPieces: true, seedsOnly };
    this.step({ kind: "joined", content: CONTENT, host, ...part });
  }

  leaves(host: number): void {
    this.step({ kind: "hostGone", host });
  }

  /** A pull; returns what the puller was given. */
  pulls(
    host: number,
    slots: number,
    reports: PieceReport[] = [],
    overdue: number[] = [],
  ): Assignment[] {
    this.step({ kind: "pulled", content: CONTENT, host, pull: { slots, reports, overdue } });
    return this.givenTo(host);
  }

  wakes(): void {
    this.step({ kind: "woke" });
  }

  givenTo(host: number): Assignment[] {
    return this.effects.flatMap((effect) =>
      effect.kind === "assign" && effect.child === host ? effect.assignments : [],
    );
  }
}

export function report(
  piece: number,
  parent: number,
  outcome: keyof typeof PieceOutcome = "finished",
  elapsedMs = 100,
): PieceReport {
  return { piece, parent, outcome: PieceOutcome[outcome], elapsedMs };
}

function piecesOf(row: string): number[] {
  return row.split("").flatMap((mark, piece) => (mark === "#" ? [piece] : []));
}
