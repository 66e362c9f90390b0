// An exclusive lock on an open file that dies with its process, however it dies: flock(2).

import { dlopen, FFIType } from "bun:ffi";
import { readFileSync } from "node:fs";

const LOCK_EX = 2;
const LOCK_NB = 4;

let flock: ((fd: number, operation: number) => number) | null = null;

/**
 * Locks the file behind `fd` for this open file description; closing it unlocks.
 * Returns false when another one has the lock.
 */
export function tryLock(fd: number): boolean {
  flock ??= dlopen(libcPath(), {
    flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  }).symbols.flock;
  return flock(fd, LOCK_EX | LOCK_NB) === 0;
}

/**
 * The C library this process runs on, by absolute path: a bare name would be looked up in the
 * current directory when the loader does not know it.
 */
function libcPath(): string {
  if (process.platform === "darwin") return "/usr/lib/libSystem.B.dylib";
  const mapped =
    /(\/\S*\/(?:libc\.so\.6|libc-[\d.]+\.so|ld-musl-[\w-]+\.so\.1|libc\.musl-[\w-]+\.so\.1))$/m;
  const path = mapped.exec(readFileSync("/proc/self/maps", "utf8"))?.[1];
  if (path === undefined) throw new Error("find the C library: none is mapped");
  return path;
}
