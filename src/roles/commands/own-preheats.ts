// Preheats that the fleet ordered from this machine, supernode or peer: each is brought once, kept
// from eviction for as long as it is wanted, and answered as often as it is asked for.
//
//   waiting ─▶ running ─▶ over (done or failed: the result is repeated when the command comes again)
//      └──────────┴─ cancelled ─▶ over

import { setTimeout as sleep } from "node:timers/promises";
import { DfError, isDfError, messageOf } from "../../errors.ts";
import { type Command, type CommandResult, pinReasonOf } from "../../net/wire/command.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { PieceStore, StoredContent } from "../../store/piece-store.ts";

/** Brought at once: more would only wait for each other's pieces. */
const RUNNING_MAX = 4;

/** Progress is told so often. */
const PROGRESS_INTERVAL_MS = 2_000;

/** A source that is too busy is asked again so often, when it says; a refusal counts for 5 min at most. */
const BUSY_WAITS_MAX = 5;
const BUSY_JITTER_MS = 500;

export interface PreheatProgress {
  doneBytes: number;
  /** Null: not known yet. */
  length: number | null;
}

export interface OwnPreheatsOptions {
  hostId: string;
  store: PieceStore;
  /**
   * Brings a task's content here, whole; keeps it from eviction until it returned.
   * @throws {DfError} why it could not; the signal's reason
   */
  bring: (
    task: TaskRequest,
    told: (progress: PreheatProgress) => void,
    signal: AbortSignal,
  ) => Promise<StoredContent>;
}

type PreheatCommand = Extract<Command, { kind: "preheat" }>;

interface OwnPreheat {
  command: PreheatCommand;
  abort: AbortController;
  result: CommandResult;
  /** Where results go: to whoever asked last. */
  report: (result: CommandResult) => void;
}

export class OwnPreheats {
  readonly #options: OwnPreheatsOptions;
  readonly #known = new Map<string, OwnPreheat>();
  readonly #waiting: OwnPreheat[] = [];
  #runningCount = 0;
  #isStopped = false;

  constructor(options: OwnPreheatsOptions) {
    this.#options = options;
  }

  /** Begins what a command asks for; one that came before is only answered again. */
  take(command: Command, report: (result: CommandResult) => void): void {
    if (this.#isStopped) return;
    this.#forgetExpired();
    if (command.kind === "cancel") this.#cancel(command.id, report);
    else this.#preheat(command, report);
  }

  /** Ends what is under way; the fleet orders it again. */
  stop(): void {
    this.#isStopped = true;
    for (const { abort } of this.#known.values()) abort.abort(stopping());
    this.#known.clear();
  }

  #preheat(command: PreheatCommand, report: OwnPreheat["report"]): void {
    const { id, expiresAt } = command;
    const known = this.#known.get(id);
    if (known !== undefined) {
      known.report = report;
      return report(known.result);
    }
    if (expiresAt * 1000 <= Date.now()) return;
    const result: CommandResult = { id, hostId: this.#options.hostId, state: "running" };
    const preheat = { command, abort: new AbortController(), result, report };
    this.#known.set(id, preheat);
    report(result);
    this.#waiting.push(preheat);
    this.#runNext();
  }

  #cancel(id: string, report: OwnPreheat["report"]): void {
    const reason = pinReasonOf(id);
    for (const content of this.#options.store.list()) content.unpin(reason);
    const error = { code: "interrupted", message: "cancelled" };
    const result: CommandResult = { id, hostId: this.#options.hostId, state: "failed", error };
    const known = this.#known.get(id);
    known?.abort.abort(new DfError("interrupted", error.message));
    if (known !== undefined) {
      known.result = result;
      known.command = withoutCredentials(known.command);
    }
    report(result);
  }

  #runNext(): void {
    while (this.#runningCount < RUNNING_MAX) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      if (next.abort.signal.aborted) continue;
      this.#runningCount++;
      void this.#run(next).finally(() => {
        this.#runningCount--;
        this.#runNext();
      });
    }
  }

  async #run(preheat: OwnPreheat): Promise<void> {
    const { command, abort, result } = preheat;
    const { signal } = abort;
    let toldAtMs = performance.now();
    const progressed = ({ doneBytes, length }: PreheatProgress): void => {
      if (signal.aborted || performance.now() - toldAtMs < PROGRESS_INTERVAL_MS) return;
      toldAtMs = performance.now();
      this.#become(preheat, { ...result, doneBytes, length });
    };
    try {
      const content = await this.#bring(command.task, progressed, signal);
      signal.throwIfAborted();
      const reason = pinReasonOf(command.id);
      // A former round may have brought another version.
      for (const other of this.#options.store.list()) if (other !== content) other.unpin(reason);
      content.pin(reason, command.expiresAt * 1000);
      const length = content.manifest.layout.length ?? 0;
      this.#become(preheat, { ...result, state: "done", doneBytes: length, length });
    } catch (error) {
      if (signal.aborted) return;
      const code = isDfError(error) ? error.code : "internal";
      const message = messageOf(error).slice(0, 1024);
      this.#become(preheat, { ...result, state: "failed", error: { code, message } });
    } finally {
      preheat.command = withoutCredentials(command);
    }
  }

  /** As `bring` of the options; a source that says when to come back is asked again then: nobody waits for it here. */
  async #bring(
    task: TaskRequest,
    told: (progress: PreheatProgress) => void,
    signal: AbortSignal,
  ): Promise<StoredContent> {
    for (let waits = 0; ; waits++) {
      try {
        return await this.#options.bring(task, told, signal);
      } catch (error) {
        const refusal = isDfError(error, "source-busy") ? error.refusal : undefined;
        if (refusal === undefined || waits === BUSY_WAITS_MAX) throw error;
        // All who were told the same time must not come back in the same moment.
        const jitterMs = BUSY_JITTER_MS * (1 + Math.random());
        await sleep(refusal.holdsForSeconds * 1_000 + jitterMs, undefined, { signal });
      }
    }
  }

  #become(preheat: OwnPreheat, result: CommandResult): void {
    preheat.result = result;
    preheat.report(result);
  }

  #forgetExpired(): void {
    const nowMs = Date.now();
    for (const [id, { command, abort }] of this.#known) {
      if (command.expiresAt * 1000 > nowMs) continue;
      abort.abort(new DfError("timeout", "preheat: it is no longer wanted"));
      this.#known.delete(id);
    }
  }
}

/** What is over is only answered again: the right that it was brought with is no longer needed. */
function withoutCredentials(command: PreheatCommand): PreheatCommand {
  const { credentials: _, ...task } = command.task;
  return { ...command, task };
}

function stopping(): DfError {
  return new DfError("interrupted", "preheat: stopping");
}
