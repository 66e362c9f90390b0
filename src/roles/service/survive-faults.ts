// What nobody caught, in a role or in one of its workers, is a bug of ours: one request, channel or read
// is lost by it. The process goes on for all others: ending would let anybody who finds such a bug
// end it again and again.

import { InvariantError } from "../../engine/core/machine.ts";
import { isDfError } from "../../errors.ts";

/** From now on faults are told instead of ending this process or worker. */
export function surviveFaults(tell: (message: string) => void): void {
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (fault: unknown) => tell(`bug: nobody caught ${wordsOf(fault)}`));
  }
}

/** Messages of the runtime may quote what it read: a URL, a header. Ours do not. */
function wordsOf(fault: unknown): string {
  if (!(fault instanceof Error)) return `a ${typeof fault}`;
  const frames = (fault.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
  const isOurs = isDfError(fault) || fault instanceof InvariantError;
  return [isOurs ? fault.message : fault.name, ...frames.map((line) => line.trim())].join("\n");
}
