// Makes a folder's entries survive a power loss: what a new or renamed file needs besides its own sync.

import { open } from "node:fs/promises";
import { writeError } from "./file-errors.ts";

/** @throws {DfError} no-space, file-unwritable */
export async function syncFolder(path: string): Promise<void> {
  try {
    const handle = await open(path, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw writeError(`sync folder ${path}`, error);
  }
}
