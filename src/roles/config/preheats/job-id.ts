// IDs of preheat jobs, and the same as numbers, for clients that know no others.

import { randomBytes } from "node:crypto";

/**
 * Grows with time, so that lists are in order: 12 digits of milliseconds, 8 of chance. Of the latter 11 bits
 * are used, so that `numberOfJob` tells them apart; the database refuses one that is there.
 */
export function newJobId(nowMs: number): string {
  const chance = randomBytes(2).readUInt16BE() % CHANCE_VALUES;
  return nowMs.toString(16).padStart(12, "0") + chance.toString(16).padStart(8, "0");
}

/** 41 bits of milliseconds last until 2039, 42 until 2109: with 11 more a number is exact. */
const CHANCE_VALUES = 2_048;

/** The ID as a number, for clients that know no others. */
export function numberOfJob(id: string): number {
  return (
    parseInt(id.slice(0, 12), 16) * CHANCE_VALUES + (parseInt(id.slice(12), 16) % CHANCE_VALUES)
  );
}

/** Null: no job has it. */
export function jobOfNumber(number: number): string | null {
  if (!Number.isSafeInteger(number) || number < 0) return null;
  const ms = Math.floor(number / CHANCE_VALUES);
  return ms.toString(16).padStart(12, "0") + (number % CHANCE_VALUES).toString(16).padStart(8, "0");
}
