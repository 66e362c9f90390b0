// What a machine does with commands that come more than once, too many at a time, or too late.

import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DfError } from "../../../src/errors.ts";
import type { Command, CommandResult } from "../../../src/net/wire/command.ts";
import { OwnPreheats } from "../../../src/roles/commands/own-preheats.ts";
import { openStore } from "../../../src/store/open-store.ts";
import type { StoredContent } from "../../../src/store/piece-store.ts";

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const HOST = "ab".repeat(32);

function preheat(id: string, url = `http://files.test/${id}`): Command {
  const task = { url, headers: {}, tag: "", filterQuery: [], checksum: "" };
  return { kind: "preheat", id, task, hosts: null, expiresAt: Date.now() / 1000 + 60 };
}

function cancel(id: string): Command {
  return { kind: "cancel", id, hosts: null, expiresAt: Date.now() / 1000 + 60 };
}

/** A machine whose contents come when the test says so. */
async function fixture() {
  const dir = mkdtempSync(join(tmpdir(), "df-preheats-"));
  cleanups.push(() => rmSync(dir, { recursive: true, force: true }));
  const store = await openStore({ dir, quotaBytes: null, onWarning: () => {} });
  cleanups.push(() => store.close());
  const brought: { url: string; finish: (error?: DfError) => void; signal: AbortSignal }[] = [];
  const results: CommandResult[] = [];
  const contentOf = (url: string): Promise<StoredContent> =>
    store.create({
      contentId: new Bun.CryptoHasher("sha256").update(url).digest("hex"),
      ...{ taskId: "cd".repeat(32), url, layout: { length: 10, pieceLength: 65_536 } },
      ...{ validator: '"v"', lastModified: null, answer: null },
    });
  const preheats = new OwnPreheats({
    hostId: HOST,
    store,
    async bring({ url }, _, signal) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => reject(signal.reason as Error));
      brought.push({
        ...{ url, signal },
        finish: (error) => (error === undefined ? resolve() : reject(error)),
      });
      await promise;
      return contentOf(url);
    },
  });
  cleanups.push(() => preheats.stop());
  const take = (command: Command): void => preheats.take(command, (result) => results.push(result));
  const until = async (state: CommandResult["state"], id: string): Promise<CommandResult> => {
    for (;;) {
      const found = results.findLast((result) => result.id === id && result.state === state);
      if (found !== undefined) return found;
      await Bun.sleep(5);
    }
  };
  return { store, brought, results, take, until };
}

test("a command that comes again is not done again, but answered again", async () => {
  const { store, brought, results, take, until } = await fixture();

  take(preheat("j-0-1-1"));
  take(preheat("j-0-1-1"));
  brought[0]!.finish();
  const done = await until("done", "j-0-1-1");
  take(preheat("j-0-1-1"));

  expect(brought).toHaveLength(1);
  expect(done).toMatchObject({ hostId: HOST, doneBytes: 10, length: 10 });
  expect(results.map(({ state }) => state)).toEqual(["running", "running", "done", "done"]);
  expect(store.list().map(({ isPinned }) => isPinned)).toEqual([true]);
});

test("few are brought at once, and the next one begins when one has ended, however it did", async () => {
  const { brought, take, until } = await fixture();

  for (let i = 0; i < 6; i++) take(preheat(`j-${i}-1-1`));
  const atOnce = brought.length;
  brought[0]!.finish(new DfError("source-not-found", "read it: 404"));
  const failed = await until("failed", "j-0-1-1");
  take(cancel("j-1-1-1"));
  while (brought.length < atOnce + 2) await Bun.sleep(5);

  expect(atOnce).toBe(4);
  expect(failed.error).toEqual({ code: "source-not-found", message: "read it: 404" });
  expect(brought[1]!.signal.aborted).toBe(true);
});

test("a source that is too busy is asked again when it said, and a cancel ends the wait", async () => {
  const { brought, take, until } = await fixture();
  const busyFor = (holdsForSeconds: number): DfError =>
    new DfError("source-busy", "read a layer: the source answered 429", {
      refusal: { status: 429, holdsForSeconds },
    });
  const begun = async (count: number): Promise<void> => {
    while (brought.length < count) await Bun.sleep(5);
  };

  take(preheat("a"));
  brought[0]!.finish(busyFor(0));
  await begun(2);
  brought[1]!.finish();
  const done = await until("done", "a");
  take(preheat("b"));
  brought[2]!.finish(busyFor(300));
  take(cancel("b"));
  const cancelled = await until("failed", "b");

  expect(done).toMatchObject({ state: "done" });
  expect(cancelled.error).toMatchObject({ code: "interrupted" });
  expect(brought.map(({ url }) => url.at(-1))).toEqual(["a", "a", "b"]);
});

test("a cancel ends what runs or waits, lets go of what is pinned, and is answered each time", async () => {
  const { store, brought, results, take, until } = await fixture();
  take(preheat("j-0-1-1"));
  brought[0]!.finish();
  await until("done", "j-0-1-1");

  take(cancel("j-0-1-1"));
  take(cancel("j-0-1-1"));
  take(preheat("j-0-1-1"));
  take(cancel("unknown-0-1-1"));

  expect(store.list().map(({ isPinned }) => isPinned)).toEqual([false]);
  const answers = results.slice(2).map(({ id, state, error }) => [id, state, error?.code]);
  expect(answers).toEqual([
    ["j-0-1-1", "failed", "interrupted"],
    ["j-0-1-1", "failed", "interrupted"],
    ["j-0-1-1", "failed", "interrupted"],
    ["unknown-0-1-1", "failed", "interrupted"],
  ]);
  expect(brought).toHaveLength(1);
});

test("the next round of the same URL takes the pin over, and another URL has its own", async () => {
  const { store, brought, take, until } = await fixture();
  const pinned = () =>
    store
      .list()
      .filter(({ isPinned }) => isPinned)
      .map(({ facts }) => facts.url)
      .toSorted();
  const finished = async (id: string, url: string): Promise<void> => {
    take(preheat(id, url));
    brought.at(-1)!.finish();
    await until("done", id);
  };

  await finished("j-0-1-1", "http://files.test/old");
  await finished("j-1-1-1", "http://files.test/other");
  await finished("j-0-2-1", "http://files.test/new");

  expect(pinned()).toEqual(["http://files.test/new", "http://files.test/other"]);
});

test("what is no longer wanted is not begun", async () => {
  const { brought, results, take } = await fixture();

  take({ ...preheat("j-0-1-1"), expiresAt: Date.now() / 1000 - 1 });

  expect([brought, results]).toEqual([[], []]);
});
