// Several seeds in one swarm: members of a cluster that fill themselves from the owner's swarm while
// they already give what they have, and a seed that takes what it lacks from its peers.

import { describe, expect, test } from "bun:test";
import { DrawnSwarm, report, SEED_HOST } from "./scheduler-fixture.ts";
import { PieceSet } from "../../src/engine/core/piece-set.ts";

const EXTRA = 9;

function extraSeedJoins(swarm: DrawnSwarm, pieceCount: number): void {
  swarm.step({ kind: "hostArrived", host: EXTRA, isSeed: true, uploadSlots: 8 });
  const have = new PieceSet(pieceCount).words;
  swarm.step({ kind: "joined", content: 0, host: EXTRA, have, wantsPieces: true });
}

describe("an extra seed", () => {
  test("and the children get each new piece of the owner once before any is repeated", () => {
    const swarm = new DrawnSwarm("########  ........  ........");
    extraSeedJoins(swarm, 8);

    const given = [...swarm.pulls(EXTRA, 3), ...swarm.pulls(1, 3), ...swarm.pulls(2, 2)].map(
      ({ piece }) => piece,
    );

    expect(new Set(given).size).toBe(8);
  });

  test("gives out what only the seeds have, as soon as it has it", () => {
    const swarm = new DrawnSwarm("#...  ....", { seedSlots: 8 });
    extraSeedJoins(swarm, 4);
    const [first] = swarm.pulls(EXTRA, 1);

    swarm.pulls(EXTRA, 1, [report(first!.piece, SEED_HOST)]);
    const [assignment] = swarm.pulls(1, 1);

    expect(assignment?.piece).toBe(0);
  });

  test("serves the swarm alone when the owner's slots are taken", () => {
    const swarm = new DrawnSwarm("##  ..  ..  ..  ..  ..", { seedSlots: 1 });
    extraSeedJoins(swarm, 2);
    const [first] = swarm.pulls(EXTRA, 1);
    swarm.pulls(EXTRA, 1, [report(first!.piece, SEED_HOST)]);

    const parents = [1, 2, 3].flatMap((child) => swarm.pulls(child, 1)).map(({ parent }) => parent);

    expect(parents).toContain(EXTRA);
  });

  // The seed that came first was given all that its slots hold: four children took everything from one.
  test("and the owner share what few children ask, whichever came first", () => {
    const empty = ".".repeat(32);
    const swarm = new DrawnSwarm(`${"#".repeat(32)}  ${empty}  ${empty}  ${empty}`, {
      seedSlots: 32,
    });
    swarm.step({ kind: "hostArrived", host: EXTRA, isSeed: true, uploadSlots: 32 });
    for (let piece = 0; piece < 32; piece++)
      swarm.step({ kind: "pieceSeeded", content: 0, host: EXTRA, piece });

    const parents = [1, 2, 3].flatMap((child) => swarm.pulls(child, 4)).map(({ parent }) => parent);

    expect(parents.filter((parent) => parent === EXTRA)).toHaveLength(6);
    expect(parents.filter((parent) => parent === SEED_HOST)).toHaveLength(6);
  });

  test("comes first at the owner, until it has half of its slots", () => {
    const empty = ".".repeat(20);
    const swarm = new DrawnSwarm(`${"#".repeat(20)}  ${empty}  ${empty}  ${empty}`, {
      seedSlots: 4,
    });
    const [a, b, c] = swarm.pulls(1, 4);
    extraSeedJoins(swarm, 20);
    for (const child of [2, 3, EXTRA]) swarm.pulls(child, 4);

    const served = [a!, b!, c!].map(({ piece }) => {
      swarm.pulls(1, 0, [report(piece, SEED_HOST)]);
      return swarm.givenTo(EXTRA).length > 0;
    });

    expect(served).toEqual([true, true, false]);
  });

  test("that goes leaves its children to the owner", () => {
    const swarm = new DrawnSwarm("####  ....", { seedSlots: 1 });
    extraSeedJoins(swarm, 4);
    for (let piece = 0; piece < 4; piece++)
      swarm.step({ kind: "pieceSeeded", content: 0, host: EXTRA, piece });
    swarm.pulls(1, 2);

    swarm.leaves(EXTRA);
    swarm.pulls(1, 4);

    expect(swarm.givenTo(1).every(({ parent }) => parent === SEED_HOST)).toBe(true);
  });
});

describe("a seed that lost pieces", () => {
  test("is given them by peers that have them, and goes on giving its own", () => {
    const swarm = new DrawnSwarm("##..  ..##  ....");
    swarm.step({ kind: "seedWants", content: 0, host: SEED_HOST, wantsPieces: true });

    const taken = swarm.pulls(SEED_HOST, 4);
    const given = swarm.pulls(2, 4);

    expect(
      taken.toSorted((a, b) => a.piece - b.piece).map(({ piece, parent }) => [piece, parent]),
    ).toEqual([
      [2, 1],
      [3, 1],
    ]);
    expect(given.map(({ parent }) => parent)).toContain(SEED_HOST);
  });

  test("is given them wherever they lie, not in a window alone", () => {
    const far = `${".".repeat(199)}#`;
    const swarm = new DrawnSwarm(`${".".repeat(200)}  ${far}`);
    swarm.step({ kind: "seedWants", content: 0, host: SEED_HOST, wantsPieces: true });

    expect(swarm.pulls(SEED_HOST, 4).map(({ piece }) => piece)).toEqual([199]);
  });

  test("is given nothing any more once it reads the rest elsewhere", () => {
    const swarm = new DrawnSwarm("##..  ..##");
    swarm.step({ kind: "seedWants", content: 0, host: SEED_HOST, wantsPieces: true });
    swarm.pulls(SEED_HOST, 1);

    swarm.step({ kind: "seedWants", content: 0, host: SEED_HOST, wantsPieces: false });

    expect(swarm.pulls(SEED_HOST, 4)).toEqual([]);
    expect(
      swarm
        .pulls(1, 4)
        .map(({ piece }) => piece)
        .toSorted((a, b) => a - b),
    ).toEqual([0, 1]);
  });
});
