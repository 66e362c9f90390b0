// Runs `df get` from source as a process of its own, apart from any peer of this user or host.

import type { Session } from "../../bench/harness/session.ts";

const MAIN = `${import.meta.dir}/../../src/main.ts`;

export interface Finished {
  exitCode: number;
  stdout: Uint8Array;
  stderr: string;
}

export interface Started {
  child: Bun.Subprocess<"ignore" | Uint8Array<ArrayBuffer>, "pipe", "pipe">;
  finished: Promise<Finished>;
}

export interface GetSurroundings {
  env?: Record<string, string>;
  stdin?: string;
}

export function startGet(
  session: Session,
  args: string[],
  { env = {}, stdin }: GetSurroundings = {},
): Started {
  const child = Bun.spawn([process.execPath, MAIN, "get", ...args], {
    cwd: session.folder,
    env: { ...process.env, XDG_STATE_HOME: session.folder, DRAGONFLY_SUPERNODE: "", ...env },
    stdin: stdin === undefined ? "ignore" : new TextEncoder().encode(stdin),
    stdout: "pipe",
    stderr: "pipe",
  });
  session.defer(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  const finished = Promise.all([
    new Response(child.stdout).bytes(),
    new Response(child.stderr).text(),
    child.exited,
  ]).then(([stdout, stderr, exitCode]) => ({ exitCode, stdout, stderr }));
  return { child, finished };
}

export function runGet(
  session: Session,
  args: string[],
  around: GetSurroundings = {},
): Promise<Finished> {
  return startGet(session, args, around).finished;
}

/** The JSON lines of a `--json` run. */
export function linesOf(finished: Finished): Record<string, unknown>[] {
  const text = new TextDecoder().decode(finished.stdout).trim();
  return text.split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
}
