// Turns what the operating system says about a file into the error a user can act on.

import { DfError, isDfError, messageOf } from "../errors.ts";

const HINTS: Record<string, string> = {
  SQLITE_FULL: "free some space or choose another disk",
  ENOSPC: "free some space or choose another disk",
  EDQUOT: "the user's disk quota is used up: free some space or ask for more",
  EROFS: "the file system is read-only: choose another place",
  EACCES: "choose a directory you may write to",
  EPERM: "choose a directory you may write to",
  ENOENT: "create the directory first",
  ENOTDIR: "a part of the path is a file: choose another path",
  EIO: "the disk reports errors: check it before using it again",
  EMFILE: "raise the limit of open files (ulimit -n)",
  EFBIG: "the file system or a limit (ulimit -f) does not allow files this large",
};

const NO_SPACE = new Set(["ENOSPC", "EDQUOT", "SQLITE_FULL"]);

/** The `code` of a system error, "" without one. */
export function errnoOf(error: unknown): string {
  return (error as { code?: string } | null)?.code ?? "";
}

/** @param tried what was tried, e.g. "write /data/x" */
export function writeError(tried: string, cause: unknown): DfError {
  if (isDfError(cause)) return cause;
  const errno = errnoOf(cause);
  const code = NO_SPACE.has(errno) ? "no-space" : "file-unwritable";
  return new DfError(code, `${tried}: ${messageOf(cause)}`, { cause, hint: HINTS[errno] });
}

/** @param tried what was tried, e.g. "read /data/x" */
export function readError(tried: string, cause: unknown): DfError {
  if (isDfError(cause)) return cause;
  return new DfError("file-unreadable", `${tried}: ${messageOf(cause)}`, {
    cause,
    hint: HINTS[errnoOf(cause)],
  });
}
