// How much a disk can still take, asked before a download begins rather than when it fails.

import { statfs } from "node:fs/promises";
import { readError } from "./file-errors.ts";

/** Stays free: the journal, other programs' logs, and what arrives while we count. */
export const DISK_MARGIN_BYTES = 16 << 20;

/** Bytes that may still be written below `path`, the margin kept; negative when it is not. @throws {DfError} file-unreadable */
export async function freeBytes(path: string): Promise<number> {
  return (await diskSpace(path)).freeBytes - DISK_MARGIN_BYTES;
}

/** Bytes in use and left for us, of the file system that holds `path`. @throws {DfError} file-unreadable */
export async function diskSpace(path: string): Promise<{ usedBytes: number; freeBytes: number }> {
  try {
    const { blocks, bfree, bavail, bsize } = await statfs(path);
    return { usedBytes: (blocks - bfree) * bsize, freeBytes: bavail * bsize };
  } catch (error) {
    throw readError(`ask for the free space of ${path}`, error);
  }
}
