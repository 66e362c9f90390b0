// Queries about the credentials that joins gave out: which are no longer believed.

import { and, asc, eq, gt, isNotNull, isNull, lt } from "drizzle-orm";
import type { FleetDatabase } from "./fleet-database.ts";
import type { FleetTables } from "./sqlite-schema.ts";

export type CredentialRow = FleetTables["credentials"]["$inferSelect"];

export async function insertCredential(
  { db, tables }: FleetDatabase,
  row: CredentialRow,
): Promise<void> {
  await db.insert(tables.credentials).values(row);
}

export async function findCredential(
  { db, tables }: FleetDatabase,
  id: string,
): Promise<CredentialRow | undefined> {
  const [row] = await db.select().from(tables.credentials).where(eq(tables.credentials.id, id));
  return row;
}

/** Revokes one, all of one host, or all that go back to one join token; returns how many. */
export async function revokeCredentials(
  { db, tables }: FleetDatabase,
  of: { id: string } | { hostId: string } | { tokenId: string },
  nowMs: number,
): Promise<number> {
  const { credentials } = tables;
  const [[column, value]] = Object.entries(of) as [["id" | "hostId" | "tokenId", string]];
  const owner = eq(credentials[column], value);
  const revoked = await db
    .update(credentials)
    .set({ revokedAt: nowMs })
    .where(and(owner, isNull(credentials.revokedAt)))
    .returning({ id: credentials.id });
  return revoked.length;
}

/** IDs of those that are revoked and would still be believed, in the order of their revocation. */
export async function listRevokedCredentials(
  { db, tables }: FleetDatabase,
  nowMs: number,
): Promise<string[]> {
  const { credentials } = tables;
  const rows = await db
    .select({ id: credentials.id })
    .from(credentials)
    .where(and(isNotNull(credentials.revokedAt), gt(credentials.expiresAt, nowMs)))
    .orderBy(asc(credentials.revokedAt), asc(credentials.id));
  return rows.map(({ id }) => id);
}

/** Forgets those that nobody believes any more by their age alone. */
export async function forgetCredentials(
  { db, tables }: FleetDatabase,
  expiredBefore: number,
): Promise<void> {
  await db.delete(tables.credentials).where(lt(tables.credentials.expiresAt, expiredBefore));
}

/** Whether the host has a credential from this join token: one that asks again spends no second use. */
export async function hasJoinedWith(
  { db, tables }: FleetDatabase,
  { tokenId, hostId }: { tokenId: string; hostId: string },
): Promise<boolean> {
  const { credentials } = tables;
  const rows = await db
    .select({ id: credentials.id })
    .from(credentials)
    .where(
      and(
        eq(credentials.tokenId, tokenId),
        eq(credentials.hostId, hostId),
        isNull(credentials.revokedAt),
      ),
    )
    .limit(1);
  return rows.length > 0;
}
