// Files that an installation puts in place, and the record by which it is undone. What was there
// before is kept beside it; what the operator changed since is left alone. What several roles of a host
// use, e.g. the executable, goes with the last of them.

import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { DfError, messageOf } from "../../errors.ts";

export interface InstalledFile {
  /** Absolute, on the installed system. */
  path: string;
  mode: number;
  content: string | Uint8Array;
  /** An existing file stays as it is: it is the operator's. @defaultValue false */
  keepsExisting?: boolean;
}

interface RecordedFile {
  path: string;
  /** Hex SHA-256 of what was written. */
  sha256: string;
  /** Where the former file lies; null: there was none. */
  backup: string | null;
}

/** What became of one file, for the user. */
export interface FileOutcome {
  path: string;
  outcome: "written" | "unchanged" | "kept" | "shared" | "restored" | "removed" | "gone";
}

export class Installation {
  readonly #root: string;
  readonly #recordPath: string;

  /**
   * @param root folder that stands for "/": an image that is being built, or "" for this system
   * @param recordPath absolute, on the installed system; other roles' records lie beside it
   */
  constructor(root: string, recordPath: string) {
    this.#root = root;
    this.#recordPath = recordPath;
  }

  /** @throws {DfError} file-unwritable; files written before stay recorded, so that `undo` takes them away */
  write(files: readonly InstalledFile[]): FileOutcome[] {
    const recorded = this.#readRecord(this.#recordPath);
    return files.map((file) => {
      const before = this.#read(file.path);
      const sha256 = sha256Of(file.content);
      if (before !== null && file.keepsExisting === true)
        return { path: file.path, outcome: "kept" };
      const earlier = recorded.findIndex(({ path }) => path === file.path);
      const known = recorded[earlier] ?? this.#sharerOf(file.path)?.file;
      const isUnchanged = before !== null && sha256Of(before) === sha256;
      // It was there before any of ours: nothing is to be taken back.
      if (isUnchanged && known === undefined) return { path: file.path, outcome: "unchanged" };
      const backup = known === undefined ? this.#backUp(file.path) : known.backup;
      if (earlier >= 0) recorded.splice(earlier, 1);
      recorded.push({ path: file.path, sha256, backup });
      this.#record(this.#recordPath, recorded);
      if (isUnchanged) return { path: file.path, outcome: "unchanged" };
      this.#put(file.path, file.content, file.mode);
      return { path: file.path, outcome: "written" };
    });
  }

  /** Whether a file that was written here has been changed by somebody else since, or is gone. */
  wasChanged(path: string): boolean {
    const recorded = this.#readRecord(this.#recordPath).find((file) => file.path === path);
    if (recorded === undefined) return false;
    const now = this.#read(path);
    return now === null || sha256Of(now) !== recorded.sha256;
  }

  /** Whether a file was written by an earlier run of this installation. */
  wrote(path: string): boolean {
    return this.#readRecord(this.#recordPath).some((file) => file.path === path);
  }

  /** What a file holds now; null: there is none. */
  textOf(path: string): string | null {
    return this.#read(path)?.toString() ?? null;
  }

  /** Whether anything was written here and not taken back. */
  get isInstalled(): boolean {
    return existsSync(this.#at(this.#recordPath));
  }

  /**
   * Takes back what `write` did, last first.
   * @throws {DfError} usage when nothing was installed, file-unwritable
   */
  undo(): FileOutcome[] {
    if (!existsSync(this.#at(this.#recordPath))) {
      throw new DfError("usage", `undo an installation: there is no ${this.#recordPath}`, {
        hint: "nothing was installed here by df install",
      });
    }
    const outcomes = this.#readRecord(this.#recordPath)
      .toReversed()
      .map((file): FileOutcome => ({ path: file.path, outcome: this.#takeBack(file) }));
    rmSync(this.#at(this.#recordPath));
    return outcomes;
  }

  #takeBack({ path, sha256, backup }: RecordedFile): FileOutcome["outcome"] {
    const now = this.#read(path);
    if (now === null) return "gone";
    if (sha256Of(now) !== sha256) return "kept";
    const sharer = this.#sharerOf(path);
    if (sharer !== undefined) {
      const others = this.#readRecord(sharer.recordPath).filter((file) => file.path !== path);
      this.#record(sharer.recordPath, [...others, { ...sharer.file, sha256 }]);
      return "shared";
    }
    if (backup === null) {
      rmSync(this.#at(path));
      return "removed";
    }
    renameSync(this.#at(backup), this.#at(path));
    return "restored";
  }

  #backUp(path: string): string | null {
    if (!existsSync(this.#at(path))) return null;
    const backup = `${path}.before-dragonfly`;
    copyFileSync(this.#at(path), this.#at(backup));
    return backup;
  }

  /** Whole or not at all: a unit cut short would start something else. */
  #put(path: string, content: string | Uint8Array, mode: number): void {
    const target = this.#at(path);
    const draft = join(dirname(target), `.${basename(target)}.new`);
    try {
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(draft, content, { mode });
      chmodSync(draft, mode);
      renameSync(draft, target);
    } catch (cause) {
      throw new DfError("file-unwritable", `install ${path}: ${messageOf(cause)}`, {
        cause,
        hint: "installing needs root",
      });
    }
  }

  /** Another role's installation that needs the file too; undefined: none does. */
  #sharerOf(path: string): { recordPath: string; file: RecordedFile } | undefined {
    const folder = dirname(this.#recordPath);
    for (const name of globSync(".installed-*.json", { cwd: this.#at(folder) })) {
      const recordPath = join(folder, name);
      if (recordPath === this.#recordPath) continue;
      const file = this.#readRecord(recordPath).find((file) => file.path === path);
      if (file !== undefined) return { recordPath, file };
    }
    return undefined;
  }

  #record(recordPath: string, files: readonly RecordedFile[]): void {
    this.#put(recordPath, `${JSON.stringify({ files }, null, 2)}\n`, 0o644);
  }

  #readRecord(recordPath: string): RecordedFile[] {
    const text = this.#read(recordPath);
    return text === null ? [] : (JSON.parse(text.toString()) as { files: RecordedFile[] }).files;
  }

  #read(path: string): Buffer | null {
    return existsSync(this.#at(path)) ? readFileSync(this.#at(path)) : null;
  }

  #at(path: string): string {
    return join(this.#root, path);
  }
}

function sha256Of(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}
