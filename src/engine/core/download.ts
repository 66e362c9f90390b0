// Brings one content to one peer: keeps its fetches going with what the owner assigns, and tells the
// owner what became of them. Bytes, digests and sockets are the role's.
//
//   joined ─▶ pull ─▶ assigned ─▶ queue ─▶ fetch ─▶ fetched ─▶ pull … ─▶ complete
//   channelLost: no pulls; what was assigned goes on; joined again by the owner, or by the neighbour
//   scheduler that stands in for it

import type { DownloadEffect, DownloadEvent, ReceivedAssignment } from "./download-events.ts";
import type { Machine } from "./machine.ts";
import { PieceSet } from "./piece-set.ts";
import { PieceTimes } from "./piece-times.ts";
import { NO_PARENT, PieceOutcome, type HostIndex, type PieceReport } from "./scheduler-events.ts";

/** A peer without work asks again this often: a lost message must not stop it for ever. */
const REPEAT_PULL_US = 5_000_000;

/** An overdue piece is named again after this long when no second parent was found. */
const REPEAT_OVERDUE_US = 500_000;

/**
 * Where fetches are this short, one piece is kept assigned ahead: a slot that waits a millisecond or
 * two for the owner would idle 5 % and more. Elsewhere a piece ahead only holds a parent's slot idle
 * (simulated, 600 hosts: 1.08 of the limit instead of 1.05; one host, 128 KiB pieces: 1.00, not 1.03).
 */
const AHEAD_BELOW_US = 20_000;

interface Fetch {
  number: number;
  piece: number;
  parent: HostIndex;
  address: string;
  startedUs: number;
  /** When the piece may be named overdue (again). */
  overdueAtUs: number;
  /** It was named so: a second parent may be tried. */
  isOverdue: boolean;
}

interface QueuedPiece {
  piece: number;
  parent: HostIndex;
  address: string;
  notBeforeUs: number;
}

export class Download implements Machine<DownloadEvent, DownloadEffect> {
  readonly #times = new PieceTimes();
  #have: PieceSet;
  #pieceCount: number | null = null;
  #slots: number;
  #queue: QueuedPiece[] = [];
  readonly #fetches: Fetch[] = [];
  #reports: PieceReport[] = [];
  #nextFetch = 1;
  #isConnected = false;
  #pulledAtUs = 0;
  #isComplete = false;
  #wakeAtUs = Infinity;
  #owesPull = false;

  /**
   * @param options.slots fetches at once
   * @param options.have pieces stored and verified already; copied
   */
  constructor(options: { slots: number; have: PieceSet | null }) {
    this.#slots = options.slots;
    this.#have =
      options.have === null
        ? new PieceSet(0)
        : new PieceSet(options.have.size, options.have.words.slice());
  }

  /** Pieces stored and verified. */
  get have(): PieceSet {
    return this.#have;
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Whether the piece is being fetched, or will be. */
  isAwaited(piece: number): boolean {
    return [...this.#fetches, ...this.#queue].some((entry) => entry.piece === piece);
  }

  step(nowUs: number, event: DownloadEvent, effects: DownloadEffect[]): void {
    this.#apply(nowUs, event, effects);
    this.#startQueued(nowUs, effects);
    if (this.#owesPull && this.#isConnected) this.#pull(nowUs, [], effects);
    this.#finish(effects);
    this.#planWake(nowUs, effects);
  }

  #apply(nowUs: number, event: DownloadEvent, effects: DownloadEffect[]): void {
    switch (event.kind) {
      case "joined":
        this.#isConnected = true;
        this.#owesPull = true;
        this.#reportAllBut(event.known);
        if (event.pieceCount !== null) this.#fixPieceCount(event.pieceCount);
        return;
      case "closed":
        return this.#fixPieceCount(event.pieceCount);
      case "assigned":
        for (const assignment of event.assignments) this.#take(nowUs, assignment, effects);
        return;
      case "fetched":
        return this.#fetched(nowUs, event, effects);
      case "sourcePieceRead":
        this.#gain(event.piece);
        this.#cancelFetches(event.piece, effects);
        this.#reportHere(event.piece);
        return;
      case "slotsChanged":
        this.#slots = event.slots;
        this.#owesPull = true;
        return;
      case "channelLost":
        this.#isConnected = false;
        return;
      case "woke":
        return this.#woke(nowUs, effects);
    }
  }

  /**
   * Who gives work now forgot, or never knew, what was assigned before. But not all that is here was
   * in the join: a tiny content comes with its answer, and neighbours go on until it is there.
   */
  #reportAllBut(known: Uint32Array | null): void {
    this.#reports = [];
    for (const piece of this.#have) {
      if (((known?.[piece >>> 5] ?? 0) & (1 << (piece & 31))) === 0) this.#reportHere(piece);
    }
  }

  #reportHere(piece: number): void {
    this.#report({ piece, parent: NO_PARENT, outcome: PieceOutcome.finished, elapsedMs: 0 });
  }

  #fixPieceCount(pieceCount: number): void {
    this.#pieceCount = pieceCount;
    if (this.#have.size !== pieceCount) this.#have = this.#have.grownTo(pieceCount);
  }

  #take(nowUs: number, assignment: ReceivedAssignment, effects: DownloadEffect[]): void {
    const { parent, address } = assignment;
    for (let piece = assignment.piece; piece < assignment.piece + assignment.count; piece++) {
      const running = this.#fetches.filter((fetch) => fetch.piece === piece);
      if (piece < this.#have.size && this.#have.has(piece)) {
        this.#report({ piece, parent, outcome: PieceOutcome.finished, elapsedMs: 0 });
      } else if ([...running, ...this.#queue].some((known) => isOf(known, piece, parent))) {
        // An owner that forgot what it assigned assigns it again: the report at its end answers for both.
        // A refusal would be answered with the same assignment, without end.
        continue;
      } else if (running.length === 1 && running[0]!.isOverdue) {
        this.#fetch(nowUs, { piece, parent, address, notBeforeUs: 0 }, effects);
      } else {
        this.#dropQueued((queued) => queued.piece === piece);
        this.#queue.push({ piece, parent, address, notBeforeUs: nowUs });
      }
    }
  }

  #fetched(
    nowUs: number,
    event: DownloadEvent & { kind: "fetched" },
    effects: DownloadEffect[],
  ): void {
    const at = this.#fetches.findIndex((fetch) => fetch.number === event.fetch);
    // A cancelled fetch was reported when it was cancelled.
    if (at === -1) return;
    const fetch = this.#fetches[at]!;
    this.#fetches.splice(at, 1);
    const { piece, parent, address } = fetch;
    if (event.outcome === PieceOutcome.finished) {
      this.#times.add(nowUs - fetch.startedUs);
      this.#gain(piece);
      this.#cancelFetches(piece, effects);
    } else if (event.outcome === PieceOutcome.busy && !this.#isConnected) {
      this.#queue.push({ piece, parent, address, notBeforeUs: nowUs + event.retryAfterMs * 1000 });
    } else if (event.outcome === PieceOutcome.corrupt) {
      this.#dropQueued((queued) => queued.address === address);
    }
    this.#report({
      piece,
      parent,
      outcome: event.outcome,
      elapsedMs: Math.max(1, event.elapsedMs),
    });
  }

  #woke(nowUs: number, effects: DownloadEffect[]): void {
    this.#wakeAtUs = Infinity;
    const overdue: number[] = [];
    for (const fetch of this.#fetches) {
      if (fetch.overdueAtUs > nowUs) continue;
      fetch.overdueAtUs = nowUs + REPEAT_OVERDUE_US;
      fetch.isOverdue = true;
      if (this.#fetches.every((other) => other === fetch || other.piece !== fetch.piece))
        overdue.push(fetch.piece);
    }
    if (this.#isConnected && (overdue.length > 0 || this.#isIdleTooLong(nowUs)))
      this.#pull(nowUs, overdue, effects);
  }

  #isIdleTooLong(nowUs: number): boolean {
    return this.#fetches.length === 0 && nowUs - this.#pulledAtUs >= REPEAT_PULL_US;
  }

  /** An assignment of a piece that another parent is sending in time waits for its end. */
  #isComing(piece: number): boolean {
    return this.#fetches.some((fetch) => fetch.piece === piece && !fetch.isOverdue);
  }

  #startQueued(nowUs: number, effects: DownloadEffect[]): void {
    while (this.#fetches.length < this.#slots) {
      const at = this.#queue.findIndex(
        (queued) => queued.notBeforeUs <= nowUs && !this.#isComing(queued.piece),
      );
      if (at === -1) return;
      const [next] = this.#queue.splice(at, 1);
      this.#fetch(nowUs, next!, effects);
    }
  }

  #fetch(nowUs: number, { piece, parent, address }: QueuedPiece, effects: DownloadEffect[]): void {
    const number = this.#nextFetch++;
    const overdueAtUs = nowUs + this.#times.overdueAfterUs;
    this.#fetches.push({
      number,
      piece,
      parent,
      address,
      startedUs: nowUs,
      overdueAtUs,
      isOverdue: false,
    });
    effects.push({ kind: "fetch", fetch: number, piece, parent, address });
  }

  #gain(piece: number): void {
    if (piece >= this.#have.size)
      this.#have = this.#have.grownTo(Math.max(piece + 1, this.#have.size * 2));
    this.#have.add(piece);
    this.#dropQueued((queued) => queued.piece === piece);
  }

  #dropQueued(isUnwanted: (queued: QueuedPiece) => boolean): void {
    if (this.#queue.length === 0) return;
    this.#queue = this.#queue.filter((queued) => {
      if (!isUnwanted(queued)) return true;
      const { piece, parent } = queued;
      this.#report({ piece, parent, outcome: PieceOutcome.cancelled, elapsedMs: 0 });
      return false;
    });
  }

  /** Stops the slower transfers of a piece that is here. */
  #cancelFetches(piece: number, effects: DownloadEffect[]): void {
    for (let at = this.#fetches.length - 1; at >= 0; at--) {
      const fetch = this.#fetches[at]!;
      if (fetch.piece !== piece) continue;
      this.#fetches.splice(at, 1);
      effects.push({ kind: "cancel", fetch: fetch.number });
      this.#report({ piece, parent: fetch.parent, outcome: PieceOutcome.cancelled, elapsedMs: 0 });
    }
  }

  #report(report: PieceReport): void {
    this.#reports.push(report);
    this.#owesPull = true;
  }

  #pull(nowUs: number, overdue: number[], effects: DownloadEffect[]): void {
    const isShort = this.#times.typicalUs < AHEAD_BELOW_US && this.#slots > 0;
    const slots = this.#slots + (isShort ? 1 : 0);
    effects.push({ kind: "pull", pull: { slots, reports: this.#reports, overdue } });
    this.#reports = [];
    this.#owesPull = false;
    this.#pulledAtUs = nowUs;
  }

  #finish(effects: DownloadEffect[]): void {
    if (this.#isComplete || this.#pieceCount === null || this.#have.count < this.#pieceCount)
      return;
    this.#isComplete = true;
    effects.push({ kind: "complete" });
  }

  #planWake(nowUs: number, effects: DownloadEffect[]): void {
    const atUs = this.#nextWakeUs(nowUs);
    // An earlier wake than needed does no harm, and saves an effect per piece.
    if (atUs >= this.#wakeAtUs && this.#wakeAtUs > nowUs) return;
    if (atUs === Infinity) return;
    this.#wakeAtUs = atUs;
    effects.push({ kind: "wakeAt", atUs });
  }

  #nextWakeUs(nowUs: number): number {
    if (this.#isComplete) return Infinity;
    let atUs = Infinity;
    for (const fetch of this.#fetches) atUs = Math.min(atUs, fetch.overdueAtUs);
    if (this.#fetches.length < this.#slots)
      for (const { piece, notBeforeUs } of this.#queue)
        if (!this.#isComing(piece)) atUs = Math.min(atUs, notBeforeUs);
    if (this.#isConnected && this.#fetches.length === 0)
      atUs = Math.min(atUs, this.#pulledAtUs + REPEAT_PULL_US);
    return Math.max(atUs, nowUs + 1);
  }
}

function isOf(
  known: Pick<QueuedPiece, "piece" | "parent">,
  piece: number,
  parent: number,
): boolean {
  return known.piece === piece && known.parent === parent;
}
