// Copies one content from the local peer into the output, from its first byte upwards, and digests
// the very bytes it writes: so the whole file's MD5 is at hand when the last piece is.

import { readSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { type DigestAlgorithm, RunningDigest } from "../../engine/bytes/digest.ts";
import { DfError } from "../../errors.ts";
import type { LocalClient } from "../../net/local-client.ts";
import type { Output } from "./output.ts";

/**
 * One read, digest and write. It stays in the core's own cache (1 MiB here) meanwhile: in steps of
 * 1 MiB the kernel's share of a copy was three times as large, below 256 KiB the calls begin to count.
 */
const STEP_BYTES = 512 << 10;

/** What the peer said of the content when the download began. */
export interface CopySource {
  readonly contentId: string;
  /** The store's data file, if this user may read it; then no byte crosses the socket. */
  readonly dataPath: string | null;
  /** Opens a private content. */
  readonly access?: string;
}

/** How far the peer has come. */
export interface Reached {
  /** Bytes below it are verified. */
  readonly end: number;
  /** Bytes below it lie in the data file as they are; further ones may be compressed or sealed there. */
  readonly plainEnd: number;
}

export class ContentCopy {
  readonly contentId: string;
  readonly #output: Output;
  readonly #digests: RunningDigest[];
  readonly #buffer = new Uint8Array(STEP_BYTES);
  #file: FileHandle | null = null;
  #access = "";
  #cursor = 0;
  #lastByteAtMs = performance.now();

  constructor(contentId: string, output: Output, algorithms: Iterable<DigestAlgorithm>) {
    this.contentId = contentId;
    this.#output = output;
    this.#digests = [...algorithms].map((algorithm) => new RunningDigest(algorithm));
  }

  /** Bytes from offset 0 that were written. */
  get cursor(): number {
    return this.#cursor;
  }

  get lastByteAtMs(): number {
    return this.#lastByteAtMs;
  }

  /** Takes the bytes from a peer, also after another one broke off. */
  async connect(source: CopySource): Promise<void> {
    await this.close();
    this.#access = source.access ?? "";
    if (source.dataPath === null) return;
    // Another user's peer keeps its store to itself: then the socket brings the bytes.
    this.#file = await open(source.dataPath, "r").catch(() => null);
  }

  /**
   * Copies up to `end`.
   * @throws {DfError} what the output throws; unavailable when the peer is gone
   */
  async advance(
    { end, plainEnd }: Reached,
    client: LocalClient,
    signal: AbortSignal,
  ): Promise<void> {
    const fileEnd = Math.min(end, plainEnd);
    while (this.#file !== null && this.#cursor < fileEnd) {
      signal.throwIfAborted();
      const length = Math.min(this.#buffer.length, fileEnd - this.#cursor);
      // What the peer has just written lies in memory: a hop to another thread would cost more.
      const bytesRead = readSync(this.#file.fd, this.#buffer, 0, length, this.#cursor);
      // Evicted or replaced under us: the peer itself knows better.
      if (bytesRead === 0) await this.close();
      else await this.append(this.#buffer.subarray(0, bytesRead));
    }
    if (this.#cursor >= end) return;
    const range = { from: this.#cursor, to: end, access: this.#access };
    for await (const bytes of client.contents(this.contentId, range, signal)) {
      await this.append(bytes);
    }
    if (this.#cursor < end) {
      throw new DfError("unavailable", `read ${this.contentId} from the peer: it ended early`);
    }
  }

  /** Writes bytes at the cursor. */
  async append(bytes: Uint8Array): Promise<void> {
    const written = this.#output.write(this.#cursor, bytes);
    // The disk and the digests work at the same time.
    for (const digest of this.#digests) digest.update(bytes);
    await written;
    this.#cursor += bytes.length;
    this.#lastByteAtMs = performance.now();
  }

  /** The digests of everything that was written, hex. Use it once. */
  digests(): Map<DigestAlgorithm, string> {
    return new Map(this.#digests.map((digest) => [digest.algorithm, digest.finishHex()]));
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = null;
  }
}
