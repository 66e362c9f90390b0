// Reads a URL from its source in this process: without a swarm, or because the request is private.
// Several connections write into the output as bytes come; an earlier run's pieces are kept if the
// source still serves that version.

import { type DigestAlgorithm, type Checksum } from "../../engine/bytes/digest.ts";
import { InOrderDigest } from "../../engine/bytes/in-order-digest.ts";
import { Pacer, requestBytesThroughAll } from "../../engine/bytes/pacing.ts";
import { firstGap } from "../../engine/core/first-gap.ts";
import {
  type PieceLayout,
  pieceCountOf,
  pieceLengthAt,
  pieceLengthFor,
} from "../../engine/core/piece-layout.ts";
import { PieceSet } from "../../engine/core/piece-set.ts";
import { SOURCE_RETRY } from "../../engine/core/retry.ts";
import { DfError, isDfError } from "../../errors.ts";
import { SOURCE_CONNECTIONS } from "../../limits.ts";
import { readSource } from "../../net/source/read-source.ts";
import type {
  SourceAddress,
  SourceFacts,
  SourceRequest,
  SourceSink,
} from "../../net/source/source-read.ts";
import { verifyDigests } from "./verify-digests.ts";
import type { Output, OutputVersion } from "./output.ts";
import { NO_BYTES, type TransferResult, type TransferWatcher } from "./transfer.ts";

/** After this many versions of one source within a read, it changes faster than it can be read. */
const VERSIONS_MAX = 3;

export interface DirectDownload {
  readonly source: SourceAddress;
  /** Names what an unfinished output must be of. */
  readonly taskId: string;
  readonly shouldResume: boolean;
  readonly checksums: readonly Checksum[];
  /** Digests to compute besides those of `checksums`. */
  readonly digests: readonly DigestAlgorithm[];
  readonly limitRateBytesPerSec: number | null;
  readonly lengthMax: number | null;
  readonly tries: number;
}

/**
 * Brings one URL and commits the output.
 * @throws {DfError} what the source read throws; checksum, denied, source-changed, no-space, file-unwritable
 */
export async function downloadDirect(
  download: DirectDownload,
  output: Output,
  watcher: TransferWatcher,
  signal: AbortSignal,
): Promise<TransferResult> {
  const pacer = new Pacer(download.limitRateBytesPerSec);
  let earlier = download.shouldResume ? await output.resumable(download.taskId) : null;
  for (let version = 1; ; version++) {
    const sink = new DirectSink(download, output, watcher, earlier);
    try {
      const { length } = await readSource(
        {
          ...download.source,
          ...sink.resumeAt(),
          connections: output.isRandomAccess ? SOURCE_CONNECTIONS : 1,
          admit: (bytes) => pacer.admit(bytes, signal),
          requestBytesMax: () => requestBytesThroughAll([pacer]),
          retry: { ...SOURCE_RETRY, attemptsMax: download.tries },
        },
        sink,
        signal,
      );
      return await sink.finish(length);
    } catch (error) {
      if (!isDfError(error, "source-changed") || !output.isRandomAccess) throw error;
      if (version === VERSIONS_MAX) throw error;
      watcher.notice("the source changed: starting over");
      earlier = null;
    }
  }
}

/** Takes one version's bytes to the output and digests them in order. */
class DirectSink implements SourceSink {
  readonly #download: DirectDownload;
  readonly #output: Output;
  readonly #watcher: TransferWatcher;
  readonly #earlier: { version: OutputVersion; have: PieceSet } | null;
  #digest: InOrderDigest | null = null;
  #length: number | null = null;
  #cachedBytes = 0;
  #sourceBytes = 0;
  #lastByteAtMs = performance.now();

  constructor(
    download: DirectDownload,
    output: Output,
    watcher: TransferWatcher,
    earlier: { version: OutputVersion; have: PieceSet } | null,
  ) {
    this.#download = download;
    this.#output = output;
    this.#watcher = watcher;
    const canResume =
      earlier !== null && earlier.version.validator !== null && earlier.have.count > 0;
    this.#earlier = canResume ? earlier : null;
  }

  /** The part of the source request that asks to go on with the earlier version. */
  resumeAt(): Pick<SourceRequest, "expected" | "startAt" | "startBytes"> {
    if (this.#earlier === null) return { expected: null };
    const { version, have } = this.#earlier;
    // A complete file still asks, so that the source can say that it changed.
    return {
      expected: { validator: version.validator!, length: version.length },
      ...(firstGap(have, version) ?? { startBytes: 1 }),
    };
  }

  async opened(facts: SourceFacts): Promise<{ layout: PieceLayout; have: PieceSet }> {
    const { lengthMax } = this.#download;
    if (lengthMax !== null && facts.length !== null && facts.length > lengthMax) {
      throw new DfError("denied", `get ${facts.length} bytes: more than --max-filesize allows`);
    }
    const layout: PieceLayout = this.#earlier?.version ?? {
      length: facts.length,
      pieceLength: pieceLengthFor(facts.length),
    };
    const have =
      this.#earlier?.have ??
      new PieceSet(layout.length === null ? 0 : pieceCountOf(layout.length, layout.pieceLength));
    this.#length = layout.length;
    await this.#output.begin(
      {
        content: this.#download.taskId,
        validator: facts.validator,
        length: layout.length,
        pieceLength: layout.pieceLength,
      },
      this.#earlier !== null,
    );
    this.#openDigest(layout, have);
    this.#show();
    return { layout, have };
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    const { lengthMax } = this.#download;
    if (lengthMax !== null && offset + bytes.length > lengthMax) {
      throw new DfError("denied", `get more than ${lengthMax} bytes: --max-filesize forbids it`);
    }
    await this.#output.write(offset, bytes);
    this.#digest?.offer(offset, bytes);
    this.#sourceBytes += bytes.length;
    this.#lastByteAtMs = performance.now();
    this.#show();
  }

  pieceRead(index: number, length: number, sha256: Uint8Array): void {
    this.#output.pieceWritten(index, sha256);
    this.#digest?.pieceDone(index, length);
  }

  /** Compares digests, commits, and tells what was done. */
  async finish(length: number): Promise<TransferResult> {
    const digests = (await this.#digest?.finish(length)) ?? new Map<DigestAlgorithm, string>();
    verifyDigests(digests, this.#download.checksums);
    await this.#output.commit(length);
    const bytes = { ...NO_BYTES, source: this.#sourceBytes, cache: this.#cachedBytes };
    const wireBytes = this.#sourceBytes;
    return { length, bytes, wireBytes, digests, lastByteAtMs: this.#lastByteAtMs };
  }

  #openDigest(layout: PieceLayout, have: PieceSet): void {
    const wanted = new Set([
      ...this.#download.digests,
      ...this.#download.checksums.map(({ algorithm }) => algorithm),
    ]);
    if (wanted.size > 0) {
      this.#digest = new InOrderDigest({
        pieceLength: layout.pieceLength,
        algorithms: [...wanted],
        read: (offset, length) => this.#output.read(offset, length),
      });
    }
    for (const index of have) {
      const length = pieceLengthAt(layout, index);
      this.#cachedBytes += length;
      this.#digest?.pieceDone(index, length);
    }
  }

  #show(): void {
    this.#watcher.progress({
      doneBytes: this.#cachedBytes + this.#sourceBytes,
      length: this.#length,
      bytes: { ...NO_BYTES, source: this.#sourceBytes, cache: this.#cachedBytes },
      wireBytes: this.#sourceBytes,
      parents: 0,
    });
  }
}
