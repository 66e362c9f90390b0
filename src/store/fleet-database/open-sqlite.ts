// The fleet's database in one SQLite file: for a single `df config`.

import { Database } from "bun:sqlite";
import { chmodSync } from "node:fs";
import { open } from "node:fs/promises";
import { drizzle } from "drizzle-orm/bun-sqlite";
import { DfError, messageOf } from "../../errors.ts";
import type { FleetDatabase } from "./fleet-database.ts";
import { refuseNewerSchema, refuseOtherSchema, SQLITE_MIGRATIONS } from "./migrations.ts";
import { sqliteTables } from "./sqlite-schema.ts";

/** Only `df config backup` reads beside us; a wait blocks the thread, so it is short. */
const BUSY_TIMEOUT_MS = 1_000;

export interface OpenOptions {
  /** Whether the database must be there, at today's schema, and is only read. */
  isReadOnly: boolean;
}

/**
 * Opens or makes the file. Unlike the piece store's it is never set aside: nothing can bring back
 * what it says.
 * @throws {DfError} file-unwritable, denied (another version's schema)
 */
export function openSqlite(path: string, { isReadOnly }: OpenOptions): FleetDatabase {
  let sqlite: Database | undefined;
  try {
    sqlite = new Database(path, {
      strict: true,
      ...(isReadOnly ? { readonly: true } : { create: true }),
    });
    sqlite.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    if (isReadOnly) refuseOtherSchema(versionOf(sqlite));
    else {
      // Before SQLite makes the files beside it, which get the same mode.
      chmodSync(path, 0o600);
      prepare(sqlite);
    }
  } catch (cause) {
    sqlite?.close();
    if (cause instanceof DfError) throw cause;
    throw new DfError("file-unwritable", `open the fleet's database ${path}: ${messageOf(cause)}`, {
      cause,
      hint: "check the data directory, or restore a backup with df config restore",
    });
  }
  return databaseOf(sqlite, isReadOnly ? null : walOf(path));
}

/** Syncs the write-ahead log beside the file on a thread of its own; kept open as long as the file. */
function walOf(path: string): WriteAheadLog {
  const handle = open(`${path}-wal`, "r");
  // Told by the first sync.
  handle.catch(() => {});
  return {
    sync: async () => (await handle).datasync(),
    close: async () => (await handle).close(),
  };
}

interface WriteAheadLog {
  sync(): Promise<void>;
  close(): Promise<void>;
}

function databaseOf(sqlite: Database, wal: WriteAheadLog | null): FleetDatabase {
  const database: FleetDatabase = {
    dialect: "sqlite",
    db: drizzle(sqlite),
    tables: sqliteTables,
    async transaction(mode, work) {
      sqlite.run(mode === "read" ? "BEGIN" : "BEGIN IMMEDIATE");
      try {
        const result = await work(database);
        sqlite.run("COMMIT");
        return result;
      } catch (error) {
        sqlite.run("ROLLBACK");
        throw error;
      }
    },
    persist: async () => wal?.sync(),
    async close() {
      // First: it may not even be open yet, and goes with the last connection.
      await wal?.close();
      sqlite.close();
    },
  };
  return database;
}

function prepare(sqlite: Database): void {
  sqlite.run("PRAGMA journal_mode = WAL");
  // FULL would sync on this thread at each commit, 1 to 30 ms in which no host is answered. Here a
  // power loss may forget the last commits, never break the file; what must stay asks to persist.
  sqlite.run("PRAGMA synchronous = NORMAL");
  const version = versionOf(sqlite);
  refuseNewerSchema(version);
  sqlite
    .transaction(() => {
      for (const migration of SQLITE_MIGRATIONS.slice(version)) sqlite.run(migration);
      sqlite.run(`PRAGMA user_version = ${SQLITE_MIGRATIONS.length}`);
    })
    .immediate();
}

function versionOf(sqlite: Database): number {
  const row = sqlite.query("PRAGMA user_version").get() as { user_version: number };
  return row.user_version;
}
