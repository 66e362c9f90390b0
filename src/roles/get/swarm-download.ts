// Brings a content through the peer on this host: follows its events, copies what is verified into
// the output meanwhile, and compares the whole with the supernode's MD5 before the file gets its name.

import type { Checksum, DigestAlgorithm } from "../../engine/bytes/digest.ts";
import { DfError, isDfError } from "../../errors.ts";
import type { LocalClient } from "../../net/local-client.ts";
import type {
  BytesBySource,
  DownloadRequest,
  DownloadStreamEvent,
} from "../../net/wire/local-api.ts";
import { ContentCopy, type Reached } from "./content-copy.ts";
import type { Output } from "./output.ts";
import { NO_BYTES, type TransferResult, type TransferWatcher } from "./transfer.ts";
import { verifyDigests } from "./verify-digests.ts";

/** After this many versions of one source within a download, it changes faster than it spreads. */
const VERSIONS_MAX = 3;
/** A peer that restarts is back within this time. */
const RECONNECT_PAUSE_MS = 500;

export interface SwarmDownload {
  readonly request: DownloadRequest;
  readonly checksums: readonly Checksum[];
  readonly digests: readonly DigestAlgorithm[];
  readonly lengthMax: number | null;
  readonly idleTimeoutMs: number;
  /** How often a lost peer is looked for again. */
  readonly tries: number;
  /** The peer to use; asked again when it was lost. */
  readonly connect: (signal: AbortSignal) => Promise<LocalClient>;
}

type Content = Extract<DownloadStreamEvent, { event: "content" }>;
type Done = Extract<DownloadStreamEvent, { event: "done" }>;

/**
 * Brings one URL and commits the output.
 * @throws {DfError} not-shareable when the peer says that the source must be read directly; else what
 *   the peer answers, checksum, source-changed, timeout, no-space, file-unwritable
 */
export async function downloadFromPeer(
  download: SwarmDownload,
  output: Output,
  watcher: TransferWatcher,
  signal: AbortSignal,
): Promise<TransferResult> {
  const follower = new Follower(download, output, watcher);
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        return await follower.follow(await download.connect(signal), signal);
      } catch (error) {
        const mayReturn = isDfError(error, "unavailable") && follower.hasBegun;
        if (!mayReturn || attempt >= download.tries) throw error;
        watcher.notice("the peer is gone: looking for it again");
        await Bun.sleep(RECONNECT_PAUSE_MS);
        signal.throwIfAborted();
      }
    }
  } finally {
    await follower.close();
  }
}

/** One download across reconnections and versions. */
class Follower {
  readonly #download: SwarmDownload;
  readonly #output: Output;
  readonly #watcher: TransferWatcher;
  #content: Content | null = null;
  #copy: ContentCopy | null = null;
  #versions = 0;
  #bytes: BytesBySource = NO_BYTES;
  #wireBytes = 0;

  constructor(download: SwarmDownload, output: Output, watcher: TransferWatcher) {
    this.#download = download;
    this.#output = output;
    this.#watcher = watcher;
  }

  /** Whether a peer had the content once: then it is worth waiting for. */
  get hasBegun(): boolean {
    return this.#content !== null;
  }

  async follow(client: LocalClient, outer: AbortSignal): Promise<TransferResult> {
    const stop = new AbortController();
    const signal = AbortSignal.any([outer, stop.signal]);
    // Copying runs beside the events: a slow disk must not hold them up, nor the other way round.
    const copying = new CopyLoop(
      (reached) => this.#copy!.advance(reached, client, signal),
      (error) => stop.abort(error),
    );
    const silence = new SilenceTimer(this.#download.idleTimeoutMs, stop);
    try {
      for await (const event of client.download(this.#download.request, signal)) {
        switch (event.event) {
          case "notice":
            this.#watcher.notice(event.message);
            break;
          case "content":
            await copying.drain();
            await this.#begin(event);
            break;
          case "progress":
            if (event.doneBytes > sum(this.#bytes)) silence.restart();
            this.#bytes = event.bytes;
            this.#wireBytes = event.wireBytes;
            copying.reach(event.prefixBytes, event.plainPrefixBytes);
            this.#show(event.doneBytes, event.parents);
            break;
          case "done":
            silence.stop();
            this.#bytes = event.bytes;
            this.#wireBytes = event.wireBytes;
            await copying.settled();
            if (event.inline !== undefined && this.#copy?.cursor === 0) {
              await this.#copy.append(Buffer.from(event.inline, "base64"));
            } else {
              copying.reach(event.length);
              await copying.settled();
            }
            return await this.#finish(event);
          case "failed":
            throw DfError.fromWire(event.error);
        }
      }
      throw new DfError("unavailable", "follow the download: the peer ended it without a result");
    } finally {
      silence.stop();
      stop.abort();
      await copying.drain().catch(() => undefined);
    }
  }

  async close(): Promise<void> {
    await this.#copy?.close();
  }

  /**
   * A version begins; the same one after a reconnection goes on where it was, unless what was read of
   * it may have been something else.
   */
  async #begin(content: Content): Promise<void> {
    const { lengthMax } = this.#download;
    if (lengthMax !== null && content.length !== null && content.length > lengthMax) {
      throw new DfError("denied", `get ${content.length} bytes: more than --max-filesize allows`);
    }
    if (this.#copy?.contentId !== content.contentId || content.isAnew === true) {
      this.#versions++;
      if (this.#versions > VERSIONS_MAX) {
        throw new DfError("source-changed", `get ${content.contentId}: the source keeps changing`, {
          hint: "try again when nobody writes to it",
        });
      }
      if (this.#copy !== null) this.#watcher.notice("the source changed: starting over");
      await this.#copy?.close();
      await this.#output.begin(
        {
          content: content.contentId,
          validator: null,
          length: content.length,
          pieceLength: content.pieceLength,
        },
        false,
      );
      this.#copy = new ContentCopy(content.contentId, this.#output, this.#algorithms());
    }
    this.#content = content;
    await this.#copy.connect(content);
  }

  async #finish(done: Done): Promise<TransferResult> {
    const copy = this.#copy;
    if (copy === null || copy.cursor !== done.length) {
      const message = `check the length: ${copy?.cursor ?? 0} bytes, expected ${done.length}`;
      throw new DfError("checksum", message);
    }
    const digests = copy.digests();
    verifyDigests(digests, [{ algorithm: "md5", hex: done.md5 }, ...this.#download.checksums]);
    await this.#output.commit(done.length);
    this.#show(done.length, 0);
    const { length, bytes, wireBytes } = done;
    return { length, bytes, wireBytes, digests, lastByteAtMs: copy.lastByteAtMs };
  }

  #algorithms(): Set<DigestAlgorithm> {
    const { checksums, digests } = this.#download;
    return new Set(["md5" as const, ...digests, ...checksums.map(({ algorithm }) => algorithm)]);
  }

  #show(doneBytes: number, parents: number): void {
    const length = this.#content?.length ?? null;
    const [bytes, wireBytes] = [this.#bytes, this.#wireBytes];
    this.#watcher.progress({ doneBytes, length, bytes, wireBytes, parents });
  }
}

/** Copies towards a growing end, one stretch at a time. */
class CopyLoop {
  readonly #advance: (reached: Reached) => Promise<void>;
  readonly #onFailure: (error: unknown) => void;
  #end = 0;
  #plainEnd = 0;
  #running: Promise<void> | null = null;
  #failure: { error: unknown } | null = null;

  constructor(advance: (reached: Reached) => Promise<void>, onFailure: (error: unknown) => void) {
    this.#advance = advance;
    this.#onFailure = onFailure;
  }

  /** @param plainEnd up to where the data file may be read; left out: as before */
  reach(end: number, plainEnd = this.#plainEnd): void {
    this.#plainEnd = plainEnd;
    if (end <= this.#end) return;
    this.#end = end;
    if (this.#failure !== null || this.#running !== null) return;
    this.#running = this.#run()
      .catch((error: unknown) => {
        this.#failure = { error };
        this.#onFailure(error);
      })
      .finally(() => {
        this.#running = null;
      });
  }

  /** Waits until everything reached so far is copied. */
  async settled(): Promise<void> {
    await this.#running;
    if (this.#failure !== null) throw this.#failure.error;
  }

  /** The same, after which the next version starts at 0. */
  async drain(): Promise<void> {
    await this.settled();
    this.#end = 0;
    this.#plainEnd = 0;
  }

  async #run(): Promise<void> {
    for (let copied = -1; copied !== this.#end;) {
      copied = this.#end;
      await this.#advance({ end: copied, plainEnd: this.#plainEnd });
    }
  }
}

/** Ends a download during which nothing arrives for too long. */
class SilenceTimer {
  readonly #limitMs: number;
  readonly #stop: AbortController;
  #timer: Timer | undefined;

  constructor(limitMs: number, stop: AbortController) {
    this.#limitMs = limitMs;
    this.#stop = stop;
    this.restart();
  }

  restart(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const message = `get: nothing arrived for ${this.#limitMs / 1000} s`;
      this.#stop.abort(new DfError("timeout", message, { hint: "raise --timeout, or try again" }));
    }, this.#limitMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

function sum(bytes: BytesBySource): number {
  return bytes.source + bytes.supernode + bytes.peers + bytes.cache;
}
