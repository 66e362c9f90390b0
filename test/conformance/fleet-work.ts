// What every dialect of the fleet's database must do for settings and preheats; run by
// test/store/fleet-database.test.ts.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { FleetDatabase } from "../../src/store/fleet-database/fleet-database.ts";
import { forgetChannels, saveChannels } from "../../src/store/fleet-database/hosts.ts";
import {
  changePreheatTargets,
  claimPreheatTargets,
  countPreheatTargets,
  duePreheatTargets,
  insertPreheatTargets,
  isPreheatLive,
  listPreheatTargets,
  type PreheatTargetRow,
  preheatTargetsOf,
  releasePreheatTargets,
  savePreheatTargets,
} from "../../src/store/fleet-database/preheat-targets.ts";
import {
  changePreheatJob,
  findPreheatJob,
  forgetPreheats,
  hasLivePreheats,
  insertPreheatJob,
  listPreheatJobs,
  listPreheatsToRefresh,
  type PreheatJobRow,
} from "../../src/store/fleet-database/preheats.ts";
import {
  findSettingsVersion,
  forgetSettingsVersions,
  insertSettingsVersion,
  latestSettingsVersion,
  listSettingsVersions,
} from "../../src/store/fleet-database/settings-versions.ts";

const NOW = 1_000_000;
const DUE = { nowMs: NOW, resendAfterMs: 15_000, retryAfterMs: 5_000 };

function job(id: string, change: Partial<PreheatJobRow> = {}): PreheatJobRow {
  return {
    ...{ id, idempotencyKey: null, request: { urls: ["http://a/"] }, sealedHeaders: null },
    ...{ state: "running", author: "a", createdAt: 1, updatedAt: 1, expiresAt: 2 * NOW },
    ...{ round: 1, nextRunAt: null, error: null },
    ...change,
  };
}

function target(hostId: string, change: Partial<PreheatTargetRow> = {}): PreheatTargetRow {
  return {
    ...{ jobId: "j", itemIndex: 0, hostId, role: "peer", commandId: `c-${hostId}` },
    ...{ supernodeId: null, state: "pending", attemptCount: 0, doneBytes: 0, length: null },
    ...{ error: null, updatedAt: NOW },
    ...change,
  };
}

/** @param create a fresh database for each call, gone when the tests are over */
export function testFleetWork(name: string, create: () => Promise<FleetDatabase>): void {
  describe(`settings and preheats ${name}`, () => {
    let database: FleetDatabase;
    beforeAll(async () => {
      database = await create();
    });
    afterAll(() => database.close());

    const hostsDue = async (supernodeId: string, change: Partial<typeof DUE> = {}) => {
      const due = await duePreheatTargets(database, supernodeId, { ...DUE, ...change }, 100);
      return due.map(({ hostId }) => hostId).toSorted();
    };

    test("a version of the settings is written once, and old ones are forgotten", async () => {
      const row = { author: "a", comment: "", createdAt: 1, layers: { fleet: { quota: null } } };

      expect(await latestSettingsVersion(database)).toBe(0);
      expect(await insertSettingsVersion(database, { ...row, version: 1 })).toBe(true);
      expect(await insertSettingsVersion(database, { ...row, version: 1, author: "b" })).toBe(
        false,
      );
      await insertSettingsVersion(database, { ...row, version: 2 });
      await insertSettingsVersion(database, { ...row, version: 3 });

      expect(await latestSettingsVersion(database)).toBe(3);
      expect(await findSettingsVersion(database, 1)).toEqual({ ...row, version: 1 });
      const page = await listSettingsVersions(database, { before: 3, rowsMax: 1 });
      expect(page.map(({ version }) => version)).toEqual([2]);
      await forgetSettingsVersions(database, 3);
      expect(await findSettingsVersion(database, 2)).toBeUndefined();
    });

    test("a job has its idempotency key alone, until it gives it back", async () => {
      await insertPreheatJob(database, job("k1", { idempotencyKey: "content x" }));

      expect(await insertPreheatJob(database, job("k2", { idempotencyKey: "content x" }))).toBe(
        false,
      );
      expect(await findPreheatJob(database, { idempotencyKey: "content x" })).toMatchObject({
        id: "k1",
      });
      const done = { state: "done", updatedAt: 5, idempotencyKey: null };
      expect(await changePreheatJob(database, { id: "k1", from: ["running"] }, done)).toBe(true);
      expect(await changePreheatJob(database, { id: "k1", from: ["running"] }, done)).toBe(false);
      expect(await insertPreheatJob(database, job("k3", { idempotencyKey: "content x" }))).toBe(
        true,
      );

      const ids = (await listPreheatJobs(database, { rowsMax: 10 })).map(({ id }) => id);
      expect(ids).toEqual(["k3", "k1"]);
      await forgetPreheats(database, 6);
      expect(await findPreheatJob(database, { id: "k1" })).toBeUndefined();
      await changePreheatJob(database, { id: "k3", from: ["running"] }, { state: "cancelled" });
    });

    test("a target goes to the supernode that its host is at, and on to the next one", async () => {
      await insertPreheatJob(database, job("j"));
      await insertPreheatTargets(database, [target("a"), target("b"), target("away")]);
      await saveChannels(database, "s1", { arrived: ["a", "b"], gone: [] });
      await saveChannels(database, "s2", { arrived: ["b"], gone: [] });

      await claimPreheatTargets(database, "s1");
      await claimPreheatTargets(database, "s2");

      expect(await hostsDue("s1")).toEqual(["a", "b"]);
      expect(await hostsDue("s2")).toEqual([]);
      await forgetChannels(database, ["s1"]);
      await releasePreheatTargets(database);
      await claimPreheatTargets(database, "s2");
      expect(await hostsDue("s2")).toEqual(["b"]);
    });

    test("what was sent is due again after a while, what failed after a longer one", async () => {
      await insertPreheatJob(database, job("t"));
      const at = { jobId: "t", supernodeId: "s3" };
      await insertPreheatTargets(database, [
        target("sent", { ...at, state: "sent" }),
        target("retried", { ...at, attemptCount: 2 }),
        target("done", { ...at, state: "done" }),
      ]);

      expect(await hostsDue("s3", { nowMs: NOW + 9_999 })).toEqual([]);
      expect(await hostsDue("s3", { nowMs: NOW + 10_000 })).toEqual(["retried"]);
      expect(await hostsDue("s3", { nowMs: NOW + 15_000 })).toEqual(["retried", "sent"]);
    });

    test("results are saved, but for what is being cancelled", async () => {
      await insertPreheatJob(database, job("r"));
      await insertPreheatTargets(database, [
        target("x", { jobId: "r", commandId: "r-1", state: "sent" }),
        target("y", { jobId: "r", commandId: "r-1", state: "sent" }),
      ]);
      const found = await preheatTargetsOf(database, ["r-1"]);
      await changePreheatTargets(database, { jobId: "r", from: ["sent"] }, { state: "cancelling" });

      await savePreheatTargets(
        database,
        found.map((row) => ({ ...row, state: row.hostId === "x" ? "done" : "cancelled" })),
      );

      const page = { state: undefined, after: undefined, rowsMax: 10 };
      const rows = await listPreheatTargets(database, "r", page);
      expect(rows.map(({ hostId, state }) => [hostId, state])).toEqual([
        ["x", "cancelling"],
        ["y", "cancelled"],
      ]);
      const counts = await countPreheatTargets(database, ["r"]);
      expect(Object.fromEntries(counts.map(({ state, count }) => [state, count]))).toEqual({
        ...{ cancelled: 1, cancelling: 1 },
      });
      expect(await isPreheatLive(database, "r")).toBe(true);
      expect(await hasLivePreheats(database)).toBe(true);
    });

    test("jobs whose time has come are found, and targets go with their job", async () => {
      const over = { state: "failed", updatedAt: 1 };
      await insertPreheatJob(database, job("f1", { ...over, nextRunAt: NOW }));
      await insertPreheatJob(database, job("f2", { ...over, nextRunAt: NOW + 1 }));
      await insertPreheatJob(database, job("f3", over));
      await insertPreheatTargets(database, [target("z", { jobId: "f3" })]);

      const due = await listPreheatsToRefresh(database, NOW);
      await forgetPreheats(database, 2);

      expect(due.map(({ id }) => id)).toEqual(["f1"]);
      expect(await findPreheatJob(database, { id: "f2" })).toMatchObject({ id: "f2" });
      expect(await findPreheatJob(database, { id: "f3" })).toBeUndefined();
      expect(await countPreheatTargets(database, ["f3"])).toEqual([]);
    });
  });
}
