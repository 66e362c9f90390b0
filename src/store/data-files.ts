// Reads and writes data files by offset through a bounded set of open files; all but small writes
// off the main thread.

import { constants, writeSync } from "node:fs";
import { mkdir, open, stat, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { assert } from "../engine/core/machine.ts";
import { EarlySync } from "./early-sync.ts";
import { errnoOf, readError, writeError } from "./file-errors.ts";

/** Open data files kept for the next access: far below the usual limit of 1,024 descriptors. */
const OPEN_FILES_MAX = 64;

/**
 * Writes up to this length are made on the calling thread: into the page cache they take less than
 * 0.1 ms, and the way to a pool thread and back costs a small piece more CPU than the write.
 */
const SYNC_WRITE_BYTES_MAX = 256 << 10;

const MAKE_FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;

interface OpenFile {
  readonly handle: Promise<FileHandle>;
  users: number;
}

export class DataFiles {
  /** In order of use, the longest unused first. */
  readonly #open = new Map<string, OpenFile>();
  /** Of files written to since their last sync. They outlive open files: a failure must be told. */
  readonly #syncs = new Map<string, EarlySync>();

  /** Writes all of `bytes` at `offset`. @throws {DfError} no-space, file-unwritable */
  async write(path: string, offset: number, bytes: Uint8Array): Promise<void> {
    try {
      await this.#use(path, async (handle) => {
        for (let done = 0; done < bytes.length;) {
          const left = bytes.length - done;
          done +=
            left <= SYNC_WRITE_BYTES_MAX
              ? writeSync(handle.fd, bytes, done, left, offset + done)
              : (await handle.write(bytes, done, left, offset + done)).bytesWritten;
        }
      });
    } catch (error) {
      throw writeError(`write ${path}`, error);
    }
    this.#syncsOf(path).wrote(bytes.length);
  }

  /** Reads exactly `length` bytes at `offset`. @throws {DfError} file-unreadable */
  async read(path: string, offset: number, length: number): Promise<Uint8Array> {
    try {
      return await this.#use(path, async (handle) => {
        const bytes = new Uint8Array(length);
        for (let done = 0; done < length;) {
          const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
          if (bytesRead === 0)
            throw new Error(`the file ends at ${offset + done}, before ${offset + length}`);
          done += bytesRead;
        }
        return bytes;
      });
    } catch (error) {
      throw readError(`read ${path}`, error);
    }
  }

  /** Makes an empty file, in place of one that may be there. @throws {DfError} no-space, file-unwritable */
  async make(path: string): Promise<void> {
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await (await open(path, MAKE_FLAGS, 0o600)).close();
    } catch (error) {
      throw writeError(`create ${path}`, error);
    }
  }

  /** Sets the file's size; a file that grows is sparse. @throws {DfError} no-space, file-unwritable */
  async resize(path: string, length: number): Promise<void> {
    try {
      await this.#use(path, (handle) => handle.truncate(length));
    } catch (error) {
      throw writeError(`resize ${path} to ${length} bytes`, error);
    }
  }

  /** Returns once all bytes written so far survive a power loss. @throws {DfError} no-space, file-unwritable */
  async sync(path: string): Promise<void> {
    try {
      await this.#syncsOf(path).finish();
    } catch (error) {
      throw writeError(`sync ${path}`, error);
    } finally {
      this.#syncs.delete(path);
    }
  }

  /**
   * Size and times of the file, as text; null when it is not there. An unchanged stamp means that
   * nobody wrote to the file.
   */
  async stamp(path: string): Promise<string | null> {
    try {
      const { size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
      return `${size}:${mtimeNs}:${ctimeNs}`;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return null;
      throw readError(`look at ${path}`, error);
    }
  }

  /** Forgets a file, e.g. before it is deleted. Accesses under way end first. */
  async close(path: string): Promise<void> {
    const file = this.#open.get(path);
    this.#open.delete(path);
    this.#syncs.delete(path);
    if (file?.users === 0) await closeQuietly(file);
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((path) => this.close(path)));
  }

  #syncsOf(path: string): EarlySync {
    const known = this.#syncs.get(path);
    if (known !== undefined) return known;
    const syncs = new EarlySync(() => this.#use(path, (handle) => handle.datasync()));
    this.#syncs.set(path, syncs);
    return syncs;
  }

  async #use<T>(path: string, work: (handle: FileHandle) => Promise<T>): Promise<T> {
    const file = this.#open.get(path) ?? { handle: openForUpdate(path), users: 0 };
    this.#open.delete(path);
    this.#open.set(path, file);
    file.users++;
    this.#closeSurplus();
    try {
      return await work(await file.handle);
    } catch (error) {
      // A handle that failed is not kept: the next access opens the file anew.
      if (this.#open.get(path) === file) this.#open.delete(path);
      throw error;
    } finally {
      file.users--;
      assert(file.users >= 0, "a file is released as often as it is used");
      if (file.users === 0 && this.#open.get(path) !== file) await closeQuietly(file);
    }
  }

  #closeSurplus(): void {
    let surplus = this.#open.size - OPEN_FILES_MAX;
    for (const [path, file] of this.#open) {
      if (surplus <= 0) return;
      if (file.users > 0) continue;
      this.#open.delete(path);
      void closeQuietly(file);
      surplus--;
    }
  }
}

function openForUpdate(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDWR | constants.O_NOFOLLOW);
}

/** A failed close loses nothing: what must last was synced before. */
async function closeQuietly(file: OpenFile): Promise<void> {
  await file.handle.then((handle) => handle.close()).catch(() => undefined);
}
