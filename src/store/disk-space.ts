// How much a disk can still take, asked before a download begins rather than when it fails.

import { statfs } from "node:fs/promises";
import { readError } from "./file-errors.ts";

/** Stays free: the journal, other programs' logs, and what arrives while we count. */
export const DISK_MARGIN_BYTES = 16 << 20;

/** Bytes that may still be written below `path`, the margin kept; negative when it is not. @throws {DfError} file-unreadable */
export async function freeBytes(path: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize - DISK_MARGIN_BYTES;
  } catch (error) {
    throw readError(`ask for the free space of ${path}`, error);
  }
}
