// Queries about supernodes and their leases. States:
//
//   joined ──heartbeat──▶ alive ──lease over──▶ silent ──heartbeat──▶ alive
//                           └──says goodbye──▶ left ──heartbeat──▶ alive
//   any ──removed by an administrator──▶ removed ──join──▶ joined

import { and, asc, eq, lt, ne } from "drizzle-orm";
import { type FleetDatabase, proposed } from "./fleet-database.ts";
import type { FleetTables } from "./sqlite-schema.ts";

export type SupernodeRow = FleetTables["supernodes"]["$inferSelect"];

export async function listSupernodes({ db, tables }: FleetDatabase): Promise<SupernodeRow[]> {
  const { supernodes } = tables;
  return await db
    .select()
    .from(supernodes)
    .where(ne(supernodes.state, "removed"))
    .orderBy(asc(supernodes.hostId));
}

/** Notes a join; one that is known keeps its state, but may change its cluster. */
export async function saveJoinedSupernode(
  { db, tables }: FleetDatabase,
  { hostId, cluster, hostname, version, joinedAt }: JoinedSupernode,
): Promise<void> {
  const { supernodes } = tables;
  await db
    .insert(supernodes)
    .values({
      ...{ hostId, cluster, hostname, version, joinedAt },
      ...{ addresses: [], labels: {}, state: "joined", leaseExpiresAt: 0 },
    })
    .onConflictDoUpdate({
      target: supernodes.hostId,
      // Alive again with its next heartbeat.
      set: { cluster, hostname, version, joinedAt, state: "joined" },
    });
}

export type JoinedSupernode = Pick<
  SupernodeRow,
  "hostId" | "cluster" | "hostname" | "version" | "joinedAt"
>;

/**
 * Notes heartbeats, one row a supernode. One that was removed stays so.
 * @param rows at most INSERT_ROWS_MAX
 */
export async function saveHeartbeats(
  { db, tables }: FleetDatabase,
  rows: readonly SupernodeRow[],
): Promise<void> {
  if (rows.length === 0) return;
  const { supernodes } = tables;
  await db
    .insert(supernodes)
    // Replicas lock rows in one order: no deadlocks.
    .values(rows.toSorted((a, b) => (a.hostId < b.hostId ? -1 : 1)))
    .onConflictDoUpdate({
      target: supernodes.hostId,
      set: {
        version: proposed(supernodes.version),
        addresses: proposed(supernodes.addresses),
        isTls: proposed(supernodes.isTls),
        labels: proposed(supernodes.labels),
        state: proposed(supernodes.state),
        leaseExpiresAt: proposed(supernodes.leaseExpiresAt),
        heartbeatAt: proposed(supernodes.heartbeatAt),
        report: proposed(supernodes.report),
      },
      setWhere: ne(supernodes.state, "removed"),
    });
}

/** Takes those whose lease is over out of every list; returns their IDs. */
export async function silenceSupernodes(
  { db, tables }: FleetDatabase,
  nowMs: number,
): Promise<string[]> {
  const { supernodes } = tables;
  const silent = await db
    .update(supernodes)
    .set({ state: "silent" })
    .where(and(eq(supernodes.state, "alive"), lt(supernodes.leaseExpiresAt, nowMs)))
    .returning({ hostId: supernodes.hostId });
  return silent.map(({ hostId }) => hostId);
}

/** Returns false when there is none of that ID. */
export async function removeSupernode(
  { db, tables }: FleetDatabase,
  hostId: string,
): Promise<boolean> {
  const { supernodes } = tables;
  const removed = await db
    .update(supernodes)
    .set({ state: "removed" })
    .where(and(eq(supernodes.hostId, hostId), ne(supernodes.state, "removed")))
    .returning({ hostId: supernodes.hostId });
  return removed.length > 0;
}
