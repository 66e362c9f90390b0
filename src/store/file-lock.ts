// An exclusive lock on an open file that dies with its process, however it dies: flock(2).

import { FFIType, read, type Pointer } from "bun:ffi";
import { openLibc } from "../libc.ts";

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
  libc ??= bindLibc();
  if (libc.flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const errno = libc.errnoPointer();
  return errno !== null && ERRNOS_UNSUPPORTED.has(read.i32(errno));
}

function bindLibc(): Libc {
  const flock = { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 } as const;
  const errno = { args: [], returns: FFIType.ptr } as const;
  if (process.platform === "darwin") {
    const symbols = openLibc({ flock, __error: errno });
    return { flock: symbols.flock, errnoPointer: symbols.__error };
  }
  const symbols = openLibc({ flock, __errno_location: errno });
  return { flock: symbols.flock, errnoPointer: symbols.__errno_location };
}
