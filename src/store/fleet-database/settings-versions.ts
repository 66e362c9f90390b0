// Queries about the versions of the fleet's settings. A version is written once and whole; of two
// writers of the same number the database lets one through.

import { and, desc, eq, lt, max } from "drizzle-orm";
import type { FleetDatabase } from "./fleet-database.ts";
import type { FleetTables } from "./sqlite-schema.ts";

export type SettingsVersionRow = FleetTables["settingsVersions"]["$inferSelect"];

/** 0 where nothing was ever set. */
export async function latestSettingsVersion({ db, tables }: FleetDatabase): Promise<number> {
  const { version } = tables.settingsVersions;
  const [row] = await db.select({ version: max(version) }).from(tables.settingsVersions);
  return row?.version ?? 0;
}

export async function findSettingsVersion(
  { db, tables }: FleetDatabase,
  version: number,
): Promise<SettingsVersionRow | undefined> {
  const { settingsVersions } = tables;
  const [row] = await db
    .select()
    .from(settingsVersions)
    .where(eq(settingsVersions.version, version));
  return row;
}

/** Newest first. */
export async function listSettingsVersions(
  { db, tables }: FleetDatabase,
  { before, rowsMax }: { before: number | undefined; rowsMax: number },
): Promise<SettingsVersionRow[]> {
  const { settingsVersions } = tables;
  return await db
    .select()
    .from(settingsVersions)
    .where(and(before === undefined ? undefined : lt(settingsVersions.version, before)))
    .orderBy(desc(settingsVersions.version))
    .limit(rowsMax);
}

/** Returns false when another writer was first with this version. */
export async function insertSettingsVersion(
  { db, tables }: FleetDatabase,
  row: SettingsVersionRow,
): Promise<boolean> {
  const { settingsVersions } = tables;
  const added = await db
    .insert(settingsVersions)
    .values(row)
    .onConflictDoNothing()
    .returning({ version: settingsVersions.version });
  return added.length > 0;
}

/** Forgets the oldest versions. */
export async function forgetSettingsVersions(
  { db, tables }: FleetDatabase,
  below: number,
): Promise<void> {
  await db.delete(tables.settingsVersions).where(lt(tables.settingsVersions.version, below));
}
