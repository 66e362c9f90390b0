// Everything a bench started is undone when it ends, also by Ctrl-C or an error: processes by
// their own pid, temporary folders, and whatever else was deferred.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Time from SIGTERM to SIGKILL. */
const STOP_GRACE_MS = 3_000;

export interface ChildOptions {
  cwd?: string;
  env?: Record<string, string>;
  /** Receives stdout and stderr; omitted: both are dropped. */
  logPath?: string;
}

/** Owns processes and folders of one bench run. */
export class Session {
  readonly #undo = new AsyncDisposableStack();
  readonly folder: string;
  #closing: Promise<void> | null = null;

  private constructor(folder: string) {
    this.folder = folder;
    this.#undo.defer(() => rm(folder, { recursive: true, force: true }));
  }

  /** Runs `work` and undoes everything afterwards, whatever happens. */
  static async run<Result>(
    name: string,
    work: (session: Session) => Promise<Result>,
  ): Promise<Result> {
    const session = new Session(await mkdtemp(join(tmpdir(), `df-${name}-`)));
    // What the work was waiting for ends with it: its error is not the story.
    const interrupt = (): void => {
      void session.#close().finally(() => process.exit(130));
    };
    process.once("SIGINT", interrupt);
    process.once("SIGTERM", interrupt);
    try {
      return await work(session);
    } finally {
      await session.#close();
      process.off("SIGINT", interrupt);
      process.off("SIGTERM", interrupt);
    }
  }

  #close(): Promise<void> {
    this.#closing ??= this.#undo.disposeAsync();
    return this.#closing;
  }

  /** Undone in reverse order. */
  defer(undo: () => Promise<void> | void): void {
    this.#undo.defer(undo);
  }

  /** Starts a process that lives until the session ends or `stop` is called with it. */
  start(command: string[], options: ChildOptions = {}): Bun.Subprocess {
    const output = options.logPath === undefined ? "ignore" : Bun.file(options.logPath);
    const child = Bun.spawn(command, {
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: { ...process.env, ...options.env },
      stdin: "ignore",
      stdout: output,
      stderr: output,
    });
    this.defer(() => stop(child));
    return child;
  }
}

/** Ends a process and waits until it is gone. */
export async function stop(child: Bun.Subprocess): Promise<void> {
  if (child.exitCode !== null) return;
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_GRACE_MS);
  await child.exited;
  clearTimeout(timer);
}

/** Runs a command to its end. @throws when it fails, with what it printed */
export async function run(command: string[], stdin = ""): Promise<string> {
  const child = Bun.spawn(command, { stdin: Buffer.from(stdin), stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`${command.join(" ")}: exit ${code}: ${stderr.trim()}`);
  return stdout;
}

/** Waits until `isTrue` answers yes. @throws after `timeoutMs` */
export async function waitUntil(
  what: string,
  isTrue: () => Promise<boolean> | boolean,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await Bun.sleep(20);
  }
}
