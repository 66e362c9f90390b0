// Opens the store's SQLite file and brings it to today's schema. A file that is damaged or from a
// newer version is set aside and begun anew: what it described can be fetched again.

import { Database } from "bun:sqlite";
import { existsSync, renameSync } from "node:fs";
import { drizzle, type BunSQLiteDatabase } from "drizzle-orm/bun-sqlite";
import { DfError, messageOf } from "../errors.ts";
import contentsSql from "./migrations/0001-contents.sql" with { type: "text" };
import answersSql from "./migrations/0002-answers.sql" with { type: "text" };
import pinsSql from "./migrations/0003-pins.sql" with { type: "text" };
import privateSql from "./migrations/0004-private.sql" with { type: "text" };
import signaturesSql from "./migrations/0005-signatures.sql" with { type: "text" };
import wireFormsSql from "./migrations/0006-wire-forms.sql" with { type: "text" };

/** In order; `PRAGMA user_version` counts how many were applied. */
const MIGRATIONS = [contentsSql, answersSql, pinsSql, privateSql, signaturesSql, wireFormsSql];

/** Only a backup tool reads beside us; a wait blocks the thread, so it is short. */
const BUSY_TIMEOUT_MS = 1_000;

/**
 * A checkpoint syncs, and a busy disk lets it wait for seconds: the journal does it in quiet moments.
 * Only a log of 256 MiB (pages of 4 KiB) does not wait for one.
 */
const WAL_PAGES_MAX = 65_536;

export interface StoreDatabase {
  readonly sqlite: Database;
  readonly db: BunSQLiteDatabase;
}

class UnusableFile extends Error {}

/**
 * Opens or makes the file.
 * @param onWarning told when the old file had to be set aside
 * @throws {DfError} file-unwritable
 */
export function openDatabase(path: string, onWarning: (message: string) => void): StoreDatabase {
  try {
    return openOnce(path);
  } catch (error) {
    if (!isBeyondUse(error)) throw unwritable(path, error);
    const aside = setAside(path);
    onWarning(
      `store index ${path} is unusable (${messageOf(error)}): kept as ${aside}, starting empty`,
    );
  }
  try {
    return openOnce(path);
  } catch (error) {
    throw unwritable(path, error);
  }
}

function openOnce(path: string): StoreDatabase {
  const sqlite = new Database(path, { create: true, strict: true });
  try {
    sqlite.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    // NORMAL: no fsync per transaction. A power loss may forget the last ones, never break the file.
    sqlite.run("PRAGMA journal_mode = WAL");
    sqlite.run("PRAGMA synchronous = NORMAL");
    sqlite.run(`PRAGMA wal_autocheckpoint = ${WAL_PAGES_MAX}`);
    sqlite.run("PRAGMA foreign_keys = ON");
    migrate(sqlite);
    return { sqlite, db: drizzle(sqlite) };
  } catch (error) {
    sqlite.close();
    throw error;
  }
}

function migrate(sqlite: Database): void {
  const { user_version: version } = sqlite.query("PRAGMA user_version").get() as {
    user_version: number;
  };
  if (version > MIGRATIONS.length) throw new UnusableFile("it was written by a newer version");
  sqlite.transaction(() => {
    for (const migration of MIGRATIONS.slice(version)) sqlite.run(migration);
    sqlite.run(`PRAGMA user_version = ${MIGRATIONS.length}`);
  })();
  const check = sqlite.query("PRAGMA quick_check(1)").get() as { quick_check: string } | null;
  if (check?.quick_check !== "ok") throw new UnusableFile(check?.quick_check ?? "check failed");
}

/** Whether the file itself is at fault, not the disk or our rights. */
function isBeyondUse(error: unknown): boolean {
  if (error instanceof UnusableFile) return true;
  const code = (error as { code?: string }).code ?? "";
  return /^SQLITE_(CORRUPT|NOTADB|ERROR|CONSTRAINT|MISMATCH|FORMAT)/.test(code);
}

function setAside(path: string): string {
  const suffix = `.unusable-${Date.now()}`;
  for (const part of ["", "-wal", "-shm"]) {
    if (existsSync(path + part)) renameSync(path + part, path + suffix + part);
  }
  return path + suffix;
}

function unwritable(path: string, cause: unknown): DfError {
  return new DfError("file-unwritable", `open store index ${path}: ${messageOf(cause)}`, {
    cause,
    hint: "check the data directory's file system and rights",
  });
}
