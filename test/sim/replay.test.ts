// A recorded run replays to the same effects, step by step, and a machine that decides anything
// differently is found out at the step where it does.

import { expect, test } from "bun:test";

import { schedulerSeed } from "../../bench/swarm-sim/owner.ts";
import { Download } from "../../src/engine/core/download.ts";
import { Prng } from "../../src/engine/core/prng.ts";
import { Scheduler } from "../../src/engine/core/scheduler.ts";
import { record, replay } from "../../src/engine/core/trace.ts";
import { smallSwarm } from "./small-swarm.ts";

function recordedRun(seed: number): string[] {
  const lines: string[] = [];
  const faults = [{ atUs: 500_000, kind: "peerDies", host: 7 } as const];
  smallSwarm({ seed, faults, traceSink: (line) => lines.push(line) }).run();
  return lines;
}

test("a simulated owner's trace replays to the same effects", () => {
  const lines = recordedRun(3);

  const scheduler = new Scheduler({ prng: new Prng(schedulerSeed(3, 0)) });

  expect(lines.length).toBeGreaterThan(1_000);
  expect(replay(scheduler, lines)).toBeNull();
});

test("a scheduler with another generator is told apart at the first step that differs", () => {
  const lines = recordedRun(3);

  const other = new Scheduler({ prng: new Prng(schedulerSeed(4, 0)) });
  const divergence = replay(other, lines);

  expect(divergence).not.toBeNull();
  expect(
    replay(
      new Scheduler({ prng: new Prng(schedulerSeed(3, 0)) }),
      lines.slice(0, divergence!.line),
    ),
  ).toBeNull();
});

test("a joining peer's bitmap survives the trace", () => {
  const lines: string[] = [];
  const run = (): Scheduler => new Scheduler({ prng: new Prng(1) });
  const recorded = record(run(), (line) => lines.push(line));
  const have = Uint32Array.of(0b101, 0x8000_0000);
  recorded.step(0, { kind: "hostArrived", host: 1, isSeed: false, uploadSlots: 2 }, []);
  recorded.step(0, { kind: "hostArrived", host: 2, isSeed: false, uploadSlots: 2 }, []);
  recorded.step(1, { kind: "contentOpened", content: 0, pieceCount: 64, pieceLength: 1 }, []);
  recorded.step(2, { kind: "joined", content: 0, host: 1, have, wantsPieces: true }, []);
  recorded.step(
    3,
    { kind: "joined", content: 0, host: 2, have: new Uint32Array(2), wantsPieces: true },
    [],
  );
  const effects: unknown[] = [];

  recorded.step(
    4,
    { kind: "pulled", content: 0, host: 2, pull: { slots: 2, reports: [], overdue: [] } },
    effects as never[],
  );

  expect(effects.length).toBeGreaterThan(0);
  expect(replay(run(), lines)).toBeNull();
});

test("a download's trace replays too", () => {
  const lines: string[] = [];
  const recorded = record(new Download({ slots: 2, have: null }), (line) => lines.push(line));
  recorded.step(0, { kind: "joined", pieceCount: 4, known: null }, []);
  recorded.step(
    10,
    { kind: "assigned", assignments: [{ piece: 0, count: 4, parent: 1, address: "10.0.0.1:1" }] },
    [],
  );
  recorded.step(20, { kind: "channelLost" }, []);
  recorded.step(6_000_000, { kind: "woke" }, []);

  expect(replay(new Download({ slots: 2, have: null }), lines)).toBeNull();
  expect(replay(new Download({ slots: 3, have: null }), lines)).not.toBeNull();
});
