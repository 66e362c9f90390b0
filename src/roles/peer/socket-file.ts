// The file of the local API's socket: made way for, opened to a group, removed.

import { chmodSync, chownSync, existsSync, mkdirSync, statSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { DfError } from "../../errors.ts";

/**
 * Makes way for the socket: a file that a dead peer left is removed.
 * @param flag by which another path can be chosen
 * @throws {DfError} usage when a living one has it
 */
export async function clearSocket(path: string, flag = "--socket"): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  if (!existsSync(path)) return;
  const isAlive = await Bun.connect({ unix: path, socket: { data() {} } }).then(
    (socket) => {
      socket.end();
      return true;
    },
    () => false,
  );
  if (isAlive) {
    throw new DfError("usage", `listen on ${path}: another peer serves there`, {
      hint: `stop it, or choose another ${flag}`,
    });
  }
  removeSocket(path);
}

/** @throws {DfError} denied when this user may not give files to the group */
export function admitGroup(path: string, groupId: number): void {
  try {
    // A hardened service may not change owners at all, and its own group has the socket already.
    if (statSync(path).gid !== groupId) chownSync(path, process.getuid!(), groupId);
    chmodSync(path, 0o660);
  } catch (cause) {
    throw new DfError("denied", `give the socket ${path} to group ${groupId}`, {
      cause,
      hint: "--socket-group takes a group that this user is a member of",
    });
  }
}

export function removeSocket(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Bun removes it too; whoever was first.
  }
}
