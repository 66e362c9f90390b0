// An exclusive lock on an open file that dies with its process, however it dies: flock(2).

import { dlopen, FFIType, read, type Pointer } from "bun:ffi";
import { readFileSync } from "node:fs";

const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * EBADF, EINVAL, ENOLCK, ENOSYS, EOPNOTSUPP by platform: the file system knows no such locks, e.g.
 * NFS for a folder. EWOULDBLOCK and whatever else is seen means that another one has the lock.
 */
const ERRNOS_UNSUPPORTED: ReadonlySet<number> =
  process.platform === "darwin" ? new Set([9, 22, 77, 78, 102]) : new Set([9, 22, 37, 38, 95]);

interface Libc {
  flock(fd: number, operation: number): number;
  errnoPointer(): Pointer | bigint | null;
}

let libc: Libc | null = null;

/**
 * Locks the file behind `fd` for this open file description; closing it unlocks.
 * Returns false when another one has the lock. Where the file system cannot lock, it returns true:
 * a download to such a place is worth more than the guard against a second one.
 */
export function tryLock(fd: number): boolean {
  libc ??= openLibc();
  if (libc.flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const errno = libc.errnoPointer();
  return errno !== null && ERRNOS_UNSUPPORTED.has(read.i32(errno));
}

function openLibc(): Libc {
  const flock = { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 } as const;
  const errno = { args: [], returns: FFIType.ptr } as const;
  if (process.platform === "darwin") {
    const { symbols } = dlopen("/usr/lib/libSystem.B.dylib", { flock, __error: errno });
    return { flock: symbols.flock, errnoPointer: symbols.__error };
  }
  const { symbols } = dlopen(libcPath(), { flock, __errno_location: errno });
  return { flock: symbols.flock, errnoPointer: symbols.__errno_location };
}

/**
 * The C library this process runs on, by absolute path: a bare name would be looked up in the
 * current directory when the loader does not know it.
 */
function libcPath(): string {
  const mapped =
    /(\/\S*\/(?:libc\.so\.6|libc-[\d.]+\.so|ld-musl-[\w-]+\.so\.1|libc\.musl-[\w-]+\.so\.1))$/m;
  const path = mapped.exec(readFileSync("/proc/self/maps", "utf8"))?.[1];
  if (path === undefined) throw new Error("find the C library: none is mapped");
  return path;
}
