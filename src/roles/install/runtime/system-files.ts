// Settings files and programs of the system that is configured: this one, or one below a folder.

import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DfError } from "../../../errors.ts";

const PROGRAM_FOLDERS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/opt/bin"];

const PROGRAM_TIMEOUT_MS = 10_000;

export class SystemFiles {
  /** Folder that stands for "/"; "" for this system. */
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  /** Whether its programs may be asked and its services be told. */
  get isThisSystem(): boolean {
    return this.root === "";
  }

  /**
   * @returns null when there is none
   * @throws {DfError} conflict for a link: what it leads to is managed elsewhere; file-unreadable
   */
  read(path: string): string | null {
    const place = this.#at(path);
    const found = lstatSync(place, { throwIfNoEntry: false });
    if (found === undefined) return null;
    if (!found.isFile()) {
      throw new DfError("conflict", `edit ${path}: not a plain file`, {
        hint: "it seems to be managed by another program: make the change there",
      });
    }
    try {
      return readFileSync(place, "utf8");
    } catch (cause) {
      throw new DfError("file-unreadable", `read ${path}`, { cause });
    }
  }

  /** The file's own; of one that is to be made, everybody's to read. */
  modeOf(path: string): number {
    const found = lstatSync(this.#at(path), { throwIfNoEntry: false });
    return found === undefined ? 0o644 : found.mode & 0o777;
  }

  /** Names in a folder, sorted; none when there is no such folder. */
  list(folder: string): string[] {
    return existsSync(this.#at(folder)) ? readdirSync(this.#at(folder)).toSorted() : [];
  }

  has(path: string): boolean {
    return existsSync(this.#at(path));
  }

  /** Absolute path within the system; undefined: it has no such program. */
  program(name: string): string | undefined {
    return PROGRAM_FOLDERS.map((folder) => `${folder}/${name}`).find((path) => this.has(path));
  }

  /** What a program of this system prints; null: not this system, no such program, or it fails. */
  output(name: string, args: readonly string[]): string | null {
    const path = this.isThisSystem ? this.program(name) : undefined;
    if (path === undefined) return null;
    const { success, stdout } = Bun.spawnSync([path, ...args], { timeout: PROGRAM_TIMEOUT_MS });
    return success ? stdout.toString() : null;
  }

  /**
   * Has a program of this system read a draft of a settings file.
   * @param args for the draft's path
   * @returns null where there is no such program; a fault is its last words, null: it read the draft
   */
  trial(
    name: string,
    args: (draft: string) => readonly string[],
    { content }: { content: string },
  ): { stdout: string; fault: string | null } | null {
    const path = this.isThisSystem ? this.program(name) : undefined;
    if (path === undefined) return null;
    const scratch = mkdtempSync(join(tmpdir(), "df-trial-"));
    try {
      const draft = join(scratch, "draft");
      writeFileSync(draft, content);
      const { success, stdout, stderr } = Bun.spawnSync([path, ...args(draft)], {
        timeout: PROGRAM_TIMEOUT_MS,
      });
      const words = stderr.toString().trim().split("\n").at(-1) ?? "";
      return { stdout: stdout.toString(), fault: success ? null : words };
    } finally {
      rmSync(scratch, { recursive: true });
    }
  }

  #at(path: string): string {
    return join(this.root, path);
  }
}
