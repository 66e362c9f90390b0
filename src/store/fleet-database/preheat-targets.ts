// Queries about the targets of preheats: one URL on one machine each. States are those of
// net/wire/preheat-api.ts; a target is live until nothing more will happen to it in its round.

import {
  and,
  asc,
  eq,
  gt,
  inArray,
  isNotNull,
  isNull,
  lt,
  lte,
  notExists,
  notInArray,
  or,
  sql,
} from "drizzle-orm";
import { type FleetDatabase, INSERT_ROWS_MAX, proposed } from "./fleet-database.ts";
import type { FleetTables } from "./sqlite-schema.ts";

export type PreheatTargetRow = FleetTables["preheatTargets"]["$inferSelect"];

/** One SQLite statement blocks for some 10 ms with so many rows; in between others have their turn. */
const ROWS_PER_STATEMENT = 200;

const LIVE_STATES = ["pending", "sent", "running", "cancelling"];
const CANCEL_STATES = ["cancelling", "cancelled"];

export interface PreheatCount {
  jobId: string;
  state: string;
  count: number;
  doneBytes: number;
}

export async function countPreheatTargets(
  { db, tables }: FleetDatabase,
  jobIds: readonly string[],
): Promise<PreheatCount[]> {
  if (jobIds.length === 0) return [];
  const { preheatTargets } = tables;
  return await db
    .select({
      jobId: preheatTargets.jobId,
      state: preheatTargets.state,
      count: sql<number>`count(*)`.mapWith(Number),
      doneBytes: sql<number>`sum(${preheatTargets.doneBytes})`.mapWith(Number),
    })
    .from(preheatTargets)
    .where(inArray(preheatTargets.jobId, [...jobIds]))
    .groupBy(preheatTargets.jobId, preheatTargets.state);
}

/** Adds targets; those that are there stay as they are. */
export async function insertPreheatTargets(
  { db, tables }: FleetDatabase,
  rows: readonly PreheatTargetRow[],
): Promise<void> {
  for await (const some of inTurns(rows)) {
    await db.insert(tables.preheatTargets).values(some).onConflictDoNothing();
  }
}

/** By URL, then host. */
export async function listPreheatTargets(
  { db, tables }: FleetDatabase,
  jobId: string,
  {
    state,
    after,
    rowsMax,
  }: {
    state: string | undefined;
    after: { itemIndex: number; hostId: string } | undefined;
    rowsMax: number;
  },
): Promise<PreheatTargetRow[]> {
  const { preheatTargets: targets } = tables;
  const isAfter =
    after === undefined
      ? undefined
      : or(
          gt(targets.itemIndex, after.itemIndex),
          and(eq(targets.itemIndex, after.itemIndex), gt(targets.hostId, after.hostId)),
        );
  const isIn = state === undefined ? undefined : eq(targets.state, state);
  return await db
    .select()
    .from(targets)
    .where(and(eq(targets.jobId, jobId), isIn, isAfter))
    .orderBy(asc(targets.itemIndex), asc(targets.hostId))
    .limit(rowsMax);
}

/** Gives a supernode its own live targets, and those of hosts that it has a channel to, if nobody has them. */
export async function claimPreheatTargets(
  { db, tables }: FleetDatabase,
  supernodeId: string,
): Promise<void> {
  const { preheatTargets: targets, hostChannels } = tables;
  const connected = db
    .select({ hostId: hostChannels.hostId })
    .from(hostChannels)
    .where(eq(hostChannels.supernodeId, supernodeId));
  await db
    .update(targets)
    .set({ supernodeId })
    .where(
      and(
        isNull(targets.supernodeId),
        inArray(targets.state, LIVE_STATES),
        or(inArray(targets.hostId, connected), eq(targets.hostId, supernodeId)),
      ),
    );
}

/** Takes live targets from supernodes that are gone, or have no channel to the host any more. */
export async function releasePreheatTargets({ db, tables }: FleetDatabase): Promise<void> {
  const { preheatTargets: targets, hostChannels, supernodes } = tables;
  const channel = db
    .select({ one: sql`1` })
    .from(hostChannels)
    .where(
      and(
        eq(hostChannels.hostId, targets.hostId),
        eq(hostChannels.supernodeId, targets.supernodeId),
      ),
    );
  const itself = db
    .select({ one: sql`1` })
    .from(supernodes)
    .where(and(eq(supernodes.hostId, targets.supernodeId), eq(supernodes.state, "alive")));
  await db
    .update(targets)
    // Due at once, for whoever has the host next.
    .set({ supernodeId: null, updatedAt: 0 })
    .where(
      and(
        isNotNull(targets.supernodeId),
        inArray(targets.state, LIVE_STATES),
        or(
          and(eq(targets.role, "peer"), notExists(channel)),
          and(eq(targets.role, "supernode"), notExists(itself)),
        ),
      ),
    );
}

export interface DueTime {
  nowMs: number;
  /** What was sent and not heard of for so long is sent again. */
  resendAfterMs: number;
  /** A target that failed waits so long, times its attempts. */
  retryAfterMs: number;
}

/** What a supernode is to be sent now. Not in order: all of it goes with one of the next answers. */
export async function duePreheatTargets(
  { db, tables }: FleetDatabase,
  supernodeId: string,
  { nowMs, resendAfterMs, retryAfterMs }: DueTime,
  rowsMax: number,
): Promise<PreheatTargetRow[]> {
  const { preheatTargets: targets } = tables;
  const retryAt = sql`${targets.updatedAt} + ${targets.attemptCount} * ${retryAfterMs}`;
  return await db
    .select()
    .from(targets)
    .where(
      and(
        eq(targets.supernodeId, supernodeId),
        or(
          and(eq(targets.state, "pending"), or(eq(targets.attemptCount, 0), lte(retryAt, nowMs))),
          and(
            inArray(targets.state, ["sent", "running", "cancelling"]),
            lte(targets.updatedAt, nowMs - resendAfterMs),
          ),
        ),
      ),
    )
    .limit(rowsMax);
}

/** The targets that these commands were sent for. */
export async function preheatTargetsOf(
  { db, tables }: FleetDatabase,
  commandIds: readonly string[],
): Promise<PreheatTargetRow[]> {
  const { preheatTargets: targets } = tables;
  const found: PreheatTargetRow[] = [];
  for (let at = 0; at < commandIds.length; at += INSERT_ROWS_MAX) {
    const some = commandIds.slice(at, at + INSERT_ROWS_MAX);
    found.push(...(await db.select().from(targets).where(inArray(targets.commandId, some))));
  }
  return found;
}

/** Writes what became of targets. One that is being cancelled only goes on to be cancelled. */
export async function savePreheatTargets(
  { db, tables }: FleetDatabase,
  rows: readonly PreheatTargetRow[],
): Promise<void> {
  const { preheatTargets: targets } = tables;
  for await (const some of inTurns(rows)) {
    await db
      .insert(targets)
      .values(some)
      .onConflictDoUpdate({
        target: [targets.jobId, targets.itemIndex, targets.hostId],
        set: {
          commandId: proposed(targets.commandId),
          state: proposed(targets.state),
          attemptCount: proposed(targets.attemptCount),
          doneBytes: proposed(targets.doneBytes),
          length: proposed(targets.length),
          error: proposed(targets.error),
          updatedAt: proposed(targets.updatedAt),
        },
        setWhere: or(
          notInArray(targets.state, CANCEL_STATES),
          inArray(proposed(targets.state), CANCEL_STATES),
        )!,
      });
  }
}

/** Changes all targets of a job that are in one of these states. */
export async function changePreheatTargets(
  { db, tables }: FleetDatabase,
  { jobId, from }: { jobId: string; from: readonly string[] },
  set: Partial<PreheatTargetRow>,
): Promise<void> {
  const { preheatTargets: targets } = tables;
  await db
    .update(targets)
    .set(set)
    .where(and(eq(targets.jobId, jobId), inArray(targets.state, [...from])));
}

/** Ends the wait for machines that did not answer the cancelling of jobs that were cancelled before. */
export async function endCancelling({ db, tables }: FleetDatabase, before: number): Promise<void> {
  const { preheatJobs, preheatTargets: targets } = tables;
  const cancelled = db
    .select({ id: preheatJobs.id })
    .from(preheatJobs)
    .where(and(eq(preheatJobs.state, "cancelled"), lt(preheatJobs.updatedAt, before)));
  await db
    .update(targets)
    .set({ state: "cancelled" })
    .where(and(inArray(targets.jobId, cancelled), eq(targets.state, "cancelling")));
}

/** Whether anything may still happen to a job's targets in this round. */
export async function isPreheatLive(
  { db, tables }: FleetDatabase,
  jobId: string,
): Promise<boolean> {
  const { preheatTargets: targets } = tables;
  const [live] = await db
    .select({ hostId: targets.hostId })
    .from(targets)
    .where(and(eq(targets.jobId, jobId), inArray(targets.state, LIVE_STATES)))
    .limit(1);
  return live !== undefined;
}

async function* inTurns(rows: readonly PreheatTargetRow[]): AsyncGenerator<PreheatTargetRow[]> {
  for (let at = 0; at < rows.length; at += ROWS_PER_STATEMENT) {
    yield rows.slice(at, at + ROWS_PER_STATEMENT);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
