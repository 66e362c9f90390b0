// Queries about routing rules: which hosts are sent to which clusters, whatever is near.

import { asc, desc, eq } from "drizzle-orm";
import type { FleetDatabase } from "./fleet-database.ts";
import type { FleetTables } from "./sqlite-schema.ts";

export type RoutingRuleRow = FleetTables["routingRules"]["$inferSelect"];

/** The one that decides first comes first. */
export async function listRoutingRules({ db, tables }: FleetDatabase): Promise<RoutingRuleRow[]> {
  const { routingRules: rules } = tables;
  return await db
    .select()
    .from(rules)
    .orderBy(desc(rules.priority), asc(rules.createdAt), asc(rules.id));
}

/** Adds it, or replaces the one of that ID, whose age it keeps. */
export async function putRoutingRule(
  { db, tables }: FleetDatabase,
  row: RoutingRuleRow,
): Promise<void> {
  const { priority, conditions, clusters, comment } = row;
  await db.insert(tables.routingRules).values(row).onConflictDoUpdate({
    target: tables.routingRules.id,
    set: { priority, conditions, clusters, comment },
  });
}

/** Returns false when there is none of that ID. */
export async function deleteRoutingRule(
  { db, tables }: FleetDatabase,
  id: string,
): Promise<boolean> {
  const { routingRules: rules } = tables;
  const gone = await db.delete(rules).where(eq(rules.id, id)).returning({ id: rules.id });
  return gone.length > 0;
}
