// What sources refused a moment ago: everyone else who asks for it is told so without another
// request, be it ten thousand hosts that want a file which is not there.

import { type DfError, isDfError, type ErrorCode } from "../../errors.ts";

/** A source that gave no answer at all is tried again after it; one that answered says itself. */
const UNANSWERED_HOLD_MS = 2_000;

/** Bytes that were not those of their digest are known for that after all were read: not again at once. */
const WRONG_BYTES_HOLD_MS = 30_000;

/** Tasks remembered at once; the oldest go first. Some 300 bytes each. */
const REFUSALS_MAX = 20_000;

/** Failures of the source's making. A changed source is read again at once. */
const OF_THE_SOURCE = new Set<ErrorCode>([
  ...(["network", "tls", "timeout", "protocol"] as const),
  ...(["source-unauthorized", "source-forbidden", "source-not-found"] as const),
  ...(["source-error", "source-busy", "checksum"] as const),
]);

export interface Refusal {
  readonly error: DfError;
  /** `performance.now()`. */
  readonly untilMs: number;
}

/** Whether an error tells what a source did, not what went wrong here. */
export function isOfTheSource({ code }: DfError): boolean {
  return OF_THE_SOURCE.has(code);
}

export class Refusals {
  readonly #byTask = new Map<string, Refusal>();
  /** When what each failure says is over: heard again, also of another task, it is no newer. */
  readonly #untilMs = new WeakMap<DfError, number>();

  /** Undefined when the source may be asked. @param taskId or what else names what was asked for */
  of(taskId: string): Refusal | undefined {
    const refusal = this.#byTask.get(taskId);
    if (refusal === undefined || performance.now() < refusal.untilMs) return refusal;
    this.#byTask.delete(taskId);
    return undefined;
  }

  /** Notes why a task could not be had, if that was the source's doing. */
  note(taskId: string, error: unknown): void {
    if (!isDfError(error) || !isOfTheSource(error)) return;
    const untilMs = this.#untilMs.get(error) ?? performance.now() + holdMsOf(error);
    this.#untilMs.set(error, untilMs);
    this.#byTask.delete(taskId);
    this.#byTask.set(taskId, { error, untilMs });
    if (this.#byTask.size <= REFUSALS_MAX) return;
    const [oldest] = this.#byTask.keys();
    if (oldest !== undefined) this.#byTask.delete(oldest);
  }
}

function holdMsOf({ code, refusal }: DfError): number {
  if (code === "checksum") return WRONG_BYTES_HOLD_MS;
  return refusal === undefined ? UNANSWERED_HOLD_MS : refusal.holdsForSeconds * 1_000;
}
