// Queries about clusters: groups of supernodes that stand for each other.

import { asc, eq } from "drizzle-orm";
import type { FleetDatabase } from "./fleet-database.ts";
import type { FleetTables } from "./sqlite-schema.ts";

export type ClusterRow = FleetTables["clusters"]["$inferSelect"];

export async function listClusters({ db, tables }: FleetDatabase): Promise<ClusterRow[]> {
  return await db.select().from(tables.clusters).orderBy(asc(tables.clusters.name));
}

/** Returns false when there is one of that name. */
export async function insertCluster(
  { db, tables }: FleetDatabase,
  row: ClusterRow,
): Promise<boolean> {
  const added = await db
    .insert(tables.clusters)
    .values(row)
    .onConflictDoNothing()
    .returning({ name: tables.clusters.name });
  return added.length > 0;
}

/**
 * Returns the cluster as it is then, undefined when there is none of that name.
 * @param change at least one column
 */
export async function updateCluster(
  { db, tables }: FleetDatabase,
  name: string,
  change: Partial<Pick<ClusterRow, "labels" | "upstream">>,
): Promise<ClusterRow | undefined> {
  const { clusters } = tables;
  const [row] = await db.update(clusters).set(change).where(eq(clusters.name, name)).returning();
  return row;
}

/** Returns false when there is none of that name. */
export async function deleteCluster({ db, tables }: FleetDatabase, name: string): Promise<boolean> {
  const { clusters } = tables;
  const gone = await db
    .delete(clusters)
    .where(eq(clusters.name, name))
    .returning({ name: clusters.name });
  return gone.length > 0;
}
