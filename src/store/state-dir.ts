// The directory that holds a role's state: made private, refused when others could change it, and
// locked against a second process.

import { chmodSync, closeSync, mkdirSync, openSync, statSync } from "node:fs";
import { join } from "node:path";
import { DfError } from "../errors.ts";
import { writeError } from "./file-errors.ts";
import { tryLock } from "./file-lock.ts";

/**
 * Makes the directory if need be and locks it until the returned function is called.
 * @throws {DfError} file-unwritable, denied (foreign-owned, writable by others or in use)
 */
export function claimStateDir(dir: string): () => void {
  try {
    if (mkdirSync(dir, { recursive: true, mode: 0o700 }) !== undefined) chmodSync(dir, 0o700);
  } catch (error) {
    throw writeError(`create data directory ${dir}`, error);
  }
  refuseSharedDir(dir);
  return lockDir(dir);
}

function refuseSharedDir(dir: string): void {
  const { uid, mode } = statSync(dir);
  const ownUid = process.getuid?.();
  if (ownUid !== undefined && uid !== ownUid) {
    throw new DfError(
      "denied",
      `use data directory ${dir}: it belongs to another user (uid ${uid})`,
      {
        hint: `choose another --data-dir, or run: chown -R ${ownUid} ${dir}`,
      },
    );
  }
  if ((mode & 0o022) !== 0) {
    throw new DfError("denied", `use data directory ${dir}: other users may write to it`, {
      hint: `run: chmod go-w ${dir}`,
    });
  }
}

function lockDir(dir: string): () => void {
  const path = join(dir, "lock");
  let fd: number;
  try {
    fd = openSync(path, "a", 0o600);
  } catch (error) {
    throw writeError(`open ${path}`, error);
  }
  if (tryLock(fd)) return () => closeSync(fd);
  closeSync(fd);
  throw new DfError("denied", `use data directory ${dir}: another process uses it`, {
    hint: "stop that process or choose another --data-dir",
  });
}
