// The middle of a source read that has ranges: several connections, each of which takes the next
// run of missing pieces in order and keeps it until its last byte, over as many requests as that needs.

import { pieceLengthAt, pieceOffset } from "../../engine/core/piece-layout.ts";
import type { PieceSet } from "../../engine/core/piece-set.ts";
import { contentRangeOf, factsOf } from "./source-answer.ts";
import type { SourceAnswer } from "./exchange.ts";
import { expectStatus } from "./source-client.ts";
import { PieceCutter } from "./piece-cutter.ts";
import type { OpenRead } from "./open-read.ts";
import { throwIfInterrupted } from "./retry-gate.ts";
import { SourceFault, finalFault, sourceChanged, transientFault } from "./source-fault.ts";

/**
 * Bytes of one request: as many as take about a second, so that a round trip between two requests
 * does not show and the content still arrives nearly in order.
 */
const RUN_BYTES_START = 1 << 20;
const RUN_BYTES_MIN = 256 << 10;
const RUN_BYTES_MAX = 64 << 20;

/** A run that took less is followed by one of twice its length, one that took more by one of half. */
const RUN_MS_MIN = 500;
const RUN_MS_MAX = 2_000;

/** Consecutive missing pieces that one connection has taken on. */
interface Run {
  cutter: PieceCutter;
  /** Offset after the last byte. */
  end: number;
}

/** Thrown when a source that gave ranges answers with a whole body of the same version. */
class RangesRefused extends Error {
  override readonly name = "RangesRefused";
}

export class RangedRead {
  readonly #read: OpenRead;
  readonly #have: PieceSet;
  readonly #signal: AbortSignal;
  readonly #connections = new AbortController();
  /** Where the search for the next missing piece goes on; all before it is taken. */
  #cursor = 0;
  /** Runs that a retired connection left behind. */
  readonly #left: Run[] = [];
  #active = 0;
  #runBytes = RUN_BYTES_START;

  /** @param have the pieces that need not be read */
  constructor(read: OpenRead, have: PieceSet, signal: AbortSignal) {
    this.#read = read;
    this.#have = have;
    this.#signal = AbortSignal.any([signal, this.#connections.signal]);
  }

  /**
   * Reads everything that is missing, beginning with the body of `first`.
   * @returns false when the source stopped giving ranges: the rest must be streamed
   */
  async run(first: SourceAnswer): Promise<boolean> {
    const tasks = [this.#connection(first)];
    while (tasks.length < this.#read.request.connections) tasks.push(this.#connection(null));
    try {
      await Promise.all(tasks);
      return true;
    } catch (error) {
      this.#connections.abort();
      // Nobody may write to the sink after this returns.
      await Promise.allSettled(tasks);
      if (error instanceof RangesRefused) return false;
      throw error;
    }
  }

  async #connection(first: SourceAnswer | null): Promise<void> {
    this.#active++;
    let answer = first;
    for (let run = this.#take(); run !== null; run = this.#take()) {
      const startedMs = performance.now();
      if (!(await this.#finish(run, answer))) return;
      answer = null;
      this.#adaptRuns(performance.now() - startedMs);
    }
    this.#active--;
  }

  #adaptRuns(tookMs: number): void {
    if (tookMs < RUN_MS_MIN) this.#runBytes = Math.min(RUN_BYTES_MAX, this.#runBytes * 2);
    if (tookMs > RUN_MS_MAX) this.#runBytes = Math.max(RUN_BYTES_MIN, this.#runBytes / 2);
  }

  /** The next missing pieces: at least one, at most `#runBytes`; null when all are taken. */
  #take(): Run | null {
    const left = this.#left.shift();
    if (left !== undefined) return left;
    const { layout } = this.#read;
    const first = this.#have.firstMissing(this.#cursor);
    if (first === this.#have.size) return null;
    const start = pieceOffset(layout, first);
    let next = first;
    let end = start;
    do {
      end += pieceLengthAt(layout, next);
      next++;
    } while (next < this.#have.size && !this.#have.has(next) && end - start < this.#runBytes);
    this.#cursor = next;
    return { cutter: new PieceCutter(this.#read, start), end };
  }

  /** Reads a run to its end; false when this connection retired and left the run to the others. */
  async #finish(run: Run, first: SourceAnswer | null): Promise<boolean> {
    let answer = first;
    if (answer !== null && contentRangeOf(answer.headers)?.bytes?.first !== run.cutter.position) {
      // The sink had pieces of which the request did not know.
      answer.close();
      answer = null;
    }
    while (run.cutter.position < run.end) {
      let isAnswered = false;
      const startedAtMs = await this.#read.gate.ready(this.#signal);
      try {
        const current = answer ?? (await this.#ask(run));
        answer = null;
        isAnswered = true;
        await this.#copy(run, current);
      } catch (error) {
        throwIfInterrupted(this.#signal);
        if (!(error instanceof SourceFault)) throw error;
        // A source that serves some connections and refuses one more has told its limit.
        if (!isAnswered && error.isTransient && this.#active > 1) {
          // In the same turn as the test: the last active connection must not retire.
          this.#active--;
          this.#left.push(run);
          return false;
        }
        if (this.#read.facts.validator === null) throw error;
        this.#read.gate.failed(error, startedAtMs);
      }
    }
    return true;
  }

  async #ask(run: Run): Promise<SourceAnswer> {
    const { client, facts, request } = this.#read;
    const first = run.cutter.position;
    const limit = request.requestBytesMax?.() ?? null;
    const end = limit === null ? run.end : Math.min(run.end, first + limit);
    if (limit !== null) await request.admit(end - first);
    const headers: Record<string, string> = { range: `bytes=${first}-${end - 1}` };
    const isNamed = request.digest !== undefined;
    if (facts.validator !== null && !isNamed) headers["if-range"] = facts.validator;
    const answer = await client.ask(headers, this.#signal);
    if (limit !== null) answer.admittedBytes = end - first;
    if (answer.status !== 200 && answer.status !== 416) expectStatus(answer, [206]);
    try {
      this.#check(answer, first);
      return answer;
    } catch (error) {
      answer.close();
      throw error;
    }
  }

  /** Every answer must repeat the version and the total, and begin where it was asked to. */
  #check(answer: SourceAnswer, first: number): void {
    const { facts, request, what } = this.#read;
    const range = contentRangeOf(answer.headers);
    const total = answer.status === 200 ? factsOf(answer).length : (range?.total ?? null);
    const isSameTotal = total === null || total === facts.length;
    if (!isSameTotal) throw sourceChanged(request.url);
    if (answer.status === 416) {
      throw finalFault("protocol", `${what}: the source refused a range within the length it gave`);
    }
    if (!this.#read.isOfVersion(answer)) {
      const isUnnamed =
        answer.headers.etag === undefined && answer.headers["last-modified"] === undefined;
      if (!isUnnamed) throw sourceChanged(request.url);
      throw finalFault(
        "protocol",
        `${what}: a part came without the validator of the first answer`,
      );
    }
    if (answer.status === 200) throw new RangesRefused();
    if (range === null || range.total === null || range.bytes?.first !== first) {
      const type = answer.headers["content-type"] ?? "";
      const problem = type.startsWith("multipart/") ? "multipart ranges" : "a wrong Content-Range";
      throw finalFault("protocol", `${what}: the source answered with ${problem}`);
    }
  }

  /** Copies as much of the run as the answer carries; bytes past the run's end are left unread. */
  async #copy(run: Run, answer: SourceAnswer): Promise<void> {
    const before = run.cutter.position;
    const range = contentRangeOf(answer.headers)?.bytes;
    const answerEnd = (range?.last ?? run.end - 1) + 1;
    const end = Math.min(run.end, answerEnd);
    for await (const bytes of this.#read.body(answer)) {
      await run.cutter.push(bytes.subarray(0, end - run.cutter.position));
      // Leaving early costs the connection; an exact answer is read to its end and keeps it.
      if (run.cutter.position === end && answerEnd > end) break;
    }
    const { what } = this.#read;
    if (run.cutter.position < end) throw transientFault("network", `${what}: a range ended early`);
    if (run.cutter.position === before) throw transientFault("protocol", `${what}: an empty range`);
  }
}
