// Files that only their owner may read: keys, the first token, backups.

import { link, open, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { errnoOf, writeError } from "../../store/file-errors.ts";
import { syncFolder } from "../../store/sync-folder.ts";

export interface SecretFileOptions {
  /** Whether a file that is there stays as it is. @defaultValue it is replaced */
  isKept?: boolean;
}

/**
 * Writes the file whole or not at all, mode 0600, and syncs it.
 * @throws {DfError} file-unwritable, no-space
 */
export async function writeSecretFile(
  path: string,
  content: string | Uint8Array,
  { isKept = false }: SecretFileOptions = {},
): Promise<void> {
  const fresh = `${path}.${crypto.randomUUID()}.new`;
  try {
    const file = await open(fresh, "wx", 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    if (isKept) await linkIfAbsent(fresh, path);
    else await rename(fresh, path);
  } catch (error) {
    await unlink(fresh).catch(() => {});
    throw writeError(`write ${path}`, error);
  }
  await syncFolder(dirname(path));
}

async function linkIfAbsent(fresh: string, path: string): Promise<void> {
  try {
    await link(fresh, path);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
  await unlink(fresh);
}
