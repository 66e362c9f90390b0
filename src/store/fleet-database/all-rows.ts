// Every row of the fleet's database, out and in again: what a backup is made of. Columns go by their
// names in the code, which both dialects share: a backup of one can be restored to the other.

import { sql } from "drizzle-orm";
import type { SQLiteTable } from "drizzle-orm/sqlite-core";
import { type FleetDatabase, INSERT_ROWS_MAX } from "./fleet-database.ts";
import { raiseRoutesVersion } from "./fleet-row.ts";

export interface TableRow {
  table: string;
  row: Record<string, unknown>;
}

/** Rows that one read holds in memory. */
const READ_ROWS_MAX = 5_000;

/** The row of the table is made by the migrations: it is changed, never added. */
const FLEET = "fleet";

/** Rows of a process that is gone: nobody's after a restore. */
const PASSING = new Set(["workLeases", "hostChannels"]);

/** Names of the tables that a backup holds. */
export function keptTables({ tables }: Pick<FleetDatabase, "tables">): string[] {
  return Object.keys(tables).filter((name) => !PASSING.has(name));
}

/** Reads everything as it is at one point in time. */
export async function readAllRows(
  database: FleetDatabase,
  take: (row: TableRow) => void,
): Promise<void> {
  await database.transaction("read", async (snapshot) => {
    for (const table of keptTables(snapshot)) {
      for (let offset = 0; ; offset += READ_ROWS_MAX) {
        const rows = await snapshot.db
          .select()
          .from(tableOf(snapshot, table))
          // Every key lies in the first three columns: pages neither repeat nor miss a row.
          .orderBy(sql.raw("1, 2, 3"))
          .limit(READ_ROWS_MAX)
          .offset(offset);
        for (const row of rows) take({ table, row });
        if (rows.length < READ_ROWS_MAX) break;
      }
    }
  });
}

/** Whether the database holds a fleet already. */
export async function holdsFleet({ db, tables }: FleetDatabase): Promise<boolean> {
  const rows = await db.select({ id: tables.tokens.id }).from(tables.tokens).limit(1);
  return rows.length > 0;
}

/**
 * Puts these rows in the place of all that is there, or changes nothing.
 * @throws {Error} the database's, for rows that are not its own
 */
export async function replaceAllRows(
  database: FleetDatabase,
  rows: Iterable<TableRow>,
): Promise<void> {
  await database.transaction("write", async (inside) => {
    for (const name of Object.keys(inside.tables)) {
      if (name !== FLEET) await inside.db.delete(tableOf(inside, name));
    }
    const waiting = new Map<string, Record<string, unknown>[]>();
    const insert = async (table: string): Promise<void> => {
      const some = waiting.get(table) ?? [];
      waiting.delete(table);
      if (some.length > 0) await inside.db.insert(tableOf(inside, table)).values(some);
    };
    for (const { table, row } of rows) {
      if (table === FLEET) {
        await inside.db.update(inside.tables.fleet).set(row);
        continue;
      }
      waiting.set(table, [...(waiting.get(table) ?? []), row]);
      if (waiting.get(table)!.length >= INSERT_ROWS_MAX) await insert(table);
    }
    for (const table of [...waiting.keys()]) await insert(table);
    await raiseRoutesVersion(inside, Date.now());
  });
}

function tableOf({ tables }: FleetDatabase, name: string): SQLiteTable {
  return tables[name as keyof typeof tables];
}
