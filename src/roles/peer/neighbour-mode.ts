// One content while no supernode answers: asks the neighbours that it named what they have, gives
// the download their pieces to fetch, learns rows that the fleet signed or that two of them vouch for, and reads rationed
// runs of the source where it may. What is decided lies in the engine's machines.
//
//   owner silent ─▶ start ─▶ haves, rows, assignments, part reads … ─▶ stop ◀─ owner back, all here

import { monotonicClock } from "../../engine/bytes/pacing.ts";
import { BackToSource, type BackToSourceEvent } from "../../engine/core/back-to-source.ts";
import type { ReceivedAssignment } from "../../engine/core/download-events.ts";
import { pieceCountOf } from "../../engine/core/piece-layout.ts";
import {
  FIRST_NEIGHBOUR,
  type NeighbourEffect,
  type NeighbourEvent,
} from "../../engine/core/neighbour-events.ts";
import { NeighbourScheduler } from "../../engine/core/neighbour-scheduler.ts";
import { PieceSet } from "../../engine/core/piece-set.ts";
import { Prng } from "../../engine/core/prng.ts";
import { RowWitnesses } from "../../engine/core/row-witnesses.ts";
import type { Pull } from "../../engine/core/scheduler-events.ts";
import { askHave, askRows, askSigned } from "../../net/piece/ask-neighbour.ts";
import type { Authorise } from "../../net/wire/ticketed-request.ts";
import { TOLD_GROUPS_MAX, type ToldManifest } from "../../net/wire/signatures-api.ts";
import { groupCountOf } from "../../net/wire/signed-rows.ts";
import type { NumberedRow } from "../../net/wire/swarm-frames.ts";
import type { StoredContent } from "../../store/piece-store.ts";
import type { PieceRun } from "../worker/source-service.ts";

/** How the ration of source reads is shared now; 0 readers: this host may not read it. */
export interface SourceRation {
  swarmSize: number;
  readersPerSec: number;
}

export interface NeighbourModeOptions {
  /** Its length must be known. */
  content: StoredContent;
  /** "host:port" of the neighbours' piece servers, as the supernode named them. */
  addresses: readonly string[];
  ration: SourceRation;
  /** Of a private content. @defaultValue anybody may ask */
  authorise?: Authorise | undefined;
  assigned: (assignments: ReceivedAssignment[]) => void;
  /** Takes rows that two neighbours vouch for. */
  rowsProven: (rows: NumberedRow[]) => void;
  /** Takes what a neighbour tells under the fleet's signature, as far as it bears it; null: nothing could be checked here. */
  signedTold: ((told: ToldManifest) => void) | null;
  /** Reads pieces of the source; resolves with whether they are here. */
  readPart: (run: PieceRun) => Promise<boolean>;
  /** A neighbour gave wrong bytes. */
  dropped: (address: string) => void;
}

export class NeighbourMode {
  readonly #options: NeighbourModeOptions;
  readonly #scheduler: NeighbourScheduler;
  readonly #source: BackToSource;
  readonly #witnesses = new RowWitnesses();
  readonly #pieceCount: number;
  readonly #stop = new AbortController();
  /** How many rows each neighbour has told, by its number. */
  readonly #rowsTold = new Map<number, number>();
  /** And how many signed groups. */
  readonly #groupsTold = new Map<number, number>();
  #schedulerTimer: ReturnType<typeof setTimeout> | undefined;
  #sourceTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: NeighbourModeOptions) {
    this.#options = options;
    const { content, addresses, ration } = options;
    const { manifest, have } = content;
    const { length, pieceLength } = manifest.layout;
    const pieceCount = pieceCountOf(length!, pieceLength);
    const rows = new PieceSet(pieceCount);
    for (const piece of manifest.learned) rows.add(piece);
    const prng = new Prng(crypto.getRandomValues(new Uint32Array(1))[0]!);
    this.#pieceCount = pieceCount;
    this.#scheduler = new NeighbourScheduler({
      ...{ prng, addresses, pieceCount, pieceLength, have, rows },
    });
    this.#source = new BackToSource({ prng, pieceCount, ...ration });
  }

  start(): void {
    this.#stepScheduler({ kind: "woke" });
    this.#look();
  }

  /** Ends it: nothing is assigned or read any more. What is under way at the download goes on. */
  stop(): void {
    this.#stop.abort();
    clearTimeout(this.#schedulerTimer);
    clearTimeout(this.#sourceTimer);
  }

  /** The download's call for work. */
  pulled(pull: Pull): void {
    this.#stepScheduler({ kind: "pulled", pull });
    this.#look();
  }

  rationed(ration: SourceRation): void {
    this.#stepSource({ kind: "rationed", ...ration });
  }

  /** What is missing follows from what is here and what neighbours have. */
  #look(): void {
    const have = this.#options.content.have.words;
    const { available, seenAtUs } = this.#scheduler;
    this.#stepSource({ kind: "looked", have, available: available.words, seenAtUs });
  }

  #stepScheduler(event: NeighbourEvent): void {
    if (this.#stop.signal.aborted) return;
    const effects: NeighbourEffect[] = [];
    this.#scheduler.step(monotonicClock.nowUs(), event, effects);
    for (const effect of effects) {
      switch (effect.kind) {
        case "askHave":
          void this.#askHave(effect.neighbour, effect.address);
          break;
        case "askRows":
          void this.#askRows(effect.neighbour, effect.address);
          break;
        case "assign":
          // After the step of the download that asked for it.
          queueMicrotask(() => this.#assign(effect.assignments));
          break;
        case "dropped":
          this.#options.dropped(effect.address);
          break;
        case "wakeAt":
          clearTimeout(this.#schedulerTimer);
          this.#schedulerTimer = wakeAt(effect.atUs, () => this.#stepScheduler({ kind: "woke" }));
          break;
      }
    }
  }

  #stepSource(event: BackToSourceEvent): void {
    if (this.#stop.signal.aborted) return;
    const effects: Parameters<BackToSource["step"]>[2] = [];
    this.#source.step(monotonicClock.nowUs(), event, effects);
    for (const effect of effects) {
      if (effect.kind === "readPieces") void this.#readPart(effect);
      else {
        clearTimeout(this.#sourceTimer);
        this.#sourceTimer = wakeAt(effect.atUs, () => this.#stepSource({ kind: "woke" }));
      }
    }
  }

  #assign(assignments: ReceivedAssignment[]): void {
    if (!this.#stop.signal.aborted) this.#options.assigned(assignments);
  }

  async #askHave(neighbour: number, address: string): Promise<void> {
    const { contentId } = this.#options.content.facts;
    const { authorise } = this.#options;
    const have = await askHave(address, { contentId, authorise }, this.#stop.signal);
    this.#stepScheduler({ kind: "haveTold", neighbour, have });
    this.#look();
  }

  /** First what needs no second witness. */
  async #askRows(neighbour: number, address: string): Promise<void> {
    const { contentId } = this.#options.content.facts;
    const { authorise } = this.#options;
    const { signal } = this.#stop;
    await this.#askSigned(neighbour, address);
    if (this.#options.content.manifest.learned.length === this.#pieceCount) return;
    for (let hasMore = true; hasMore && !signal.aborted;) {
      const from = this.#rowsTold.get(neighbour) ?? 0;
      // Nobody knows more rows than there are pieces.
      if (from >= this.#pieceCount) return;
      const answer = await askRows(address, { contentId, from, authorise }, signal);
      this.#rowsTold.set(neighbour, from + answer.rows.length);
      this.#hear(neighbour, answer.rows);
      hasMore = answer.hasMore;
    }
  }

  async #askSigned(neighbour: number, address: string): Promise<void> {
    const { content, authorise, signedTold } = this.#options;
    const { contentId } = content.facts;
    const { signal } = this.#stop;
    if (signedTold === null) return;
    for (let hasMore = true; hasMore && !signal.aborted;) {
      const from = this.#groupsTold.get(neighbour) ?? 0;
      // Nobody knows more groups than there are.
      if (from >= groupCountOf(this.#pieceCount)) return;
      const told = await askSigned(address, { contentId, from, authorise }, signal);
      if (told === null || signal.aborted) return;
      this.#groupsTold.set(neighbour, from + told.groups.length);
      const before = content.manifest.learned.length;
      signedTold(told);
      this.#learned(content.manifest.learned.slice(before));
      hasMore = told.groups.length === TOLD_GROUPS_MAX;
    }
  }

  #hear(neighbour: number, rows: readonly NumberedRow[]): void {
    const { manifest } = this.#options.content;
    const proven = rows.filter(
      ({ piece, row }) =>
        piece < this.#pieceCount &&
        manifest.row(piece) === undefined &&
        this.#witnesses.told(neighbour - FIRST_NEIGHBOUR, piece, row),
    );
    if (proven.length === 0 || this.#stop.signal.aborted) return;
    const before = manifest.learned.length;
    this.#options.rowsProven(proven);
    this.#learned(manifest.learned.slice(before));
  }

  #learned(pieces: readonly number[]): void {
    if (pieces.length === 0) return;
    for (const piece of pieces) this.#stepScheduler({ kind: "rowKnown", piece });
    this.#look();
  }

  /** Nobody else is to bring these pieces meanwhile: two writers in one piece could spoil it. */
  async #readPart(run: PieceRun): Promise<void> {
    this.#stepScheduler({ kind: "sourceReads", ...run });
    const ok = await this.#options.readPart(run);
    this.#stepScheduler({ kind: "sourceReads", piece: 0, count: 0 });
    this.#look();
    this.#stepSource({ kind: "readEnded", ok });
  }
}

function wakeAt(atUs: number, wake: () => void): ReturnType<typeof setTimeout> {
  const delayMs = Math.max(0, (atUs - monotonicClock.nowUs()) / 1_000);
  return setTimeout(wake, Math.ceil(delayMs));
}
