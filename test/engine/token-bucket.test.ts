// The rate limit's promise over any window, proved by properties.

import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  ADMISSION_BYTES_MAX,
  ADMISSION_BYTES_MIN,
  admissionBytes,
  TokenBucket,
} from "../../src/engine/core/token-bucket.ts";

const rate = fc.integer({ min: 1, max: 10_000_000_000 });

test("over any window a bucket grants at most rate × time + burst", () => {
  const steps = fc.array(
    fc.record({
      waitUs: fc.integer({ min: 0, max: 3_000_000 }),
      bytes: fc.integer({ min: 0, max: 5_000_000 }),
    }),
    {
      maxLength: 40,
    },
  );
  fc.assert(
    fc.property(rate, steps, (rateBytesPerSec, asked) => {
      const bucket = new TokenBucket(0, rateBytesPerSec);
      let nowUs = 0;
      const grants = asked.map(({ waitUs, bytes }) => {
        nowUs += waitUs;
        return { atUs: nowUs, bytes: bucket.take(nowUs, bytes) };
      });

      for (let from = 0; from < grants.length; from++) {
        let sum = 0;
        for (let to = from; to < grants.length; to++) {
          sum += grants[to]!.bytes;
          const allowed =
            (rateBytesPerSec * (grants[to]!.atUs - grants[from]!.atUs)) / 1e6 + bucket.burstBytes;
          expect(sum).toBeLessThanOrEqual(Math.ceil(allowed));
        }
      }
    }),
  );
});

test("a bucket that is asked whenever it is ready grants its whole rate", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1000, max: 1_000_000_000 }),
      fc.integer({ min: 1, max: 4_000_000 }),
      (rateBytesPerSec, request) => {
        const bucket = new TokenBucket(0, rateBytesPerSec);
        let nowUs = 0;
        let sum = 0;
        for (let i = 0; i < 50; i++) {
          nowUs = bucket.readyAtUs(nowUs, request);
          sum += bucket.take(nowUs, request);
        }

        expect(sum).toBeGreaterThanOrEqual(50 * Math.min(request, admissionBytes(rateBytesPerSec)));
        expect(sum).toBeGreaterThanOrEqual(
          Math.floor((rateBytesPerSec * nowUs) / 1e6) - 50 * Math.ceil(rateBytesPerSec / 1e6),
        );
      },
    ),
  );
});

test("readyAtUs is the first moment, not a later one", () => {
  fc.assert(
    fc.property(rate, fc.integer({ min: 1, max: 2_000_000 }), (rateBytesPerSec, request) => {
      const [bucket, twin] = [
        new TokenBucket(0, rateBytesPerSec),
        new TokenBucket(0, rateBytesPerSec),
      ];
      for (const each of [bucket, twin]) each.take(0, each.burstBytes);
      const portion = Math.min(request, admissionBytes(rateBytesPerSec));
      const readyAtUs = bucket.readyAtUs(0, request);

      expect(bucket.take(readyAtUs, portion)).toBe(portion);
      expect(twin.take(readyAtUs - 1, portion)).toBeLessThan(portion);
    }),
  );
});

test("many tiny steps grant as much as one large step: nothing is lost to rounding", () => {
  const [stepwise, atOnce] = [new TokenBucket(0, 333_333), new TokenBucket(0, 333_333)];
  for (const bucket of [stepwise, atOnce]) bucket.take(0, bucket.burstBytes);
  let sum = 0;
  for (let nowUs = 1; nowUs <= 100_000; nowUs++) sum += stepwise.take(nowUs, 1 << 20);

  expect(sum).toBe(atOnce.take(100_000, 1 << 20));
});

test("a changed rate holds from its moment on, and lifting a limit saves nothing up", () => {
  const bucket = new TokenBucket(0, 80_000);
  bucket.take(0, bucket.burstBytes);
  bucket.setRate(0, 8_000_000);
  expect(bucket.take(10_000, 1 << 20)).toBe(80_000);

  bucket.setRate(20_000, null);
  expect(bucket.take(20_000, 1e9)).toBe(1e9);
  bucket.setRate(30_000, 1_000_000);
  expect(bucket.take(30_000, 1 << 20)).toBe(0);
  expect(bucket.take(40_000, 1 << 20)).toBe(10_000);
});

test("whoever is woken late loses nothing: the whole rate is granted in spite of a slow event loop", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1_000_000, max: 10_000_000_000 }),
      fc.array(fc.nat(30_000), { minLength: 20, maxLength: 20 }),
      (rateBytesPerSec, latenessesUs) => {
        const bucket = new TokenBucket(0, rateBytesPerSec);
        const admission = admissionBytes(rateBytesPerSec);
        let nowUs = 0;
        let sum = 0;
        for (const latenessUs of latenessesUs) {
          nowUs = bucket.readyAtUs(nowUs, admission) + latenessUs;
          while (bucket.readyAtUs(nowUs, admission) === nowUs) sum += bucket.take(nowUs, admission);
        }

        expect(sum + admission).toBeGreaterThanOrEqual(Math.floor((rateBytesPerSec * nowUs) / 1e6));
      },
    ),
  );
});

test("a pause of a year overflows nothing", () => {
  const bucket = new TokenBucket(0, 10_000_000_000);
  bucket.take(0, bucket.burstBytes);

  expect(bucket.take(3.15e13, 1e12)).toBe(bucket.burstBytes);
});

test("a rate that is no positive whole number is a bug", () => {
  for (const wrong of [0, -1, 0.5, Number.NaN, Infinity])
    expect(() => new TokenBucket(0, wrong)).toThrow("bug:");
});

test.each([
  [null, ADMISSION_BYTES_MAX],
  [1, ADMISSION_BYTES_MIN],
  [800_000, 100_000],
  [1_000_000_000, ADMISSION_BYTES_MAX],
])("at rate %p one admission covers %p bytes", (rateBytesPerSec, bytes) => {
  expect(admissionBytes(rateBytesPerSec)).toBe(bytes);
});
