// Where `df get` puts bytes: a hidden part file beside the target, locked by this process, found
// again by the next one, and renamed over the target once the caller has verified everything.
//
//   .NAME.RANDOM.df-part           the bytes            ─▶ NAME   (publish: sync, rename, sync folder)
//   .NAME.RANDOM.df-part.resume    engine/bytes/resume-journal.ts
//
// Invariant: the target's name never stands for unverified bytes, whenever the process dies.

import { constants, closeSync, openSync } from "node:fs";
import {
  lstat,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
  type FileHandle,
} from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { digestNow, toHex } from "../engine/bytes/digest.ts";
import {
  encodeResumeJournal,
  parseResumeJournal,
  type ResumeJournal,
} from "../engine/bytes/resume-journal.ts";
import { DfError } from "../errors.ts";
import { freeBytes } from "./disk-space.ts";
import { EarlySync } from "./early-sync.ts";
import { errnoOf, readError, writeError } from "./file-errors.ts";
import { tryLock } from "./file-lock.ts";
import { syncFolder } from "./sync-folder.ts";

/** Names beyond it are hashed: what we add must stay within the usual 255 bytes. */
const NAME_BYTES_MAX = 200;

/** Another `df get` holds the folder only while it looks for and makes its part file. */
const FOLDER_LOCK_TRIES = 100;
const FOLDER_LOCK_PAUSE_MS = 50;

interface Target {
  readonly path: string;
  readonly folder: string;
  /** Of the file that will be replaced; null: there is none. */
  readonly mode: number | null;
}

interface Part {
  readonly path: string;
  readonly handle: FileHandle;
  readonly earlier: ResumeJournal | null;
}

/**
 * Opens the output for `target`: an unfinished one of an earlier process where there is one.
 * @throws {DfError} output-busy, file-unwritable, interrupted
 */
export async function openOutputFile(target: string, signal?: AbortSignal): Promise<OutputFile> {
  const found = await inspectTarget(target);
  const unlock = await lockFolder(found, signal);
  try {
    const part = (await takeEarlierPart(found)) ?? (await makePart(found));
    return new OutputFile(found, part);
  } finally {
    unlock();
  }
}

/** An output under way. End it with `publish`, `discard` or `close`. */
export class OutputFile {
  readonly #target: Target;
  readonly #partPath: string;
  readonly #handle: FileHandle;
  readonly #syncs: EarlySync;
  #earlier: ResumeJournal | null;

  constructor(target: Target, part: Part) {
    this.#target = target;
    this.#partPath = part.path;
    this.#handle = part.handle;
    this.#syncs = new EarlySync(() => part.handle.datasync());
    this.#earlier = part.earlier;
  }

  /** What an earlier process says it wrote; null: the part is empty. Hash it again before use. */
  get earlier(): ResumeJournal | null {
    return this.#earlier;
  }

  get path(): string {
    return this.#target.path;
  }

  /** Bytes from the part's start to its last written one. */
  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  /** Forgets what an earlier process wrote. @throws {DfError} file-unwritable */
  async restart(): Promise<void> {
    this.#earlier = null;
    await this.truncate(0);
  }

  /** Cuts the part to `length` bytes. @throws {DfError} file-unwritable, no-space */
  async truncate(length: number): Promise<void> {
    await this.#try("resize", () => this.#handle.truncate(length));
  }

  /** Asks the disk, before the first byte, whether it can take `length` more. @throws {DfError} no-space */
  async checkSpace(length: number): Promise<void> {
    const free = await freeBytes(this.#target.folder);
    if (free >= length) return;
    throw new DfError(
      "no-space",
      `write ${this.path}: needs ${length} bytes, the disk has ${Math.max(0, free)} to spare`,
      {
        hint: "free some space or choose another disk with -o",
      },
    );
  }

  /** @throws {DfError} no-space, file-unwritable */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#try("write", async () => {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await this.#handle.write(
          bytes,
          done,
          bytes.length - done,
          offset + done,
        );
        done += bytesWritten;
      }
    });
    this.#syncs.wrote(bytes.length);
  }

  /** Reads up to `length` bytes; fewer only at the part's end. @throws {DfError} file-unreadable */
  async read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    let done = 0;
    try {
      while (done < length) {
        const { bytesRead } = await this.#handle.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
    } catch (error) {
      throw readError(`read ${this.#partPath}`, error);
    }
    return bytes.subarray(0, done);
  }

  /** Notes how far the output is, for the next process. Replaces the earlier note in one step. @throws {DfError} no-space, file-unwritable */
  async saveJournal(journal: ResumeJournal): Promise<void> {
    const path = journalPath(this.#partPath);
    await this.#try("save the resume note of", async () => {
      // In a folder that others write to too, the name may be a link by now.
      await rm(`${path}.new`, { force: true });
      await writeFile(`${path}.new`, encodeResumeJournal(journal), { mode: 0o600, flag: "wx" });
      await rename(`${path}.new`, path);
    });
  }

  /**
   * Gives the finished and verified bytes their name and closes the output.
   * @throws {DfError} no-space, file-unwritable: the part stays for another try
   */
  async publish(): Promise<void> {
    const { path, folder, mode } = this.#target;
    try {
      if (mode !== null) await this.#handle.chmod(mode);
      await this.#syncs.finish();
      await rename(this.#partPath, path);
    } catch (error) {
      await this.close();
      throw writeError(`write ${path}`, error);
    }
    await rm(journalPath(this.#partPath), { force: true });
    await syncFolder(folder).finally(() => this.close());
  }

  /** Deletes the part: nothing of it is worth keeping. */
  async discard(): Promise<void> {
    await removePart(this.#partPath);
    await this.close();
  }

  /** Leaves the part for the next process. Idempotent. */
  async close(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
  }

  async #try(verb: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      throw writeError(`${verb} ${this.path}`, error);
    }
  }
}

async function inspectTarget(target: string): Promise<Target> {
  await refusePlantedLink(target);
  // A link is followed, as every tool that writes to it would; a dangling one is replaced.
  const path = await realpath(target).catch(() => resolve(target));
  const folder = dirname(path);
  const found = await lstat(path).catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT") return null;
    throw writeError(`write ${target}`, error);
  });
  if (found?.isDirectory() === true || target.endsWith("/")) {
    throw new DfError("file-unwritable", `write ${target}: it is a directory`, {
      hint: `give a file name, e.g. -o ${join(target, "NAME")}`,
    });
  }
  if (found !== null && !found.isFile() && !found.isSymbolicLink()) {
    throw new DfError("file-unwritable", `write ${target}: it is not a regular file`, {
      hint: `use -o - and redirect the output: > ${target}`,
    });
  }
  return { path, folder, mode: found?.isFile() === true ? found.mode & 0o777 : null };
}

/**
 * The kernel's own rule (fs.protected_symlinks), which resolving the path by hand would go round: in a
 * folder like /tmp only links of this user or of the folder's owner are followed.
 */
async function refusePlantedLink(target: string): Promise<void> {
  const link = await lstat(target).catch(() => null);
  if (link?.isSymbolicLink() !== true) return;
  const folder = await stat(dirname(resolve(target)));
  const isShared = (folder.mode & 0o1002) === 0o1002;
  if (!isShared || link.uid === folder.uid || link.uid === process.getuid?.()) return;
  throw new DfError("denied", `write ${target}: it is another user's link (uid ${link.uid})`, {
    hint: "choose another output: whoever made the link would choose where the bytes go",
  });
}

/** Keeps two processes from each making a part for the same target. */
async function lockFolder({ path, folder }: Target, signal?: AbortSignal): Promise<() => void> {
  let fd: number;
  try {
    fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    throw writeError(`write ${path}`, error);
  }
  for (let tries = 0; tries < FOLDER_LOCK_TRIES; tries++) {
    if (tryLock(fd)) return () => closeSync(fd);
    if (signal?.aborted === true) break;
    await Bun.sleep(FOLDER_LOCK_PAUSE_MS);
  }
  closeSync(fd);
  signal?.throwIfAborted();
  throw new DfError("output-busy", `write ${path}: another process keeps its folder locked`, {
    hint: "try again",
  });
}

async function takeEarlierPart(target: Target): Promise<Part | null> {
  let taken: Part | null = null;
  for (const name of await partNames(target)) {
    const path = join(target.folder, name);
    const handle = await openEarlier(path);
    if (handle === null) continue;
    if (!tryLock(handle.fd)) {
      await Promise.all([handle.close(), taken?.handle.close()]);
      throw new DfError("output-busy", `write ${target.path}: another df get is writing it`, {
        hint: "wait for it, or choose another output",
      });
    }
    const text = await readFile(journalPath(path), "utf8").catch(() => "");
    const earlier = parseResumeJournal(text);
    if (taken === null && earlier !== null) {
      taken = { path, handle, earlier };
      continue;
    }
    // Without a readable note, or a second one: nobody can resume it.
    await removePart(path);
    await handle.close();
  }
  return taken;
}

/** Names of part files of the target, whoever made them. */
async function partNames({ path, folder }: Target): Promise<string[]> {
  const prefix = partPrefix(path);
  try {
    return (await readdir(folder)).filter(
      (name) =>
        name.startsWith(prefix) && /^[0-9a-f]{16}\.df-part$/.test(name.slice(prefix.length)),
    );
  } catch (error) {
    throw writeError(`write ${path}`, error);
  }
}

/** Opens a part that can only be ours: a plain file of this user with one name. */
async function openEarlier(path: string): Promise<FileHandle | null> {
  const handle = await open(
    path,
    constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK,
  ).catch(() => null);
  if (handle === null) return null;
  const found = await handle.stat();
  if (found.isFile() && found.nlink === 1 && found.uid === (process.getuid?.() ?? found.uid))
    return handle;
  await handle.close();
  return null;
}

async function makePart(target: Target): Promise<Part> {
  const random = toHex(crypto.getRandomValues(new Uint8Array(8)));
  const path = join(target.folder, `${partPrefix(target.path)}${random}.df-part`);
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  try {
    const handle = await open(path, flags, 0o666);
    tryLock(handle.fd);
    return { path, handle, earlier: null };
  } catch (error) {
    throw writeError(`write ${target.path}`, error);
  }
}

async function removePart(path: string): Promise<void> {
  await rm(path, { force: true });
  await rm(journalPath(path), { force: true });
  await rm(`${journalPath(path)}.new`, { force: true });
}

function partPrefix(path: string): string {
  const name = basename(path);
  const stem =
    Buffer.byteLength(name) <= NAME_BYTES_MAX
      ? name
      : toHex(digestNow("sha256", name)).slice(0, 32);
  return `.${stem}.`;
}

function journalPath(partPath: string): string {
  return `${partPath}.resume`;
}
