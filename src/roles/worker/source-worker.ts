// Entry point of the source worker: reads sources on a thread of its own, writes their pieces into
// data files and digests whole contents in order. See source-service.ts for the other side.

import { type FileHandle, open } from "node:fs/promises";
import { InOrderDigest } from "../../engine/bytes/in-order-digest.ts";
import { Pacer, admitThroughAll, requestBytesThroughAll } from "../../engine/bytes/pacing.ts";
import { assert } from "../../engine/core/machine.ts";
import { pieceLengthAt } from "../../engine/core/piece-layout.ts";
import { PieceSet } from "../../engine/core/piece-set.ts";
import { DfError, messageOf } from "../../errors.ts";
import { readSource } from "../../net/source/read-source.ts";
import type { SourceFacts, SourceSink } from "../../net/source/source-read.ts";
import { writeError } from "../../store/file-errors.ts";
import type { SourceWorkerOrder, SourceWorkerReport } from "./source-worker-messages.ts";

declare const self: Worker;

type ReadOrder = Extract<SourceWorkerOrder, { kind: "read" }>;
type ContentOrder = Extract<SourceWorkerOrder, { kind: "content" }>;

const sourcePacer = new Pacer(null);
const diskPacer = new Pacer(null);
const reads = new Map<number, ContentRead>();

/** One read under way: the source's sink. */
class ContentRead implements SourceSink {
  readonly #order: ReadOrder;
  readonly #pacer: Pacer;
  readonly #cancel = new AbortController();
  readonly #content = Promise.withResolvers<ContentOrder>();
  #file: FileHandle | null = null;
  /** Of the whole; null before the content is open, and in the read of a part. */
  #digest: InOrderDigest | null = null;

  constructor(order: ReadOrder) {
    this.#order = order;
    this.#pacer = new Pacer(order.rateBytesPerSec);
    // A read that fails before anyone waits for the content must not be an unhandled rejection.
    this.#content.promise.catch(() => {});
  }

  setRate(rateBytesPerSec: number | null): void {
    this.#pacer.setRate(rateBytesPerSec);
  }

  cancel(): void {
    const error = new DfError("interrupted", "read a source: cancelled");
    this.#cancel.abort(error);
    this.#content.reject(error);
  }

  contentIs(order: ContentOrder): void {
    this.#content.resolve(order);
  }

  async run(): Promise<void> {
    const { read, request, wantsSha256 } = this.#order;
    const { signal } = this.#cancel;
    const pacers = [this.#pacer, sourcePacer];
    try {
      const admit = (bytes: number) => admitThroughAll(pacers, bytes, signal);
      const requestBytesMax = () => requestBytesThroughAll(pacers);
      const order = { ...request, admit, requestBytesMax };
      const { length, bodyBytes } = await readSource(order, this, signal);
      if (this.#order.isPart) return report({ kind: "partEnded", read });
      assert(this.#digest !== null, "a read that ended had opened its content");
      const digests = await this.#digest.finish(length);
      const sha256 = wantsSha256 ? digests.get("sha256")! : null;
      report({ kind: "ended", read, length, md5: digests.get("md5")!, sha256, bodyBytes });
    } catch (error) {
      const failure = error instanceof DfError ? error : new DfError("internal", messageOf(error));
      report({ kind: "failed", read, error: failure.toWire() });
    } finally {
      reads.delete(read);
      await this.#file?.close();
    }
  }

  async opened(facts: SourceFacts): ReturnType<SourceSink["opened"]> {
    report({ kind: "facts", read: this.#order.read, facts });
    const { dataPath, layout, have: words, pieceCount } = await this.#content.promise;
    const file = await open(dataPath, "r+").catch((cause: unknown) => {
      throw writeError(`open ${dataPath}`, cause);
    });
    this.#file = file;
    const have = new PieceSet(pieceCount, words);
    if (this.#order.isPart) return { layout, have };
    this.#digest = new InOrderDigest({
      pieceLength: layout.pieceLength,
      algorithms: this.#order.wantsSha256 ? ["md5", "sha256"] : ["md5"],
      read: (offset, length) => readBack(file, offset, length),
    });
    for (const index of have) this.#digest.pieceDone(index, pieceLengthAt(layout, index));
    return { layout, have };
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    await diskPacer.admit(bytes.length, this.#cancel.signal);
    for (let done = 0; done < bytes.length;) {
      const rest = bytes.length - done;
      const { bytesWritten } = await this.#file!
        .write(bytes, done, rest, offset + done)
        .catch((cause: unknown) => {
          throw writeError("write what a source sent", cause);
        });
      done += bytesWritten;
    }
    this.#digest?.offer(offset, bytes);
  }

  pieceRead(index: number, length: number, sha256: Uint8Array): void {
    this.#digest?.pieceDone(index, length);
    report({ kind: "pieceRead", read: this.#order.read, index, length, sha256 });
  }
}

async function readBack(file: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  const { bytesRead } = await file.read(bytes, 0, length, offset);
  return bytes.subarray(0, bytesRead);
}

function report(message: SourceWorkerReport): void {
  self.postMessage(message);
}

self.onmessage = (message: MessageEvent<SourceWorkerOrder>) => {
  const order = message.data;
  switch (order.kind) {
    case "read": {
      const read = new ContentRead(order);
      reads.set(order.read, read);
      void read.run();
      break;
    }
    case "content":
      reads.get(order.read)?.contentIs(order);
      break;
    case "cancel":
      reads.get(order.read)?.cancel();
      break;
    case "limitRead":
      reads.get(order.read)?.setRate(order.rateBytesPerSec);
      break;
    case "limit":
      sourcePacer.setRate(order.limits.sourceRateBytesPerSec);
      diskPacer.setRate(order.limits.diskRateBytesPerSec);
      break;
  }
};
