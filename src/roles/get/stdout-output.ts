// Stdout as an output: bytes leave in order and cannot be taken back.

import { writeSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { DfError } from "../../errors.ts";
import type { Output, OutputVersion } from "./output.ts";

const STDOUT_FD = 1;

export class StdoutOutput implements Output {
  readonly path = null;
  readonly isRandomAccess = false;
  #cursor = 0;
  #hasValidator = false;
  #handle: FileHandle | null = null;

  resumable(): Promise<null> {
    return Promise.resolve(null);
  }

  begin(version: OutputVersion): Promise<void> {
    if (this.#cursor > 0) {
      throw new DfError(
        "source-changed",
        "write to stdout: the source changed after bytes had left",
        {
          hint: "run it again, or use -o FILE, which can begin anew",
        },
      );
    }
    this.#hasValidator = version.validator !== null;
    return Promise.resolve();
  }

  /** A retried piece repeats bytes: those that left already are passed over. */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    if (offset > this.#cursor)
      throw new DfError("internal", "write to stdout: bytes came out of order");
    if (offset < this.#cursor && !this.#hasValidator) {
      throw new DfError("network", "write to stdout: the source broke off and cannot be resumed", {
        hint: "use -o FILE, which can begin anew",
      });
    }
    const fresh = bytes.subarray(this.#cursor - offset);
    if (fresh.length === 0) return;
    await this.#writeAll(fresh);
    this.#cursor += fresh.length;
  }

  read(): Promise<never> {
    return Promise.reject(new DfError("internal", "read from stdout"));
  }

  pieceWritten(): void {}

  commit(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    try {
      // A slow reader of a pipe must block a pool thread, not the event loop.
      this.#handle ??= await open(`/dev/fd/${STDOUT_FD}`, "w").catch(() => null);
      for (let at = 0; at < bytes.length;) {
        const rest = bytes.subarray(at);
        at +=
          this.#handle === null
            ? writeSync(STDOUT_FD, rest)
            : (await this.#handle.write(rest)).bytesWritten;
      }
    } catch (cause) {
      throw new DfError("file-unwritable", "write to stdout", { cause });
    }
  }
}
