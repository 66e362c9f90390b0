// The fleet's database in one SQLite file: for a single `df config`.

import { Database } from "bun:sqlite";
import { drizzle } from "drizzle-orm/bun-sqlite";
import { DfError, messageOf } from "../../errors.ts";
import type { FleetDatabase } from "./fleet-database.ts";
import { refuseNewerSchema, SQLITE_MIGRATIONS } from "./migrations.ts";
import { sqliteTables } from "./sqlite-schema.ts";

/** Only `df config backup` reads beside us; a wait blocks the thread, so it is short. */
const BUSY_TIMEOUT_MS = 1_000;

/**
 * Opens or makes the file. Unlike the piece store's it is never set aside: nothing can bring back
 * what it says.
 * @throws {DfError} file-unwritable, denied (written by a newer version)
 */
export function openSqlite(path: string): FleetDatabase {
  let sqlite: Database | undefined;
  try {
    sqlite = new Database(path, { create: true, strict: true });
    sqlite.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    sqlite.run("PRAGMA journal_mode = WAL");
    // A revoked token must not be good again after a power loss. Frequent writes come in batches.
    sqlite.run("PRAGMA synchronous = FULL");
    migrate(sqlite);
  } catch (cause) {
    sqlite?.close();
    if (cause instanceof DfError) throw cause;
    throw new DfError("file-unwritable", `open the fleet's database ${path}: ${messageOf(cause)}`, {
      cause,
      hint: "check the data directory, or restore a backup with df config restore",
    });
  }
  const opened = sqlite;
  return {
    dialect: "sqlite",
    db: drizzle(opened),
    tables: sqliteTables,
    close: async () => opened.close(),
  };
}

function migrate(sqlite: Database): void {
  const { user_version: version } = sqlite.query("PRAGMA user_version").get() as {
    user_version: number;
  };
  refuseNewerSchema(version);
  sqlite
    .transaction(() => {
      for (const migration of SQLITE_MIGRATIONS.slice(version)) sqlite.run(migration);
      sqlite.run(`PRAGMA user_version = ${SQLITE_MIGRATIONS.length}`);
    })
    .immediate();
}
