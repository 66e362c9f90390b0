// One read of a source under way on the source worker: the source's sink. Makes the pieces, writes
// them and digests the whole in order.

import { type FileHandle, open } from "node:fs/promises";
import { InOrderDigest } from "../../engine/bytes/in-order-digest.ts";
import { Pacer, admitThroughAll, requestBytesThroughAll } from "../../engine/bytes/pacing.ts";
import { Manifest, type PieceRow } from "../../engine/core/manifest.ts";
import { assert } from "../../engine/core/machine.ts";
import { type PieceLayout, pieceLengthAt } from "../../engine/core/piece-layout.ts";
import { PieceSet } from "../../engine/core/piece-set.ts";
import { DfError, messageOf } from "../../errors.ts";
import type { EgressGuard } from "../../net/egress/egress-guard.ts";
import { readSource } from "../../net/source/read-source.ts";
import type { SourceFacts, SourceSink } from "../../net/source/source-read.ts";
import { writeError } from "../../store/file-errors.ts";
import { PieceMaker } from "./piece-maker.ts";
import type { PieceMakers } from "./piece-makers.ts";
import { ReadBack } from "./read-back.ts";
import type { SourceWorkerOrder, SourceWorkerReport } from "./source-worker-messages.ts";

type ReadOrder = Extract<SourceWorkerOrder, { kind: "read" }>;
type ContentOrder = Extract<SourceWorkerOrder, { kind: "content" }>;

/** What all reads of the worker share. */
export interface SharedByReads {
  sourcePacer: Pacer;
  diskPacer: Pacer;
  egress: EgressGuard;
  makers: PieceMakers;
  report: (message: SourceWorkerReport) => void;
}

/** What a read has once its content is known. */
interface OpenContent {
  maker: PieceMaker;
  /** Of the whole; null in the read of a part. */
  digest: InOrderDigest | null;
  close: () => Promise<void>;
}

export class ContentRead implements SourceSink {
  readonly #order: ReadOrder;
  readonly #shared: SharedByReads;
  readonly #pacer: Pacer;
  readonly #cancel = new AbortController();
  readonly #content = Promise.withResolvers<ContentOrder>();
  #open: OpenContent | null = null;

  constructor(order: ReadOrder, shared: SharedByReads) {
    this.#order = order;
    this.#shared = shared;
    this.#pacer = new Pacer(order.rateBytesPerSec);
    // A read that fails before anyone waits for the content must not be an unhandled rejection.
    this.#content.promise.catch(() => {});
  }

  setRate(rateBytesPerSec: number | null): void {
    this.#pacer.setRate(rateBytesPerSec);
  }

  cancel(): void {
    this.#fail(new DfError("interrupted", "read a source: cancelled"));
  }

  contentIs(order: ContentOrder): void {
    this.#content.resolve(order);
  }

  /** Never rejects: what went wrong is reported. */
  async run(): Promise<void> {
    const end = await this.#read().catch((error: unknown) => this.#failure(error));
    // Nobody writes to the content any more once the end is told.
    await this.#open?.close();
    this.#shared.report(end);
  }

  async opened(facts: SourceFacts): ReturnType<SourceSink["opened"]> {
    this.#shared.report({ kind: "facts", read: this.#order.read, facts });
    const content = await this.#content.promise;
    const { dataPath, layout, have: words, pieceCount } = content;
    const file = await open(dataPath, "r+").catch((cause: unknown) => {
      throw writeError(`open ${dataPath}`, cause);
    });
    const have = new PieceSet(pieceCount, words);
    this.#open = this.#openContent(content, file, have);
    return { layout, have };
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    const { maker, digest } = this.#opened;
    await maker.take(offset, bytes, this.#cancel.signal);
    digest?.offer(offset, bytes);
  }

  pieceRead(index: number, length: number, sha256: Uint8Array): void {
    this.#opened.maker.finish(index, length, sha256);
  }

  async #read(): Promise<SourceWorkerReport> {
    const { read, request, wantsSha256, isPart } = this.#order;
    const { signal } = this.#cancel;
    const pacers = [this.#pacer, this.#shared.sourcePacer];
    const admit = (bytes: number) => admitThroughAll(pacers, bytes, signal);
    const requestBytesMax = () => requestBytesThroughAll(pacers);
    const order = { ...request, egress: this.#shared.egress, admit, requestBytesMax };
    const { length, bodyBytes } = await readSource(order, this, signal);
    await this.#opened.maker.settled();
    signal.throwIfAborted();
    if (isPart) return { kind: "partEnded", read };
    const digests = await this.#opened.digest!.finish(length);
    const sha256 = wantsSha256 ? digests.get("sha256")! : null;
    return { kind: "ended", read, length, md5: digests.get("md5")!, sha256, bodyBytes };
  }

  /** The first failure is the cause of those that follow. */
  #failure(error: unknown): SourceWorkerReport {
    const cause = asDfError(this.#cancel.signal.reason ?? error);
    return { kind: "failed", read: this.#order.read, error: cause.toWire() };
  }

  get #opened(): OpenContent {
    assert(this.#open !== null, "bytes come after their content was opened");
    return this.#open;
  }

  #fail(error: DfError): void {
    this.#cancel.abort(error);
    this.#content.reject(error);
    // Nobody waits until 30 GB are read back for a digest that is not wanted any more.
    void this.#open?.digest?.stop();
  }

  #openContent(content: ContentOrder, file: FileHandle, have: PieceSet): OpenContent {
    const { contentId, dataPath, layout, forming, rows: known } = content;
    const { makers, diskPacer } = this.#shared;
    const { signal } = this.#cancel;
    /** Rows of the pieces that are in the data file, to read them back by. */
    const manifest = new Manifest(layout);
    const rows = new Map<number, PieceRow>();
    for (const { index, row } of known) {
      if (have.has(index)) manifest.append(index, row);
      else rows.set(index, row);
    }
    const back = new ReadBack({ contentId, dataPath, file, manifest, key: forming.key });
    const digest = this.#order.isPart ? null : this.#digestOf(layout, back);
    const write = async (offset: number, bytes: Uint8Array): Promise<void> => {
      await diskPacer.admit(bytes.length, signal);
      await writeAll(file, offset, bytes);
    };
    const maker = new PieceMaker({
      ...{ ...forming, contentId, layout, rows, makers, write },
      made: (index, row, lookMs) => {
        manifest.append(index, row);
        digest?.pieceDone(index, row.plainLength);
        this.#shared.report({ kind: "pieceRead", read: this.#order.read, index, row, lookMs });
      },
      failed: (error) => this.#fail(asDfError(error)),
    });
    for (const index of have) digest?.pieceDone(index, pieceLengthAt(layout, index));
    const close = async (): Promise<void> => {
      await maker.close();
      // It reads this very file.
      await digest?.stop();
      await file.close();
    };
    return { maker, digest, close };
  }

  #digestOf({ pieceLength }: PieceLayout, back: ReadBack): InOrderDigest {
    return new InOrderDigest({
      pieceLength,
      algorithms: this.#order.wantsSha256 ? ["md5", "sha256"] : ["md5"],
      read: (offset, length) => back.read(offset, length),
    });
  }
}

function asDfError(error: unknown): DfError {
  return error instanceof DfError ? error : new DfError("internal", messageOf(error));
}

async function writeAll(file: FileHandle, offset: number, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const rest = bytes.length - done;
    const { bytesWritten } = await file
      .write(bytes, done, rest, offset + done)
      .catch((cause: unknown) => {
        throw writeError("write what a source sent", cause);
      });
    done += bytesWritten;
  }
}
