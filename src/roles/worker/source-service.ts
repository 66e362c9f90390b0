// The main thread's handle on the source worker: starts it with the first read and turns its reports
// into verified pieces of stored contents. Used by the supernode and by a peer's own reads.

import { type PieceRow, sameBytes } from "../../engine/core/manifest.ts";
import { assert } from "../../engine/core/machine.ts";
import { PieceSet } from "../../engine/core/piece-set.ts";
import { DfError } from "../../errors.ts";
import { PROBE_CONNECTIONS } from "../../limits.ts";
import { EgressGuard } from "../../net/egress/egress-guard.ts";
import type { EgressPolicy } from "../../net/egress/egress-policy.ts";
import { sourceChanged } from "../../net/source/source-fault.ts";
import type { SourceFacts } from "../../net/source/source-read.ts";
import { redactUrl } from "../../net/task-request.ts";
import type { StoredContent } from "../../store/piece-store.ts";
import type {
  SourceLimits,
  SourceOrder,
  SourceReadEnd,
  SourceWorkerOrder,
  SourceWorkerReport,
} from "./source-worker-messages.ts";
import { startWorker } from "./start-worker.ts";

export interface SourceReadOptions {
  request: SourceOrder;
  /** Whether the whole content's SHA-256 is wanted beside its MD5. @defaultValue false */
  wantsSha256?: boolean;
  /** Bytes per second of this read alone. @defaultValue null, no limit */
  rateBytesPerSec?: number | null;
  /** The source answered: gives the content to fill. What it throws ends the read. */
  opened: (facts: SourceFacts) => Promise<StoredContent>;
  /**
   * Whether pieces that no row describes are compressed where that shrinks them; they are sealed where
   * the content has a key. @defaultValue false
   */
  compresses?: boolean;
  /** The piece is committed to the content. */
  pieceStored: (index: number, row: PieceRow) => void;
}

/** A run of pieces. */
export interface PieceRun {
  piece: number;
  count: number;
}

export interface SourceService {
  /**
   * Reads what the content lacks. Its digests are not recorded: `complete` is the caller's.
   * @throws {DfError} as readSource, no-space, file-unwritable, or what `opened` threw
   */
  read(options: SourceReadOptions, signal: AbortSignal): Promise<SourceReadEnd>;
  /**
   * Reads those of some pieces that the content lacks, from a source that gives ranges.
   * @throws {DfError} as `read`; protocol when the source gives only the whole
   */
  readPart(options: SourceReadOptions, part: PieceRun, signal: AbortSignal): Promise<void>;
  setLimits(limits: SourceLimits): void;
  /** For probes by this thread, on the same terms as reads. */
  readonly egress: EgressGuard;
  /** Where sources may be from now on, for reads and `egress`. */
  setEgress(policy: EgressPolicy): void;
  /** Time spent to find out whether pieces shrink, all reads together. */
  readonly lookMs: number;
  /** Ends the worker; reads under way fail with interrupted. */
  stop(): void;
}

export function createSourceService(limits: SourceLimits, egress: EgressPolicy): SourceService {
  return new WorkerSourceService(limits, egress);
}

class WorkerSourceService implements SourceService {
  readonly #reads = new Map<number, SourceReadUnderWay>();
  #worker: Worker | null = null;
  readonly egress: EgressGuard;
  #limits: SourceLimits;
  #nextRead = 0;
  lookMs = 0;

  constructor(limits: SourceLimits, egress: EgressPolicy) {
    this.#limits = limits;
    this.egress = new EgressGuard({ policy: egress, ...PROBE_CONNECTIONS });
  }

  async read(options: SourceReadOptions, signal: AbortSignal): Promise<SourceReadEnd> {
    const end = await this.#run(options, null, signal);
    assert(end !== null, "a read of the whole ends with its digests");
    return end;
  }

  async readPart(options: SourceReadOptions, part: PieceRun, signal: AbortSignal): Promise<void> {
    await this.#run(options, part, signal);
  }

  async #run(
    options: SourceReadOptions,
    part: PieceRun | null,
    signal: AbortSignal,
  ): Promise<SourceReadEnd | null> {
    const read = this.#nextRead++;
    const worker = this.#started();
    const post = (order: SourceWorkerOrder): void => worker.postMessage(order);
    const underWay = new SourceReadUnderWay({ ...options, part }, read, post);
    this.#reads.set(read, underWay);
    try {
      return await underWay.run(signal);
    } finally {
      this.#reads.delete(read);
    }
  }

  setLimits(limits: SourceLimits): void {
    this.#limits = limits;
    if (this.#worker !== null) orderTo(this.#worker, { kind: "limit", limits });
  }

  setEgress(policy: EgressPolicy): void {
    this.egress.become(policy);
    if (this.#worker !== null) orderTo(this.#worker, { kind: "egress", policy });
  }

  stop(): void {
    this.#end(new DfError("interrupted", "read a source: stopping"));
  }

  #started(): Worker {
    if (this.#worker !== null) return this.#worker;
    const worker = startWorker("source-worker");
    worker.onmessage = (message: MessageEvent<SourceWorkerReport>) => {
      if (message.data.kind === "pieceRead") this.lookMs += message.data.lookMs;
      this.#reads.get(message.data.read)?.reported(message.data);
    };
    worker.onerror = (event) => {
      this.#end(new DfError("internal", `read a source: the worker died: ${event.message}`));
    };
    orderTo(worker, { kind: "egress", policy: this.egress.policy });
    orderTo(worker, { kind: "limit", limits: this.#limits });
    this.#worker = worker;
    return worker;
  }

  #end(error: DfError): void {
    this.#worker?.terminate();
    this.#worker = null;
    for (const read of this.#reads.values()) read.fail(error);
  }
}

interface UnderWayOptions extends SourceReadOptions {
  /** Null: all that is missing. */
  part: PieceRun | null;
}

class SourceReadUnderWay {
  readonly #options: UnderWayOptions;
  readonly #read: number;
  readonly #order: (order: SourceWorkerOrder) => void;
  /** Null: a part was read. */
  readonly #end = Promise.withResolvers<SourceReadEnd | null>();
  #content: StoredContent | null = null;

  constructor(options: UnderWayOptions, read: number, order: (order: SourceWorkerOrder) => void) {
    this.#options = options;
    this.#read = read;
    this.#order = order;
  }

  async run(signal: AbortSignal): Promise<SourceReadEnd | null> {
    const cancel = (): void => this.#order({ kind: "cancel", read: this.#read });
    const { request, wantsSha256 = false, rateBytesPerSec = null, part } = this.#options;
    const isPart = part !== null;
    this.#order({ kind: "read", read: this.#read, request, wantsSha256, isPart, rateBytesPerSec });
    if (signal.aborted) cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      return await this.#end.promise;
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }

  reported(report: SourceWorkerReport): void {
    switch (report.kind) {
      case "facts":
        void this.#open(report.facts);
        break;
      case "pieceRead":
        this.#store(report);
        break;
      case "ended":
        this.#end.resolve(report);
        break;
      case "partEnded":
        this.#end.resolve(null);
        break;
      case "failed":
        this.fail(DfError.fromWire(report.error));
        break;
    }
  }

  /** Only the first failure counts. */
  fail(error: unknown): void {
    this.#end.reject(error);
  }

  async #open(facts: SourceFacts): Promise<void> {
    const { part, opened, compresses = false, request } = this.#options;
    try {
      if (part !== null && !facts.acceptsRanges) throw givesNoRanges(request.url);
      this.#content = await opened(facts);
    } catch (error) {
      this.#giveUp(error);
      return;
    }
    const {
      facts: { contentId },
      dataPath,
      have,
      manifest,
      key,
    } = this.#content;
    const rows = manifest.learned.map((index) => ({ index, row: manifest.row(index)! }));
    this.#order({
      kind: "content",
      read: this.#read,
      contentId,
      dataPath,
      layout: manifest.layout,
      have: part === null ? have.words.slice() : allBut(part, have).words,
      pieceCount: have.size,
      rows,
      forming: { compresses, key: key?.reveal() ?? null },
    });
  }

  #store({ index, row }: Extract<SourceWorkerReport, { kind: "pieceRead" }>): void {
    const content = this.#content!;
    const known = content.manifest.row(index);
    if (known !== undefined && !sameBytes(known.wireSha256, row.wireSha256)) {
      // A row from before a restart says otherwise: the bytes changed under the same validator.
      if (!sameBytes(known.plainSha256, row.plainSha256))
        this.#giveUp(sourceChanged(this.#options.request.url));
      // Else the owner told meanwhile that it has the piece in another form: it comes from there.
      return;
    }
    content.addRow(index, row);
    content.commitPiece(index);
    this.#options.pieceStored(index, row);
  }

  #giveUp(error: unknown): void {
    this.fail(error);
    this.#order({ kind: "cancel", read: this.#read });
  }
}

/** Everything counts as there, but what is missing of a part. */
function allBut({ piece, count }: PieceRun, have: PieceSet): PieceSet {
  const there = PieceSet.full(have.size);
  for (let index = piece; index < piece + count; index++) if (!have.has(index)) there.delete(index);
  return there;
}

function givesNoRanges(url: string): DfError {
  return new DfError("protocol", `read pieces of ${redactUrl(url)}: the source gives no ranges`);
}

function orderTo(worker: Worker, order: SourceWorkerOrder): void {
  worker.postMessage(order);
}
