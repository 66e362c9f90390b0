// Each source's share of connections: never above it, first come first served, idle ones given up for
// who waits, and nothing shared between sources.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { Bulkheads, type IdleConnections } from "../../../src/net/egress/bulkheads.ts";
import { startBadSource } from "../../fixtures/bad-source.ts";
import { egressFixture } from "../../fixtures/egress-fixture.ts";
import { memorySink, read, sampleBytes } from "../source/memory-sink.ts";

const never = new AbortController().signal;
const A = "http://a.example";

/** A reader that keeps a connection open after each request, if it may. */
class Reader implements IdleConnections {
  idleCount = 0;

  closeOne(): void {
    this.idleCount--;
  }
}

test("one request more than the share waits until another is over", async () => {
  const bulkheads = new Bulkheads({ connectionsMax: 2, waitingMax: 9 });
  const first = await bulkheads.enter(A, new Reader(), never);
  await bulkheads.enter(A, new Reader(), never);
  const order: number[] = [];
  const waiting = [3, 4].map((n) =>
    bulkheads.enter(A, new Reader(), never).then((leave) => {
      order.push(n);
      leave();
    }),
  );
  await Bun.sleep(0);
  expect(order).toEqual([]);

  first();
  await Promise.all(waiting);

  expect(order).toEqual([3, 4]);
});

test("a source whose share is used up takes nothing of another's", async () => {
  const bulkheads = new Bulkheads({ connectionsMax: 1, waitingMax: 500 });
  await bulkheads.enter(A, new Reader(), never);
  for (let i = 0; i < 300; i++) void bulkheads.enter(A, new Reader(), never);

  const leave = await bulkheads.enter("http://b.example", new Reader(), never);

  leave();
});

test("more that wait than there may be are told that the source is busy", async () => {
  const bulkheads = new Bulkheads({ connectionsMax: 1, waitingMax: 1 });
  await bulkheads.enter(A, new Reader(), never);
  void bulkheads.enter(A, new Reader(), never);

  const third = bulkheads.enter(A, new Reader(), never);

  await expect(third).rejects.toMatchObject({ code: "source-busy" });
});

test("who is interrupted waits no more and takes no place", async () => {
  const bulkheads = new Bulkheads({ connectionsMax: 1, waitingMax: 9 });
  const leave = await bulkheads.enter(A, new Reader(), never);
  const gone = new AbortController();
  const interrupted = bulkheads.enter(A, new Reader(), gone.signal);
  const next = bulkheads.enter(A, new Reader(), never);

  gone.abort(new Error("gone"));
  leave();

  await expect(interrupted).rejects.toThrow("gone");
  (await next)();
});

test("an idle connection counts, serves its own reader again, and is closed for another one", async () => {
  const bulkheads = new Bulkheads({ connectionsMax: 1, waitingMax: 9 });
  const [mine, others] = [new Reader(), new Reader()];
  const leave = await bulkheads.enter(A, mine, never);
  mine.idleCount = 1;
  leave();

  (await bulkheads.enter(A, mine, never))();
  expect(mine.idleCount).toBe(1);
  await bulkheads.enter(A, others, never);

  expect(mine.idleCount).toBe(0);
});

test("open connections never pass the share, whatever readers do", async () => {
  const step = fc.record({ reader: fc.nat(5), keepsOpen: fc.boolean(), source: fc.nat(1) });
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 1, max: 4 }),
      async (steps, max) => {
        const bulkheads = new Bulkheads({ connectionsMax: max, waitingMax: 100 });
        const readers = Array.from({ length: 12 }, () => new Reader());
        const inUse = [0, 0];
        const check = (source: number): void => {
          const idle = readers
            .slice(source * 6, source * 6 + 6)
            .reduce((sum, r) => sum + r.idleCount, 0);
          expect(inUse[source]! + idle).toBeLessThanOrEqual(max);
        };
        await Promise.all(
          steps.map(async ({ reader, keepsOpen, source }) => {
            const own = readers[source * 6 + reader]!;
            const leave = await bulkheads.enter(`http://${source}`, own, never);
            // As an agent does: an idle connection is used before one is opened.
            if (own.idleCount > 0) own.idleCount--;
            inUse[source]!++;
            check(source);
            await Bun.sleep(0);
            inUse[source]!--;
            if (keepsOpen) own.idleCount++;
            leave();
            check(source);
          }),
        );
      },
    ),
    { numRuns: 100 },
  );
});

test("forty reads of one source, four connections each, keep to its share", async () => {
  const content = sampleBytes(3_000_000);
  const open = new Set<unknown>();
  let most = 0;
  const source = await startBadSource((reply) => {
    open.add(reply.socket);
    reply.socket.once("close", () => open.delete(reply.socket));
    most = Math.max(most, open.size);
    reply.serve(content);
  });
  const egress = egressFixture({}, { connectionsMax: 12 });
  const sinks = Array.from({ length: 40 }, () => memorySink());

  await Promise.all(sinks.map((sink) => read(source.url, sink, { egress })));
  await source.stop();

  expect(sinks.every((sink) => Buffer.compare(sink.bytes(), content) === 0)).toBe(true);
  expect(most).toBeGreaterThan(4);
  expect(most).toBeLessThanOrEqual(12);
});
