// Queries about tokens: who may administer the fleet, who may join it. Only digests of secrets are here.

import { and, desc, eq, gt, isNull, lt, or, sql } from "drizzle-orm";
import type { FleetDatabase } from "./fleet-database.ts";
import type { FleetTables } from "./sqlite-schema.ts";

export type TokenRow = FleetTables["tokens"]["$inferSelect"];

/** Newest first, also revoked ones. */
export async function listTokens({ db, tables }: FleetDatabase): Promise<TokenRow[]> {
  const { tokens } = tables;
  return await db.select().from(tokens).orderBy(desc(tokens.createdAt), desc(tokens.id));
}

export async function findToken(
  { db, tables }: FleetDatabase,
  id: string,
): Promise<TokenRow | undefined> {
  const [row] = await db.select().from(tables.tokens).where(eq(tables.tokens.id, id));
  return row;
}

/** Returns false when there is one of that ID: another replica made it. */
export async function insertToken({ db, tables }: FleetDatabase, row: TokenRow): Promise<boolean> {
  const added = await db
    .insert(tables.tokens)
    .values(row)
    .onConflictDoNothing()
    .returning({ id: tables.tokens.id });
  return added.length > 0;
}

/**
 * Counts one use of a join token that is still good, and returns it; undefined when it is not.
 * Two that come with the last use at once: one gets it.
 */
export async function useJoinToken(
  { db, tables }: FleetDatabase,
  { id, secretSha256, nowMs }: { id: string; secretSha256: string; nowMs: number },
): Promise<TokenRow | undefined> {
  const { tokens } = tables;
  const [row] = await db
    .update(tokens)
    .set({ useCount: sql`${tokens.useCount} + 1`, usedAt: nowMs })
    .where(
      and(
        eq(tokens.id, id),
        eq(tokens.kind, "join"),
        eq(tokens.secretSha256, secretSha256),
        isNull(tokens.revokedAt),
        or(isNull(tokens.expiresAt), gt(tokens.expiresAt, nowMs)),
        or(isNull(tokens.usesMax), lt(tokens.useCount, tokens.usesMax)),
      ),
    )
    .returning();
  return row;
}

/** Returns false when there is none of that ID that was still good. */
export async function revokeToken(
  { db, tables }: FleetDatabase,
  id: string,
  nowMs: number,
): Promise<boolean> {
  const { tokens } = tables;
  const revoked = await db
    .update(tokens)
    .set({ revokedAt: nowMs })
    .where(and(eq(tokens.id, id), isNull(tokens.revokedAt)))
    .returning({ id: tokens.id });
  return revoked.length > 0;
}
