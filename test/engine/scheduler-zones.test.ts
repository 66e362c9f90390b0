// Isolated networks: a child is only sent to parents that it can reach.

import { expect, test } from "bun:test";
import { DrawnSwarm, report, SEED_HOST } from "./scheduler-fixture.ts";

const EAST = 1;
const WEST = 2;

test("a child is given parents of its own zone, and the seed with a foot in each", () => {
  const swarm = new DrawnSwarm("#...");
  swarm.joins(1, ".###", 4, { zone: EAST });
  swarm.joins(2, "..##", 4, { zone: WEST });
  swarm.joins(3, "....", 4, { zone: WEST });

  const given = swarm.pulls(3, 8);

  expect(
    given.toSorted((a, b) => a.piece - b.piece).map(({ piece, parent }) => [piece, parent]),
  ).toEqual([
    [0, SEED_HOST],
    [2, 2],
    [3, 2],
  ]);
});

test("a peer that other zones reach too feeds children there", () => {
  const swarm = new DrawnSwarm("....");
  swarm.joins(1, "####", 4, { zone: EAST, alsoIn: [WEST] });
  swarm.joins(2, "....", 4, { zone: WEST });
  swarm.joins(3, "....", 4, { zone: 3 });

  expect(swarm.pulls(2, 2).map(({ parent }) => parent)).toEqual([1, 1]);
  expect(swarm.pulls(3, 2)).toEqual([]);
});

test("an overdue piece is taken from no parent that cannot be reached", () => {
  const swarm = new DrawnSwarm(".");
  swarm.joins(1, "#", 4, { zone: EAST });
  swarm.joins(2, "#", 4, { zone: WEST });
  swarm.joins(3, ".", 4, { zone: WEST });
  expect(swarm.pulls(3, 1).map(({ parent }) => parent)).toEqual([2]);

  expect(swarm.pulls(3, 1, [], [0])).toEqual([]);
});

test("hosts leave their zone's lists when they go, and a new host may stand elsewhere", () => {
  const swarm = new DrawnSwarm("..");
  swarm.joins(1, "##", 4, { zone: EAST });
  swarm.leaves(1);
  swarm.joins(1, "##", 4, { zone: WEST });
  swarm.joins(2, "..", 4, { zone: EAST });
  swarm.joins(3, "..", 4, { zone: WEST });

  expect(swarm.pulls(2, 2)).toEqual([]);
  expect(swarm.pulls(3, 2).map(({ parent }) => parent)).toEqual([1, 1]);
  swarm.pulls(3, 2, [report(0, 1), report(1, 1)]);
  swarm.leaves(1);
  expect(swarm.pulls(2, 2)).toEqual([]);
});
