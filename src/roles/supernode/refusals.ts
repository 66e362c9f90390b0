// What sources refused a moment ago: everyone else who asks for it is told so without another
// request, be it ten thousand hosts that want a file which is not there.

import { type DfError, isDfError, type ErrorCode } from "../../errors.ts";

/** A source that gave no answer at all is tried again after it; one that answered says itself. */
const UNANSWERED_HOLD_MS = 2_000;

/** Tasks remembered at once; the oldest go first. Some 300 bytes each. */
const REFUSALS_MAX = 20_000;

/** Failures of the source's making. A changed source is read again at once. */
const OF_THE_SOURCE = new Set<ErrorCode>([
  ...(["network", "tls", "timeout", "protocol"] as const),
  ...(["source-unauthorized", "source-forbidden", "source-not-found"] as const),
  ...(["source-error", "source-busy"] as const),
]);

export interface Refusal {
  readonly error: DfError;
  /** `performance.now()`. */
  readonly untilMs: number;
}

export class Refusals {
  readonly #byTask = new Map<string, Refusal>();

  /** Undefined when the source may be asked. */
  of(taskId: string): Refusal | undefined {
    const refusal = this.#byTask.get(taskId);
    if (refusal === undefined || performance.now() < refusal.untilMs) return refusal;
    this.#byTask.delete(taskId);
    return undefined;
  }

  /** Notes why a task could not be had, if that was the source's doing. */
  note(taskId: string, error: unknown): void {
    if (!isDfError(error) || !OF_THE_SOURCE.has(error.code)) return;
    const { refusal } = error;
    const holdsForMs = refusal === undefined ? UNANSWERED_HOLD_MS : refusal.holdsForSeconds * 1_000;
    this.#byTask.delete(taskId);
    this.#byTask.set(taskId, { error, untilMs: performance.now() + holdsForMs });
    if (this.#byTask.size <= REFUSALS_MAX) return;
    const [oldest] = this.#byTask.keys();
    if (oldest !== undefined) this.#byTask.delete(oldest);
  }
}
