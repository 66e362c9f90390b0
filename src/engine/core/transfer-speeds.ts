// What the scheduler learns of its hosts' links from reports: the speed of one transfer, up and
// down, in classes of half an octave. Children are kept from parents of a far slower class, and
// parents for children of their own class while such children want pieces.

import type { HostColumns, Swarm } from "./swarm-state.ts";
import type { HostIndex } from "./scheduler-events.ts";

/** Classes apart that count as another kind of host: 4 half octaves are 4 to 5.6 times. Sharing a link by its slots alone makes 3. */
const CLASSES_APART = 4;

/** A slower transfer pulls an estimate down by this share of the difference; a faster one sets it. */
const DECAY = 1 / 16;

/** Estimates within this factor of each other may both be what limited a transfer. */
const SIMILAR = 1.5;

/** Half octaves of a speed in units of 1,024 bytes per second, plus 1; 0: unknown. At most 64. */
export function speedClass(bytesPerSec: number): number {
  const units = Math.min(Math.floor(bytesPerSec / 1024), 0xffff_ffff);
  if (units < 2) return units;
  const octave = 31 - Math.clz32(units);
  return 2 * octave + ((units >>> (octave - 1)) & 1) + 1;
}

export const SPEED_CLASSES = 66;

/** Notes that one transfer between the two ran at this speed. */
export function learnSpeed(
  hosts: HostColumns,
  parent: HostIndex,
  child: HostIndex,
  bytesPerSec: number,
): void {
  const down = hosts.downSpeed[child]!;
  // Links are mostly symmetric: until a host has uploaded, what it received is the best guess.
  const up = hosts.upSpeed[parent] === 0 ? hosts.downSpeed[parent]! : hosts.upSpeed[parent]!;
  hosts.upSpeed[parent] = updated(up, bytesPerSec, down * SIMILAR >= up);
  hosts.downSpeed[child] = updated(down, bytesPerSec, up * SIMILAR >= down);
}

/** @param isLimit whether this side may be what kept the transfer from being faster */
function updated(estimate: number, sample: number, isLimit: boolean): number {
  if (sample >= estimate) return sample;
  return isLimit ? estimate - (estimate - sample) * DECAY : estimate;
}

/** The class of a host as a parent. */
export function upClass(hosts: HostColumns, host: HostIndex): number {
  return speedClass(hosts.upSpeed[host] === 0 ? hosts.downSpeed[host]! : hosts.upSpeed[host]!);
}

/**
 * Whether a pair is a misfit: a fast child would be stuck on a slow parent, or a slow child would
 * hold a slot of a fast parent that others could use better. Unknown speeds fit everyone.
 * @param parentClass 0 also for seeds towards fast children: new pieces are nowhere else
 */
export function isMisfit(
  swarm: Swarm,
  parentClass: number,
  childClass: number,
  isSeed: boolean,
): boolean {
  if (parentClass === 0 || childClass === 0) return false;
  if (childClass - parentClass >= CLASSES_APART) return !isSeed;
  if (parentClass - childClass < CLASSES_APART) return false;
  return swarm.fastestWanting() > parentClass - CLASSES_APART;
}
