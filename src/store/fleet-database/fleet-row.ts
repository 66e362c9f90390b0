// Queries about the fleet as a whole: the version of its routes and the key that signs for it.

import { and, eq, isNull, lt } from "drizzle-orm";
import type { FleetDatabase } from "./fleet-database.ts";

export interface FleetRow {
  routesVersion: number;
  /** SHA-256 of the public key, hex; null before the first start. */
  keyFingerprint: string | null;
}

/** The one row; migrations made it. */
const ID = 1;

export async function readFleet({ db, tables }: FleetDatabase): Promise<FleetRow> {
  const [row] = await db.select().from(tables.fleet).where(eq(tables.fleet.id, ID));
  if (row === undefined) throw new Error("bug: the fleet's row is missing");
  return row;
}

/** Sets the fingerprint if there is none yet, and returns the one that counts. */
export async function claimKeyFingerprint(
  database: FleetDatabase,
  fingerprint: string,
): Promise<string> {
  const { db, tables } = database;
  await db
    .update(tables.fleet)
    .set({ keyFingerprint: fingerprint })
    .where(and(eq(tables.fleet.id, ID), isNull(tables.fleet.keyFingerprint)));
  const { keyFingerprint } = await readFleet(database);
  return keyFingerprint ?? fingerprint;
}

/** Lifts the version above everything that was told before this moment. @param above Unix milliseconds */
export async function raiseRoutesVersion(
  { db, tables }: FleetDatabase,
  above: number,
): Promise<void> {
  await db
    .update(tables.fleet)
    .set({ routesVersion: above })
    .where(and(eq(tables.fleet.id, ID), lt(tables.fleet.routesVersion, above)));
}
