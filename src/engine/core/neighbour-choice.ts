// Whom a supernode names to a host for the time when no supernode answers: near hosts first, and
// always some from anywhere.

import type { Prng } from "./prng.ts";

/** Neighbours of a host: enough that hundreds of hosts form one swarm though a third of them dies. */
export const NEIGHBOUR_COUNT = 20;

/**
 * Neighbours after the same rack, and after the same idc too. The rest comes from anywhere: a rack
 * whose hosts knew only each other could never get a piece that none of them has.
 */
const RACK_COUNT = 8;
const IDC_COUNT = 14;

/** Draws for each neighbour that is wanted, before a crowded group is left at fewer. */
const DRAWS = 4;

/** Hosts as the chooser's numbers; each group contains the one before it. */
export interface NeighbourGroups {
  rack: readonly number[];
  idc: readonly number[];
  all: readonly number[];
}

/** Chooses up to NEIGHBOUR_COUNT distinct hosts without `self`, the nearest groups first. O(count). */
export function chooseNeighbours(self: number, groups: NeighbourGroups, prng: Prng): number[] {
  const chosen: number[] = [];
  fill(chosen, RACK_COUNT, groups.rack, self, prng);
  fill(chosen, IDC_COUNT, groups.idc, self, prng);
  fill(chosen, NEIGHBOUR_COUNT, groups.all, self, prng);
  return chosen;
}

function fill(
  chosen: number[],
  count: number,
  group: readonly number[],
  self: number,
  prng: Prng,
): void {
  // A small group is walked through from a random place; a large one is drawn from.
  const isSmall = group.length <= 2 * NEIGHBOUR_COUNT;
  const steps = isSmall ? group.length : DRAWS * count;
  const start = group.length === 0 ? 0 : prng.below(group.length);
  for (let step = 0; step < steps && chosen.length < count; step++) {
    const host = group[isSmall ? (start + step) % group.length : prng.below(group.length)]!;
    if (host !== self && !chosen.includes(host)) chosen.push(host);
  }
}
