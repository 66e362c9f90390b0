// Records what a machine was told and what it answered, and plays it back: the proof that a real
// run was decided by the machine alone. Where the lines go is the caller's affair.
//
//   line: {"nowUs":…,"event":{…},"effects":"<16 hex digits>"}

import type { Machine } from "./machine.ts";

/** One step as it is kept. */
export interface TraceStep<Event> {
  nowUs: number;
  event: Event;
  /** Digest of the effects of this step. */
  effects: string;
}

/**
 * Wraps a machine so that each step is also given to `sink` as one JSON line, without line break.
 * The wrapper is to be used in place of the machine; other methods stay with the machine itself.
 */
export function record<Event, Effect>(
  machine: Machine<Event, Effect>,
  sink: (line: string) => void,
): Machine<Event, Effect> {
  return {
    step(nowUs, event, effects) {
      // Written down before the machine may keep and change parts of the event.
      const told = `{"nowUs":${nowUs},"event":${encode(event)}`;
      const from = effects.length;
      machine.step(nowUs, event, effects);
      sink(`${told},"effects":"${digestOf(effects.slice(from))}"}`);
    },
  };
}

/** Where a replay first differed from its trace. */
export interface Divergence {
  /** 0-based line. */
  line: number;
  expected: string;
  actual: string;
}

/**
 * Plays recorded lines into a machine made with the same options and generator seed.
 * @returns null when every step gave the recorded effects
 */
export function replay<Event, Effect>(
  machine: Machine<Event, Effect>,
  lines: Iterable<string>,
): Divergence | null {
  let line = 0;
  for (const text of lines) {
    const step = JSON.parse(text, revive) as TraceStep<Event>;
    const effects: Effect[] = [];
    machine.step(step.nowUs, step.event, effects);
    const actual = digestOf(effects);
    if (actual !== step.effects) return { line, expected: step.effects, actual };
    line++;
  }
  return null;
}

/** Sixty-four bits over the effects' JSON text: two lanes of FNV-1a. */
function digestOf(effects: readonly unknown[]): string {
  const text = encode(effects);
  let low = 0x811c9dc5;
  let high = 0x01000193;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    low = Math.imul(low ^ code, 0x01000193);
    high = Math.imul(high ^ code, 0x85ebca6b);
  }
  const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, "0");
  return hex(high) + hex(low);
}

/** JSON with bitmaps as { "words": […] }; the engine's events hold no other typed arrays. */
function encode(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    part instanceof Uint32Array ? { words: [...part] } : part,
  );
}

function revive(_: string, part: unknown): unknown {
  if (typeof part !== "object" || part === null || !("words" in part)) return part;
  return Uint32Array.from(part.words as number[]);
}
