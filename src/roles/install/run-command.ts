// Orders to the service manager: which program, and what to do where there is none.

import { DfError } from "../../errors.ts";

/**
 * Runs a program to its end, its output being ours.
 * @throws {DfError} usage (no such program here), internal
 */
export async function runCommand(words: readonly string[]): Promise<void> {
  const spelled = words.join(" ");
  if (Bun.which(words[0]!) === null) {
    throw new DfError("usage", `run ${spelled}: ${words[0]} is not on this host`, {
      hint: "where systemd does not run, say --no-start and leave out --restart",
    });
  }
  const child = Bun.spawn([...words], { stdout: "inherit", stderr: "inherit" });
  if ((await child.exited) !== 0) {
    throw new DfError("internal", `run ${spelled}: exit code ${child.exitCode}`);
  }
}
