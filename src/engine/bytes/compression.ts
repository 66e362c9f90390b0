// zstd over one piece, on this thread or off it. Compression is always Bun's own one-shot call: the
// same bytes and level give the same frame on any thread, which is what lets a piece be made again.
// Decompression is node:zlib's, because only that one can be told how much it may give.

import { promisify } from "node:util";
import { zstdDecompress, zstdDecompressSync } from "node:zlib";
import { evenRuns } from "../core/byte-sample.ts";

/**
 * Pieces up to this length are compressed and decompressed on the calling thread. Decompressing
 * 128 KiB takes 0.2 ms there; the pool adds 0.1 to 0.2 ms to each piece of any size. From 256 KiB
 * (0.4 ms, at 4 MiB 7 ms) the thread is worth more than the way.
 */
const ON_THREAD_BYTES_MAX = 128 << 10;

/** A trial compresses four runs of this length: 0.1 ms where they do not shrink. */
const TRIAL_RUN_BYTES = 32 << 10;

/** What makes a piece shrink by a tenth may lie between the runs for the most part. */
const TRIAL_SHARE_MAX = 0.97;

/** node:zlib takes no smaller one. */
const CHUNK_BYTES_MIN = 64;

const decompressOnPool = promisify(
  zstdDecompress as (
    bytes: Uint8Array,
    options: { maxOutputLength: number; chunkSize: number },
    done: (error: Error | null, plain: Buffer) => void,
  ) => void,
);

/** @param level 1 to 22; 3 gives some 220 MB/s a core */
export async function compress(plain: Uint8Array, level: number): Promise<Uint8Array> {
  if (plain.length <= ON_THREAD_BYTES_MAX) return Bun.zstdCompressSync(plain, { level });
  return Bun.zstdCompress(plain, { level });
}

/**
 * Whether parts of a piece shrink: a cheap trial, on this thread, for pieces that hardly ever do. Of a
 * root file system's pieces it let none go that shrink.
 */
export function shrinksInParts(piece: Uint8Array): boolean {
  const parts = Buffer.concat(evenRuns(piece, TRIAL_RUN_BYTES));
  return Bun.zstdCompressSync(parts, { level: 1 }).length <= TRIAL_SHARE_MAX * parts.length;
}

/**
 * @param plainLength what must come out, no byte more or less: it bounds the memory that is used
 * @throws {Error} when these are no frames of so many bytes
 */
export async function decompress(bytes: Uint8Array, plainLength: number): Promise<Uint8Array> {
  // Room for all of it at once: growing by 16 KiB costs half as much time again.
  const chunkSize = Math.max(plainLength, CHUNK_BYTES_MIN);
  const options = { maxOutputLength: plainLength, chunkSize };
  const plain =
    plainLength <= ON_THREAD_BYTES_MAX
      ? zstdDecompressSync(bytes, options)
      : await decompressOnPool(bytes, options);
  if (plain.length !== plainLength)
    throw new Error(`it holds ${plain.length} bytes instead of ${plainLength}`);
  return plain;
}
