// Waiting for a rate limit, in a clock that the test moves: order, fairness, live changes, windows.

import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  admissionBytesThroughAll,
  admitThroughAll,
  Pacer,
  type PacerClock,
} from "../../../src/engine/bytes/pacing.ts";
import { TokenBucket } from "../../../src/engine/core/token-bucket.ts";

/** A clock that a test moves; timers fire as it passes them. */
class TestClock implements PacerClock {
  #nowUs = 0;
  readonly #timers = new Map<number, { atUs: number; wake: () => void }>();
  #nextTimer = 0;

  nowUs(): number {
    return this.#nowUs;
  }

  schedule(atUs: number, wake: () => void): () => void {
    const timer = this.#nextTimer++;
    this.#timers.set(timer, { atUs, wake });
    return () => this.#timers.delete(timer);
  }

  get timerCount(): number {
    return this.#timers.size;
  }

  async moveTo(untilUs: number): Promise<void> {
    await settled();
    for (;;) {
      const due = [...this.#timers].toSorted(([, a], [, b]) => a.atUs - b.atUs)[0];
      if (due === undefined || due[1].atUs > untilUs) break;
      this.#timers.delete(due[0]);
      this.#nowUs = Math.max(this.#nowUs, due[1].atUs);
      due[1].wake();
      await settled();
    }
    this.#nowUs = untilUs;
    await settled();
  }
}

/** A pacer with nothing saved up. */
async function drainedPacer(rate: number, clock: PacerClock): Promise<Pacer> {
  const pacer = new Pacer(rate, clock);
  await pacer.admit(new TokenBucket(0, rate).burstBytes);
  return pacer;
}

/** Lets every promise that can continue do so. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

test("whoever came first is admitted first, at the rate", async () => {
  const clock = new TestClock();
  const pacer = await drainedPacer(1_000_000, clock);
  const admitted: { name: string; atUs: number }[] = [];
  for (const name of ["a", "b", "c"])
    void pacer.admit(125_000).then(() => admitted.push({ name, atUs: clock.nowUs() }));

  await clock.moveTo(1_000_000);

  expect(admitted).toEqual([
    { name: "a", atUs: 125_000 },
    { name: "b", atUs: 250_000 },
    { name: "c", atUs: 375_000 },
  ]);
  expect(clock.timerCount).toBe(0);
});

test("a small request does not overtake a large one", async () => {
  const clock = new TestClock();
  const pacer = await drainedPacer(1_000_000, clock);
  const admitted: string[] = [];
  void pacer.admit(1_000_000).then(() => admitted.push("large"));
  void pacer.admit(1).then(() => admitted.push("small"));

  await clock.moveTo(999_999);
  expect(admitted).toEqual([]);
  await clock.moveTo(1_000_001);
  expect(admitted).toEqual(["large", "small"]);
});

test("a new rate holds at once for those who wait, and lifting the limit lets all go", async () => {
  const clock = new TestClock();
  const pacer = await drainedPacer(100_000, clock);
  let admittedCount = 0;
  for (let i = 0; i < 4; i++) void pacer.admit(16 << 10).then(() => admittedCount++);

  pacer.setRate(16 << 20);
  await clock.moveTo(1_100);
  expect(admittedCount).toBe(1);
  pacer.setRate(null);
  await settled();
  expect(admittedCount).toBe(4);
  expect(pacer.rateBytesPerSec).toBeNull();
});

test("a wait that is given up leaves its place to the next", async () => {
  const clock = new TestClock();
  const pacer = await drainedPacer(1_000_000, clock);
  const abort = new AbortController();
  const givenUp = pacer.admit(10_000_000, abort.signal);
  let isAdmitted = false;
  void pacer.admit(1_000).then(() => (isAdmitted = true));

  abort.abort(new Error("enough"));

  expect(await givenUp.catch((error: Error) => error.message)).toBe("enough");
  await clock.moveTo(1_000);
  expect(isAdmitted).toBe(true);
  await expect(pacer.admit(1, abort.signal)).rejects.toThrow("enough");
});

test("through several pacers the slowest one decides", async () => {
  const clock = new TestClock();
  const pacers = [
    new Pacer(4_000_000, clock),
    await drainedPacer(1_000_000, clock),
    new Pacer(null, clock),
  ];
  const bytes = admissionBytesThroughAll(pacers);
  let admittedCount = 0;
  const transfer = async () => {
    for (let i = 0; i < 8; i++) {
      await admitThroughAll(pacers, bytes);
      admittedCount++;
    }
  };
  void transfer();

  expect(bytes).toBe(125_000);
  await clock.moveTo(500_000);
  expect(admittedCount).toBe(4);
});

test("what a pacer admits stays within rate × time × 1.05 + 1 MiB over any second", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 10_000, max: 200_000_000 }),
      fc.array(fc.record({ pauseUs: fc.nat(400_000), burst: fc.integer({ min: 1, max: 12 }) }), {
        minLength: 1,
        maxLength: 12,
      }),
      async (rate, bursts) => {
        const clock = new TestClock();
        const pacer = new Pacer(rate, clock);
        const moved: { atUs: number; bytes: number }[] = [];
        for (const { pauseUs, burst } of bursts) {
          for (let i = 0; i < burst; i++) {
            const bytes = admissionBytesThroughAll([pacer]);
            void pacer.admit(bytes).then(() => moved.push({ atUs: clock.nowUs(), bytes }));
          }
          await clock.moveTo(clock.nowUs() + pauseUs);
        }

        for (const { atUs } of moved) {
          const inWindow = moved.filter(
            (each) => each.atUs >= atUs && each.atUs < atUs + 1_000_000,
          );
          const sum = inWindow.reduce((total, each) => total + each.bytes, 0);
          expect(sum).toBeLessThanOrEqual(rate * 1.05 + (1 << 20));
        }
      },
    ),
    { numRuns: 40 },
  );
});
