// Runs `df get` from source as a process of its own, apart from any peer of this user or host.

import type { Session } from "../../bench/harness/session.ts";
import {
  startProcess,
  type FinishedProcess,
  type ProcessSurroundings,
  type StartedProcess,
} from "../fixtures/start-process.ts";

const MAIN = `${import.meta.dir}/../../src/main.ts`;

export type Finished = FinishedProcess;

export function startGet(
  session: Session,
  args: string[],
  { env = {}, ...around }: ProcessSurroundings = {},
): StartedProcess {
  return startProcess(session, [process.execPath, MAIN, "get", ...args], {
    ...around,
    env: { XDG_STATE_HOME: session.folder, DRAGONFLY_SUPERNODE: "", ...env },
  });
}

export function runGet(
  session: Session,
  args: string[],
  around: ProcessSurroundings = {},
): Promise<Finished> {
  return startGet(session, args, around).finished;
}

/** The JSON lines of a `--json` run. */
export function linesOf(finished: Finished): Record<string, unknown>[] {
  const text = new TextDecoder().decode(finished.stdout).trim();
  return text.split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
}
