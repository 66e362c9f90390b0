// Queries about preheat jobs. States are those of net/wire/preheat-api.ts; what becomes of each URL on
// each machine is in preheat-targets.ts.

import { and, asc, desc, eq, inArray, isNull, lt, lte, notExists, sql } from "drizzle-orm";
import { type FleetDatabase } from "./fleet-database.ts";
import type { FleetTables } from "./sqlite-schema.ts";

export type PreheatJobRow = FleetTables["preheatJobs"]["$inferSelect"];

/** Returns false when the idempotency key has a job. */
export async function insertPreheatJob(
  { db, tables }: FleetDatabase,
  row: PreheatJobRow,
): Promise<boolean> {
  const { preheatJobs } = tables;
  const added = await db
    .insert(preheatJobs)
    .values(row)
    .onConflictDoNothing()
    .returning({ id: preheatJobs.id });
  return added.length > 0;
}

export async function findPreheatJob(
  { db, tables }: FleetDatabase,
  by: { id: string } | { idempotencyKey: string },
): Promise<PreheatJobRow | undefined> {
  const { preheatJobs } = tables;
  const isIt =
    "id" in by ? eq(preheatJobs.id, by.id) : eq(preheatJobs.idempotencyKey, by.idempotencyKey);
  const [row] = await db.select().from(preheatJobs).where(isIt);
  return row;
}

/** Newest first: IDs grow with time. */
export async function listPreheatJobs(
  { db, tables }: FleetDatabase,
  {
    states,
    below,
    rowsMax,
  }: { states?: readonly string[] | undefined; below?: string | undefined; rowsMax: number },
): Promise<PreheatJobRow[]> {
  const { preheatJobs } = tables;
  return await db
    .select()
    .from(preheatJobs)
    .where(
      and(
        states === undefined ? undefined : inArray(preheatJobs.state, [...states]),
        below === undefined ? undefined : lt(preheatJobs.id, below),
      ),
    )
    .orderBy(desc(preheatJobs.id))
    .limit(rowsMax);
}

/** A job without its request, which may have thousands of URLs. */
export type LivePreheat = Pick<
  PreheatJobRow,
  "id" | "state" | "createdAt" | "expiresAt" | "idempotencyKey" | "nextRunAt"
>;

/** Jobs that have not ended, oldest first. */
export async function listLivePreheats(
  { db, tables }: FleetDatabase,
  rowsMax: number,
): Promise<LivePreheat[]> {
  const { id, state, createdAt, expiresAt, idempotencyKey, nextRunAt } = tables.preheatJobs;
  return await db
    .select({ id, state, createdAt, expiresAt, idempotencyKey, nextRunAt })
    .from(tables.preheatJobs)
    .where(inArray(state, ["planning", "running"]))
    .orderBy(asc(id))
    .limit(rowsMax);
}

/** Jobs whose next round's time has come, also such as have not ended the last one. */
export async function listPreheatsToRefresh(
  { db, tables }: FleetDatabase,
  nowMs: number,
): Promise<PreheatJobRow[]> {
  const { preheatJobs } = tables;
  const hasBegun = inArray(preheatJobs.state, ["running", "done", "failed"]);
  return await db
    .select()
    .from(preheatJobs)
    .where(and(hasBegun, lte(preheatJobs.nextRunAt, nowMs)));
}

/** Returns false when the job is in another state than `from` by now. */
export async function changePreheatJob(
  { db, tables }: FleetDatabase,
  { id, from }: { id: string; from: readonly string[] },
  set: Partial<PreheatJobRow>,
): Promise<boolean> {
  const { preheatJobs } = tables;
  const changed = await db
    .update(preheatJobs)
    .set(set)
    .where(and(eq(preheatJobs.id, id), inArray(preheatJobs.state, [...from])))
    .returning({ id: preheatJobs.id });
  return changed.length > 0;
}

/** Forgets jobs that ended before, with their targets. */
export async function forgetPreheats({ db, tables }: FleetDatabase, before: number): Promise<void> {
  const { preheatJobs, preheatTargets } = tables;
  await db
    .delete(preheatJobs)
    .where(
      and(
        inArray(preheatJobs.state, ["done", "failed", "cancelled"]),
        isNull(preheatJobs.nextRunAt),
        lt(preheatJobs.updatedAt, before),
      ),
    );
  const hasJob = db
    .select({ one: sql`1` })
    .from(preheatJobs)
    .where(eq(preheatJobs.id, preheatTargets.jobId));
  await db.delete(preheatTargets).where(notExists(hasJob));
}

/** Whether any target is live: while none is, heartbeats need not look for commands. */
export async function hasLivePreheats({ db, tables }: FleetDatabase): Promise<boolean> {
  const { preheatJobs, preheatTargets } = tables;
  const [job] = await db
    .select({ id: preheatJobs.id })
    .from(preheatJobs)
    .where(inArray(preheatJobs.state, ["planning", "running"]))
    .limit(1);
  if (job !== undefined) return true;
  const [target] = await db
    .select({ jobId: preheatTargets.jobId })
    .from(preheatTargets)
    .where(eq(preheatTargets.state, "cancelling"))
    .limit(1);
  return target !== undefined;
}
