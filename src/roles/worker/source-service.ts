// The main thread's handle on the source worker: starts it with the first read and turns its reports
// into verified pieces of stored contents. Used by the supernode and by a peer's own reads.

import { type PieceRow, sameBytes } from "../../engine/core/manifest.ts";
import { DfError } from "../../errors.ts";
import { sourceChanged } from "../../net/source/source-fault.ts";
import type { SourceFacts } from "../../net/source/source-read.ts";
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
  /** The piece is committed to the content. */
  pieceStored: (index: number, row: PieceRow) => void;
}

export interface SourceService {
  /**
   * Reads what the content lacks. Its digests are not recorded: `complete` is the caller's.
   * @throws {DfError} as readSource, no-space, file-unwritable, or what `opened` threw
   */
  read(options: SourceReadOptions, signal: AbortSignal): Promise<SourceReadEnd>;
  setLimits(limits: SourceLimits): void;
  /** Ends the worker; reads under way fail with interrupted. */
  stop(): void;
}

export function createSourceService(limits: SourceLimits): SourceService {
  return new WorkerSourceService(limits);
}

class WorkerSourceService implements SourceService {
  readonly #reads = new Map<number, SourceReadUnderWay>();
  #worker: Worker | null = null;
  #limits: SourceLimits;
  #nextRead = 0;

  constructor(limits: SourceLimits) {
    this.#limits = limits;
  }

  read(options: SourceReadOptions, signal: AbortSignal): Promise<SourceReadEnd> {
    const read = this.#nextRead++;
    const worker = this.#started();
    const underWay = new SourceReadUnderWay(options, read, (order) => worker.postMessage(order));
    this.#reads.set(read, underWay);
    return underWay.run(signal).finally(() => this.#reads.delete(read));
  }

  setLimits(limits: SourceLimits): void {
    this.#limits = limits;
    if (this.#worker !== null) orderTo(this.#worker, { kind: "limit", limits });
  }

  stop(): void {
    this.#end(new DfError("interrupted", "read a source: stopping"));
  }

  #started(): Worker {
    if (this.#worker !== null) return this.#worker;
    const worker = startWorker("source-worker");
    worker.onmessage = (message: MessageEvent<SourceWorkerReport>) => {
      this.#reads.get(message.data.read)?.reported(message.data);
    };
    worker.onerror = (event) => {
      this.#end(new DfError("internal", `read a source: the worker died: ${event.message}`));
    };
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

class SourceReadUnderWay {
  readonly #options: SourceReadOptions;
  readonly #read: number;
  readonly #order: (order: SourceWorkerOrder) => void;
  readonly #end = Promise.withResolvers<SourceReadEnd>();
  #content: StoredContent | null = null;

  constructor(options: SourceReadOptions, read: number, order: (order: SourceWorkerOrder) => void) {
    this.#options = options;
    this.#read = read;
    this.#order = order;
  }

  async run(signal: AbortSignal): Promise<SourceReadEnd> {
    const cancel = (): void => this.#order({ kind: "cancel", read: this.#read });
    const { request, wantsSha256 = false, rateBytesPerSec = null } = this.#options;
    this.#order({ kind: "read", read: this.#read, request, wantsSha256, rateBytesPerSec });
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
    try {
      this.#content = await this.#options.opened(facts);
    } catch (error) {
      this.#giveUp(error);
      return;
    }
    const { dataPath, have, manifest } = this.#content;
    this.#order({
      kind: "content",
      read: this.#read,
      dataPath,
      layout: manifest.layout,
      have: have.words.slice(),
      pieceCount: have.size,
    });
  }

  #store({ index, length, sha256 }: Extract<SourceWorkerReport, { kind: "pieceRead" }>): void {
    const row: PieceRow = {
      form: "plain",
      wireLength: length,
      wireSha256: sha256,
      plainSha256: sha256,
    };
    const content = this.#content!;
    const known = content.manifest.row(index);
    if (known !== undefined && !sameBytes(known.wireSha256, sha256)) {
      // A row from before a restart says otherwise: the bytes changed under the same validator.
      this.#giveUp(sourceChanged(this.#options.request.url));
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

function orderTo(worker: Worker, order: SourceWorkerOrder): void {
  worker.postMessage(order);
}
