// The contract that lets one engine serve the real roles and the simulator.

/** A deterministic state machine: the same events at the same times give the same effects. */
export interface Machine<Event, Effect> {
  /**
   * Applies one event and appends what must now be done, in order, to `effects`.
   * @param nowUs monotonic microseconds, never less than at the call before
   */
  step(nowUs: number, event: Event, effects: Effect[]): void;
}

/** Thrown when the engine's own books disagree: always a bug of ours, never of an input. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/** Throws an InvariantError unless `condition` holds; on in production too. */
export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new InvariantError(`bug: ${invariant}`);
}
