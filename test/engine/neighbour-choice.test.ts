// Whom a supernode names: near hosts first, never the host itself, and always some from anywhere.

import { expect, test } from "bun:test";
import { chooseNeighbours, NEIGHBOUR_COUNT } from "../../src/engine/core/neighbour-choice.ts";
import { Prng } from "../../src/engine/core/prng.ts";

const hosts = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, i) => from + i);

test("the same rack comes first, then the idc, then anyone", () => {
  const groups = { rack: hosts(0, 40), idc: hosts(0, 400), all: hosts(0, 4_000) };

  const chosen = chooseNeighbours(7, groups, new Prng(1));

  expect(chosen).toHaveLength(NEIGHBOUR_COUNT);
  expect(new Set(chosen).size).toBe(NEIGHBOUR_COUNT);
  expect(chosen).not.toContain(7);
  expect(chosen.slice(0, 8).every((host) => host < 40)).toBe(true);
  expect(chosen.slice(8, 14).every((host) => host < 400)).toBe(true);
  expect(chosen.slice(14).some((host) => host >= 400)).toBe(true);
});

test("a small swarm is named whole", () => {
  const groups = { rack: [3], idc: [3, 1], all: hosts(0, 12) };

  const chosen = chooseNeighbours(3, groups, new Prng(1));

  expect(chosen[0]).toBe(1);
  expect(chosen.toSorted((a, b) => a - b)).toEqual(hosts(0, 12).filter((host) => host !== 3));
});

test("a host that is alone has no neighbours", () => {
  expect(chooseNeighbours(0, { rack: [], idc: [], all: [0] }, new Prng(1))).toEqual([]);
});

test("hosts that name each other so form one swarm, also when a third of them dies", () => {
  for (let seed = 0; seed < 20; seed++) {
    const prng = new Prng(seed);
    const all = hosts(0, 200);
    const named = all.map((self) => {
      const rack = all.filter((host) => host >> 3 === self >> 3);
      const idc = all.filter((host) => host >> 6 === self >> 6);
      return chooseNeighbours(self, { rack, idc, all }, prng);
    });
    const isDead = all.map(() => prng.below(3) === 0);
    const first = isDead.indexOf(false);

    // What one host has spreads to those that look at it.
    const reached = new Set([first]);
    for (let size = 0; size < reached.size;) {
      size = reached.size;
      for (const host of all)
        if (!isDead[host] && named[host]!.some((other) => reached.has(other))) reached.add(host);
    }

    expect(reached.size).toBe(isDead.filter((dead) => !dead).length);
  }
});
