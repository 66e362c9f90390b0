// Which replica does a work that only one may do at a time.

import { and, eq, gt, lt, sql } from "drizzle-orm";
import type { FleetDatabase } from "./fleet-database.ts";

export interface WorkLease {
  /** The work, e.g. "preheats". */
  name: string;
  /** Unique to the process. */
  holder: string;
  expiresAt: number;
}

/** Takes or renews a lease; returns false while another holder has it. */
export async function takeWorkLease(
  { db, tables }: FleetDatabase,
  lease: WorkLease,
  nowMs: number,
): Promise<boolean> {
  const { workLeases } = tables;
  const { holder, expiresAt } = lease;
  const taken = await db
    .insert(workLeases)
    .values(lease)
    .onConflictDoUpdate({
      target: workLeases.name,
      set: { holder, expiresAt },
      setWhere: sql`${workLeases.holder} = ${holder} OR ${workLeases.expiresAt} < ${nowMs}`,
    })
    .returning({ name: workLeases.name });
  return taken.length > 0;
}

/** Whether some replica holds any lease now: a living one always holds one (replica-presence.ts). */
export async function isAnyWorkLeased(
  { db, tables }: FleetDatabase,
  nowMs: number,
): Promise<boolean> {
  const { workLeases } = tables;
  const rows = await db.select().from(workLeases).where(gt(workLeases.expiresAt, nowMs)).limit(1);
  return rows.length > 0;
}

/** Forgets those that ended. */
export async function forgetWorkLeases(
  { db, tables }: FleetDatabase,
  nowMs: number,
): Promise<void> {
  await db.delete(tables.workLeases).where(lt(tables.workLeases.expiresAt, nowMs));
}

/** Gives it back, so that another need not wait for its end. */
export async function dropWorkLease(
  { db, tables }: FleetDatabase,
  { name, holder }: Pick<WorkLease, "name" | "holder">,
): Promise<void> {
  const { workLeases } = tables;
  await db.delete(workLeases).where(and(eq(workLeases.name, name), eq(workLeases.holder, holder)));
}
