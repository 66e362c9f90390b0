// The steps that bring either dialect's database to today's schema, as SQL inside the executable.
// A step that was released is never changed: a new one is added, in both dialects.

import { DfError } from "../../errors.ts";
import postgresFleetSql from "./migrations/0001-fleet.postgres.sql" with { type: "text" };
import sqliteFleetSql from "./migrations/0001-fleet.sqlite.sql" with { type: "text" };
import postgresTlsSql from "./migrations/0002-tls.postgres.sql" with { type: "text" };
import sqliteTlsSql from "./migrations/0002-tls.sqlite.sql" with { type: "text" };

/** In order; the database keeps how many were applied. */
export const SQLITE_MIGRATIONS = [sqliteFleetSql, sqliteTlsSql];
export const POSTGRES_MIGRATIONS = [postgresFleetSql, postgresTlsSql];

/** @throws {DfError} denied */
export function refuseNewerSchema(version: number): void {
  if (version <= SQLITE_MIGRATIONS.length) return;
  throw new DfError("denied", "open the fleet's database: a newer version of df wrote it", {
    hint: "install that version again; the schema does not go back",
  });
}

/** For who only reads. @throws {DfError} denied */
export function refuseOtherSchema(version: number): void {
  refuseNewerSchema(version);
  if (version === SQLITE_MIGRATIONS.length) return;
  throw new DfError("denied", "read the fleet's database: an older version of df wrote it", {
    hint: "use the version of df that runs there, or start df config once with this one",
  });
}
