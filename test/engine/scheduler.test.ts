// The scheduler's rules, one small drawn swarm each: row 0 is the seed, then hosts 1, 2, …

import { describe, expect, test } from "bun:test";

import { NO_PARENT, type PieceReport } from "../../src/engine/core/scheduler-events.ts";
import { DrawnSwarm, report, SEED_HOST } from "./scheduler-fixture.ts";

describe("seed", () => {
  test("gives out every piece once before it repeats one", () => {
    const swarm = new DrawnSwarm("######  ......  ......  ......");

    const given = [1, 2, 3].flatMap((host) => swarm.pulls(host, 2));

    expect(given.map(({ piece }) => piece).toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("gives a new piece to one that waits the moment it is seeded", () => {
    const swarm = new DrawnSwarm("....  ....");
    expect(swarm.pulls(1, 2)).toEqual([]);

    swarm.seeds(2);

    expect(swarm.givenTo(1)).toEqual([{ piece: 2, count: 1, parent: SEED_HOST }]);
  });

  test("gives a piece again when its first child failed", () => {
    const swarm = new DrawnSwarm("#...  ....  ....");
    swarm.pulls(1, 1);

    swarm.pulls(1, 0, [report(0, SEED_HOST, "broken")]);

    expect(swarm.pulls(2, 1)).toEqual([{ piece: 0, count: 1, parent: SEED_HOST }]);
  });

  test("is not quarantined on peers' word", () => {
    const swarm = new DrawnSwarm("##  ..  ..  ..");
    for (const host of [1, 2]) {
      const [given] = swarm.pulls(host, 1);
      swarm.pulls(host, 1, [report(given!.piece, SEED_HOST, "corrupt")]);
      expect(swarm.effects.some(({ kind }) => kind === "quarantined")).toBe(false);
    }

    expect(swarm.pulls(3, 1).length).toBe(1);
  });
});

describe("child", () => {
  // A hedge that crossed the last report held its parent's slot until the reservation ran out.
  test("that is complete holds no parent's slot any more", () => {
    const swarm = new DrawnSwarm("#  .  .", { slots: 0, seedSlots: 1 });
    swarm.pulls(1, 1);

    swarm.pulls(1, 0, [report(0, NO_PARENT, "finished")]);

    expect(swarm.pulls(2, 1)).toEqual([{ piece: 0, count: 1, parent: SEED_HOST }]);
  });

  test("is given what its parents have and it lacks", () => {
    const swarm = new DrawnSwarm("....  ##..  #.#.");

    expect(swarm.pulls(2, 4)).toEqual([{ piece: 1, count: 1, parent: 1 }]);
    expect(swarm.pulls(1, 4)).toEqual([{ piece: 2, count: 1, parent: 2 }]);
  });

  // Taken at random, the first piece of 1 GiB came last, and df get had all of it still to copy.
  test("that is alone gets its pieces in order, also those that are not new to the seed", () => {
    const swarm = new DrawnSwarm("################  ................");
    swarm.pulls(1, 16);
    swarm.leaves(1);
    swarm.joins(1, "................");
    swarm.joins(2, "#...............");
    swarm.leaves(2);

    const given = swarm.pulls(1, 4).map(({ piece }) => piece);

    expect(given).toEqual([0, 1, 2, 3]);
  });

  test("never has more in flight than the slots it named, however often it pulls", () => {
    const swarm = new DrawnSwarm("########  ........");

    expect(swarm.pulls(1, 2).length).toBe(2);
    expect(swarm.pulls(1, 2).length).toBe(0);
    expect(swarm.pulls(1, 4).length).toBe(2);
  });

  // An engine pulls three layers at once: each had as many slots as a parent has in all, and parents
  // that must choose among three times as many children leave some of them idle.
  test("has its slots once for all its contents, and one at least in each", () => {
    const swarm = new DrawnSwarm("########  ........");
    const pullsOf = (content: number, slots: number, reports: PieceReport[] = []) => {
      swarm.step({ kind: "pulled", content, host: 1, pull: { slots, reports, overdue: [] } });
      return swarm.givenTo(1);
    };
    for (const content of [1, 2]) {
      swarm.step({ kind: "contentOpened", content, pieceCount: 8, pieceLength: 1 << 20 });
      for (let piece = 0; piece < 8; piece++)
        swarm.step({ kind: "pieceSeeded", content, host: SEED_HOST, piece });
      const nothing = { have: Uint32Array.of(0), wantsPieces: true };
      swarm.step({ kind: "joined", content, host: 1, ...nothing });
    }
    const first = pullsOf(0, 3);
    expect(first.length).toBe(3);

    expect([pullsOf(1, 3).length, pullsOf(2, 3).length]).toEqual([1, 1]);

    const finished = (piece: number) => report(piece, SEED_HOST);
    expect(pullsOf(0, 3, [finished(first[0]!.piece)])).toEqual([]);
    expect(pullsOf(0, 3, [finished(first[1]!.piece)])).toEqual([]);
    expect(pullsOf(0, 3, [finished(first[2]!.piece)]).length).toBe(1);
  });

  test("is not believed when it names very many slots, and earns some with what it finishes", () => {
    const swarm = new DrawnSwarm(`${"#".repeat(40)}  ${".".repeat(40)}`);

    let given = swarm.pulls(1, 1000);
    expect(given.length).toBe(4);

    for (let round = 0; round < 4; round++) {
      const reports = given.map(({ piece }) => report(piece, SEED_HOST));
      given = swarm.pulls(1, 1000, reports);
    }
    expect(given.length).toBe(8);
  });

  test("that wants pieces of supernodes alone is given none of a peer's", () => {
    const swarm = new DrawnSwarm("#...  ####");
    swarm.joins(2, "....", 2, { seedsOnly: true });

    expect(swarm.pulls(2, 4)).toEqual([{ piece: 0, count: 1, parent: SEED_HOST }]);
    swarm.nowUs += 100_000;
    swarm.wakes();
    expect(swarm.givenTo(2)).toEqual([]);

    swarm.seeds(3);
    expect(swarm.givenTo(2)).toEqual([{ piece: 3, count: 1, parent: SEED_HOST }]);
  });

  test("that finds nothing at the seed is kept away for a while, and no piece is lost to others", () => {
    const swarm = new DrawnSwarm("#...  ....  ....");
    swarm.pulls(1, 1);

    expect(swarm.pulls(1, 1, [report(0, SEED_HOST, "gone")])).toEqual([]);

    expect(swarm.pulls(2, 1)).toEqual([{ piece: 0, count: 1, parent: SEED_HOST }]);
  });

  test("waits and is served when a parent gains something useful", () => {
    const swarm = new DrawnSwarm("....  ....  ....");
    swarm.pulls(2, 1);

    swarm.pulls(1, 0, [report(3, 0)]);

    expect(swarm.givenTo(2)).toEqual([{ piece: 3, count: 1, parent: 1 }]);
  });

  test("stays within its window above the first gap, except for new pieces of the seed", () => {
    const swarm = new DrawnSwarm(
      `${".".repeat(200)}  ${".".repeat(100)}${"#".repeat(100)}  ${".".repeat(200)}`,
    );
    expect(swarm.pulls(2, 1)).toEqual([]);

    swarm.seeds(150);
    swarm.seeds(199);

    // Host 1 has both: they are not new. Its pieces lie past the window of 64.
    expect(swarm.givenTo(2)).toEqual([]);
    swarm.leaves(1);
    swarm.seeds(99);
    expect(swarm.givenTo(2).length).toBe(1);
  });

  test("that has a piece already is never given it again", () => {
    const swarm = new DrawnSwarm("##  ..");
    const [first] = swarm.pulls(1, 1);

    const rest = swarm.pulls(1, 2, [report(first!.piece, SEED_HOST)]);

    expect(rest.map(({ piece }) => piece)).toEqual([1 - first!.piece]);
  });
});

describe("parent", () => {
  test("is never given more uploads than its slots", () => {
    const swarm = new DrawnSwarm("....  ####  ....  ....  ....", { slots: 2 });

    const given = [2, 3, 4].map((host) => swarm.pulls(host, 3).length);

    expect(given).toEqual([2, 0, 0]);
  });

  test("serves the next one when a slot is reported free", () => {
    const swarm = new DrawnSwarm("....  ####  ....  ....", { slots: 1 });
    const [first] = swarm.pulls(2, 1);
    swarm.pulls(3, 1);

    swarm.pulls(2, 0, [report(first!.piece, 1)]);

    expect(swarm.givenTo(3).map(({ parent }) => parent)).toEqual([1]);
  });

  test("that broke is left alone by that child, not by others", () => {
    const swarm = new DrawnSwarm("....  #...  ....  ....");
    swarm.pulls(2, 1);

    expect(swarm.pulls(2, 1, [report(0, 1, "broken")])).toEqual([]);
    expect(swarm.pulls(3, 1).length).toBe(1);
  });

  test("that was busy is asked again a little later", () => {
    const swarm = new DrawnSwarm("....  #...  ....");
    swarm.pulls(2, 1);
    expect(swarm.pulls(2, 1, [report(0, 1, "busy")])).toEqual([]);

    swarm.nowUs += 300_000;
    swarm.wakes();

    expect(swarm.givenTo(2)).toEqual([{ piece: 0, count: 1, parent: 1 }]);
  });

  test("that said gone is not asked for that piece any more", () => {
    const swarm = new DrawnSwarm("....  ##..  ....  ....");
    swarm.pulls(2, 2);
    swarm.pulls(2, 0, [report(0, 1, "gone"), report(1, 1, "cancelled")]);

    expect(swarm.pulls(3, 2)).toEqual([{ piece: 1, count: 1, parent: 1 }]);
  });

  test("that gave wrong bytes is probed on the first accusation, and is none of that child any more", () => {
    const swarm = new DrawnSwarm("....  ####  ....  ....");
    const [given] = swarm.pulls(2, 1);

    const again = swarm.pulls(2, 1, [report(given!.piece, 1, "corrupt")]);

    const { piece } = given!;
    expect(swarm.effects).toEqual([{ kind: "probe", content: 0, piece, host: 1, accuser: 2 }]);
    expect(again).toEqual([]);
    expect(swarm.pulls(3, 1).length).toBe(1);
  });

  test("that is probed is not probed twice at once", () => {
    const swarm = new DrawnSwarm("....  ####  ....  ....");
    for (const child of [2, 3]) {
      const [given] = swarm.pulls(child, 1);
      swarm.pulls(child, 0, [report(given!.piece, 1, "corrupt")]);
    }

    expect(swarm.effects).toEqual([]);
  });

  test("that gave the supernode wrong bytes is quarantined, serves no one, and again when pardoned", () => {
    const swarm = new DrawnSwarm("....  ####  ....  ....  ....");
    const [given] = swarm.pulls(2, 1);
    swarm.pulls(2, 1, [report(given!.piece, 1, "corrupt")]);

    swarm.step({ kind: "probed", host: 1, accuser: 2, verdict: "liar" });

    expect(swarm.effects).toContainEqual({ kind: "quarantined", host: 1 });
    expect(swarm.pulls(4, 2)).toEqual([]);
    swarm.step({ kind: "pardoned", host: 1 });
    expect(swarm.givenTo(4)).toHaveLength(2);
  });

  test("that comes back within its quarantine is none", () => {
    const swarm = new DrawnSwarm("....  ....  ....");
    const have = new Uint32Array([0b1111]);

    swarm.step({
      ...{ kind: "hostArrived", host: 3 },
      isSeed: false,
      uploadSlots: 2,
      isQuarantined: true,
    });
    swarm.step({ kind: "joined", content: 0, host: 3, have, wantsPieces: true });

    expect(swarm.pulls(1, 2)).toEqual([]);
  });

  test.each(["honest", "unknown"] as const)("whose probe says %s goes on serving", (verdict) => {
    const swarm = new DrawnSwarm("....  ####  ....  ....");
    const [given] = swarm.pulls(2, 1);
    swarm.pulls(2, 1, [report(given!.piece, 1, "corrupt")]);

    swarm.step({ kind: "probed", host: 1, accuser: 2, verdict });

    expect(swarm.effects).toEqual([]);
    expect(swarm.pulls(3, 1).length).toBe(1);
  });

  test("T-42: a child whose accusations were wrong three times is not heard any more", () => {
    const swarm = new DrawnSwarm(`....  ....  ${"####  ".repeat(20)}`);
    let probes = 0;
    for (let round = 0; round < 20; round++) {
      const [given] = swarm.pulls(1, 1);
      swarm.pulls(1, 0, [report(given!.piece, given!.parent, "corrupt")]);
      for (const effect of swarm.effects) {
        if (effect.kind !== "probe") continue;
        probes++;
        const { host, accuser } = effect;
        swarm.step({ kind: "probed", host, accuser, verdict: "honest" });
        expect(swarm.effects).toEqual([]);
      }
    }

    expect(probes).toBe(3);
  });

  test("that may upload from now on is given to those who wait", () => {
    const swarm = new DrawnSwarm("....  ####  ....", { slots: 0 });
    expect(swarm.pulls(2, 2)).toEqual([]);

    swarm.step({ kind: "hostReachable", host: 1, uploadSlots: 3 });

    expect(swarm.givenTo(2)).toHaveLength(2);
  });

  test("that further zones reach from now on serves them, and its own no less", () => {
    const swarm = new DrawnSwarm("....");
    swarm.joins(1, "####", 1, { zone: 1 });
    swarm.joins(2, "....", 0, { zone: 2 });
    swarm.joins(3, "....", 0, { zone: 1 });
    expect(swarm.pulls(2, 1)).toEqual([]);

    swarm.step({ kind: "hostReachable", host: 1, uploadSlots: 2, zone: 1, alsoIn: [2] });

    expect(swarm.givenTo(2)).toHaveLength(1);
    expect(swarm.pulls(3, 1)).toHaveLength(1);
  });

  test("that nobody reaches any more serves no one, and leaves no trace when it goes", () => {
    const swarm = new DrawnSwarm("....  ####  ....  ....");
    swarm.pulls(2, 1);

    swarm.step({ kind: "hostReachable", host: 1, uploadSlots: 0 });

    expect(swarm.pulls(3, 1)).toEqual([]);
    swarm.leaves(1);
    expect(swarm.pulls(3, 1)).toEqual([]);
  });

  test("that is gone leaves its pieces to be taken elsewhere at once", () => {
    const swarm = new DrawnSwarm("....  #...  #...  ....", { slots: 1 });
    const [given] = swarm.pulls(3, 1);

    swarm.leaves(given!.parent);

    expect(swarm.givenTo(3)).toEqual([{ piece: 0, count: 1, parent: 3 - given!.parent }]);
  });
});

describe("time", () => {
  test("a child finds the one holder of its last piece among very many free parents", () => {
    const row = `${"#".repeat(39)}.`;
    const swarm = new DrawnSwarm(".".repeat(40));
    for (let host = 1; host <= 2000; host++) swarm.joins(host, row);
    swarm.joins(2001, `${".".repeat(39)}#`);
    swarm.joins(2002, row);
    swarm.pulls(2002, 1);

    swarm.nowUs += 100_000;
    swarm.wakes();

    expect(swarm.givenTo(2002)).toEqual([{ piece: 39, count: 1, parent: 2001 }]);
  });

  test("a child that never reports does not hold a slot for ever", () => {
    const swarm = new DrawnSwarm("....  #...  ....  ....", { slots: 1 });
    swarm.pulls(2, 1);
    swarm.pulls(3, 1);

    swarm.nowUs += 60_000_000;
    swarm.wakes();

    expect([...swarm.givenTo(2), ...swarm.givenTo(3)].length).toBe(1);
  });

  test("a dead child keeps one slot at most, so the others go on", () => {
    const swarm = new DrawnSwarm(`${"#".repeat(150)}  ${".".repeat(150)}  ${".".repeat(150)}`);
    expect(swarm.pulls(1, 1000).length).toBe(4);
    let live = swarm.pulls(2, 4);

    // Two minutes in which one child finishes all, and the other goes on asking and tells nothing.
    let givenToDead = 0;
    for (let round = 0; round < 24; round++) {
      swarm.nowUs += 5_000_000;
      swarm.wakes();
      givenToDead += swarm.givenTo(1).length + swarm.pulls(1, 1000).length;
      const reports = live.map(({ piece, parent }) => report(piece, parent));
      live = swarm.pulls(2, 4, reports);
      expect(live.length).toBe(4);
    }

    // One for each time that the wait of half a minute is over.
    expect(givenToDead).toBe(3);
  });

  test("a child that is known to be fast is waited for as long as its pieces take", () => {
    const swarm = new DrawnSwarm("####  ....");
    const [first] = swarm.pulls(1, 1);
    // 1 MiB in 10 ms: the next one is not waited for as if it took 20 s.
    const [second] = swarm.pulls(1, 1, [report(first!.piece, SEED_HOST, "finished", 10)]);

    swarm.nowUs += 11_000_000;
    swarm.wakes();

    expect(swarm.givenTo(1)).toEqual([second!]);
  });

  test("a child cannot have overdue pieces that it was never given", () => {
    const swarm = new DrawnSwarm("....  ####  ....");

    expect(swarm.pulls(2, 0, [], [0, 1, 2, 3])).toEqual([]);
  });

  test("an overdue piece is taken from a second parent too, once", () => {
    const swarm = new DrawnSwarm("....  #...  #...  ....");
    const [slow] = swarm.pulls(3, 1);

    expect(swarm.pulls(3, 1, [], [0])).toEqual([{ piece: 0, count: 1, parent: 3 - slow!.parent }]);
    expect(swarm.pulls(3, 1, [], [0])).toEqual([]);
  });

  test("it asks to be woken while something is assigned, and not when all is done", () => {
    const swarm = new DrawnSwarm("#  .");
    swarm.pulls(1, 1);
    expect(swarm.effects.some(({ kind }) => kind === "wakeAt")).toBe(true);

    swarm.pulls(1, 1, [report(0, SEED_HOST)]);
    swarm.nowUs += 200_000;
    swarm.wakes();

    expect(swarm.effects).toEqual([]);
  });
});

describe("content", () => {
  test("of unknown length grows with its seeded pieces and ends when it is closed", () => {
    const swarm = new DrawnSwarm("#  .", { pieceCount: null });
    swarm.pulls(1, 64);
    swarm.pulls(1, 64, [report(0, SEED_HOST)]);
    for (let piece = 1; piece < 1000; piece++) {
      swarm.seeds(piece);
      expect(swarm.givenTo(1)).toEqual([{ piece, count: 1, parent: SEED_HOST }]);
      swarm.pulls(1, 64, [report(piece, SEED_HOST)]);
    }

    swarm.step({ kind: "contentClosed", content: 0, pieceCount: 1000 });
    swarm.nowUs += 200_000;
    swarm.wakes();

    expect(swarm.effects).toEqual([]);
  });

  test("of one host does not take the slots that another content's child needs for ever", () => {
    const swarm = new DrawnSwarm("##  ##  ..", { slots: 1 });
    swarm.step({ kind: "contentOpened", content: 1, pieceCount: 1, pieceLength: 1 << 20 });
    const have = Uint32Array.of(1);
    swarm.step({ kind: "joined", content: 1, host: 1, have, wantsPieces: true });
    swarm.joins(3, "..");
    swarm.step({ kind: "joined", content: 1, host: 3, have: Uint32Array.of(0), wantsPieces: true });
    const [first] = swarm.pulls(2, 1);
    expect(first!.parent).toBe(1);
    swarm.step({
      kind: "pulled",
      content: 1,
      host: 3,
      pull: { slots: 1, reports: [], overdue: [] },
    });
    expect(swarm.givenTo(3)).toEqual([]);

    swarm.pulls(2, 0, [report(first!.piece, 1)]);

    expect(swarm.effects).toContainEqual({
      kind: "assign",
      content: 1,
      child: 3,
      assignments: [{ piece: 0, count: 1, parent: 1 }],
    });
  });

  test("that is dropped frees all that it held", () => {
    const swarm = new DrawnSwarm("....  ##..  ....", { slots: 1 });
    swarm.pulls(2, 1);

    swarm.step({ kind: "contentDropped", content: 0 });
    swarm.step({ kind: "contentOpened", content: 0, pieceCount: 4, pieceLength: 1 << 20 });
    swarm.joins(1, "##..", 1);
    swarm.joins(2, "....", 1);

    expect(swarm.pulls(2, 1).length).toBe(1);
  });
});
