// A small JSON file of this role alone, replaced as a whole: what a machine of a fleet must know
// when it starts while `df config` is down.

import { mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import type { z } from "zod";
import { DfError } from "../../errors.ts";

export class KeptJson<Schema extends z.ZodType> {
  readonly #path: string;
  readonly #schema: Schema;
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string, schema: Schema) {
    this.#path = path;
    this.#schema = schema;
  }

  /** Null where nothing is kept, or nothing that can be read: it will be told anew. */
  async read(): Promise<z.infer<Schema> | null> {
    try {
      return this.#schema.parse(JSON.parse(await readFile(this.#path, "utf8")));
    } catch {
      return null;
    }
  }

  /**
   * Replaces what was kept, after the writes before; only this user may read it.
   * @throws {DfError} file-unwritable
   */
  write(value: z.infer<Schema>): Promise<void> {
    const written = this.#writing.then(() => this.#replace(value));
    this.#writing = written.catch(() => {});
    return written;
  }

  async #replace(value: z.infer<Schema>): Promise<void> {
    const draft = `${this.#path}.new`;
    try {
      await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
      const file = await open(draft, "w", 0o600);
      try {
        await file.writeFile(JSON.stringify(value));
        // A name that a power loss leaves without bytes would be a fleet that is forgotten.
        await file.datasync();
      } finally {
        await file.close();
      }
      await rename(draft, this.#path);
    } catch (cause) {
      throw new DfError("file-unwritable", `write ${this.#path}`, { cause });
    }
  }
}
