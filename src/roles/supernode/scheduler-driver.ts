// Runs the scheduler machine in real time: gives it events and the clock, performs its effects in
// order and keeps its one timer.

import { Prng } from "../../engine/core/prng.ts";
import type { Machine } from "../../engine/core/machine.ts";
import { Scheduler } from "../../engine/core/scheduler.ts";
import type { SchedulerEffect, SchedulerEvent } from "../../engine/core/scheduler-events.ts";

export interface SchedulerDriverOptions {
  /** Performs an effect; must not step the scheduler itself. */
  perform: (effect: Exclude<SchedulerEffect, { kind: "wakeAt" }>) => void;
  /** Sees every step, for a trace that can be replayed. */
  record?: (nowUs: number, event: SchedulerEvent, effects: readonly SchedulerEffect[]) => void;
  seed: number;
}

export class SchedulerDriver {
  readonly #machine: Machine<SchedulerEvent, SchedulerEffect>;
  readonly #options: SchedulerDriverOptions;
  readonly #effects: SchedulerEffect[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;

  constructor(options: SchedulerDriverOptions) {
    this.#options = options;
    this.#machine = new Scheduler({ prng: new Prng(options.seed) });
  }

  step(event: SchedulerEvent): void {
    if (this.#isStopped) return;
    const effects = this.#effects;
    effects.length = 0;
    const nowUs = monotonicUs();
    this.#machine.step(nowUs, event, effects);
    this.#options.record?.(nowUs, event, effects);
    for (const effect of effects) {
      if (effect.kind === "wakeAt") this.#wakeAt(effect.atUs);
      else this.#options.perform(effect);
    }
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
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
