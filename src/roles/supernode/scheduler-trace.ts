// A trace of the scheduler on disk: the generator's seed, then one line for each step, as
// engine/core/trace.ts writes and replays them.

import { closeSync, openSync, writeSync } from "node:fs";
import { DfError, messageOf } from "../../errors.ts";

/** Lines are written together: a trace must not cost the scheduler a system call for each step. */
const BUFFER_CHARACTERS = 1 << 20;

export interface TraceFile {
  write: (line: string) => void;
  end: () => void;
}

/** @throws {DfError} file-unwritable */
export function openTrace(path: string, seed: number): TraceFile {
  let file: number;
  try {
    file = openSync(path, "w");
  } catch (cause) {
    throw new DfError("file-unwritable", `write the trace ${path}: ${messageOf(cause)}`, { cause });
  }
  let buffer = `{"seed":${seed}}\n`;
  const flush = (): void => {
    writeSync(file, buffer);
    buffer = "";
  };
  return {
    write(line) {
      buffer += `${line}\n`;
      if (buffer.length > BUFFER_CHARACTERS) flush();
    },
    end() {
      flush();
      closeSync(file);
    },
  };
}
