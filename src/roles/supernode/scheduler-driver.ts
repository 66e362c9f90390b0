// Runs the scheduler machine in real time: gives it events and the clock, performs its effects in
// order and keeps its one timer.

import { Prng } from "../../engine/core/prng.ts";
import { InvariantError, type Machine } from "../../engine/core/machine.ts";
import { Scheduler } from "../../engine/core/scheduler.ts";
import { record } from "../../engine/core/trace.ts";
import type { SchedulerEffect, SchedulerEvent } from "../../engine/core/scheduler-events.ts";

/** A fault that comes back at once must not make a hot loop. Until then the empty machine ignores all. */
const RESTART_DELAY_MS = 500;

export interface SchedulerDriverOptions {
  /** Performs an effect; must not step the scheduler itself. */
  perform: (effect: Exclude<SchedulerEffect, { kind: "wakeAt" }>) => void;
  /** Sees every step as a line that `replay` understands, until the books break. */
  trace?: (line: string) => void;
  /** The machine found its own books wrong: they are empty now, and must be written anew. */
  broke: (error: InvariantError) => void;
  seed: number;
}

export class SchedulerDriver {
  #machine: Machine<SchedulerEvent, SchedulerEffect>;
  readonly #options: SchedulerDriverOptions;
  readonly #effects: SchedulerEffect[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;

  constructor(options: SchedulerDriverOptions) {
    this.#options = options;
    const machine = this.#newMachine();
    this.#machine = options.trace === undefined ? machine : record(machine, options.trace);
  }

  step(event: SchedulerEvent): void {
    if (this.#isStopped) return;
    const effects = this.#effects;
    effects.length = 0;
    const nowUs = monotonicUs();
    try {
      this.#machine.step(nowUs, event, effects);
    } catch (error) {
      if (!(error instanceof InvariantError)) throw error;
      clearTimeout(this.#timer);
      this.#machine = this.#newMachine();
      this.#timer = setTimeout(() => this.#options.broke(error), RESTART_DELAY_MS);
      return;
    }
    for (const effect of effects) {
      if (effect.kind === "wakeAt") this.#wakeAt(effect.atUs);
      else this.#options.perform(effect);
    }
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #newMachine(): Scheduler {
    return new Scheduler({ prng: new Prng(this.#options.seed) });
  }

  #wakeAt(atUs: number): void {
    clearTimeout(this.#timer);
    const delayMs = Math.max(0, Math.ceil((atUs - monotonicUs()) / 1000));
    this.#timer = setTimeout(() => this.step({ kind: "woke" }), delayMs);
  }
}

function monotonicUs(): number {
  return Math.floor(performance.now() * 1000);
}
