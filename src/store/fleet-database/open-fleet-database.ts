// Opens the fleet's database: the SQLite file in the data directory, or the PostgreSQL that a URL
// names, at today's schema.

import { join } from "node:path";
import type { FleetDatabase } from "./fleet-database.ts";
import { openPostgres } from "./open-postgres.ts";
import { type OpenOptions, openSqlite } from "./open-sqlite.ts";

export interface FleetDatabasePlace {
  /** Holds the SQLite file; not used with a URL. */
  dataDir: string;
  /** `postgres://…`; null: SQLite. */
  url: string | null;
}

/** @throws {DfError} usage (a URL of another kind), unavailable, denied, file-unwritable */
export async function openFleetDatabase(
  place: FleetDatabasePlace,
  options: OpenOptions = { isReadOnly: false },
): Promise<FleetDatabase> {
  return place.url === null
    ? openSqlite(join(place.dataDir, "fleet.sqlite"), options)
    : await openPostgres(place.url, options);
}
