// The fleet's database as queries see it: one builder and one set of tables, whichever dialect is
// behind them. The queries lie in files named for what they are about.
//
// Both dialects' builders can be awaited and take the same calls, so a query is written once, with
// SQLite's types. What differs is kept out: no interactive transactions (drizzle's are synchronous on
// SQLite), every change is one statement, with ON CONFLICT or a condition where replicas may race.

import { SQLiteError } from "bun:sqlite";
import { SQL as BunSql } from "bun";
import { type Column, DrizzleQueryError, type SQL, sql } from "drizzle-orm";
import type { BunSQLiteDatabase } from "drizzle-orm/bun-sqlite";
import { DfError } from "../../errors.ts";
import type { FleetTables } from "./sqlite-schema.ts";

export interface FleetDatabase {
  readonly dialect: "sqlite" | "postgres";
  readonly db: BunSQLiteDatabase;
  readonly tables: FleetTables;
  /**
   * Does all of `work` at one point in time, or nothing. For a process that does nothing else meanwhile:
   * `df config backup` and `restore`.
   * @param mode "read": a snapshot; "write": nobody else writes meanwhile
   */
  transaction<Result>(
    mode: "read" | "write",
    work: (database: FleetDatabase) => Promise<Result>,
  ): Promise<Result>;
  /** Returns when all that was written before the call is on disk. */
  persist(): Promise<void>;
  close(): Promise<void>;
}

/** Rows of one INSERT: PostgreSQL takes 65,535 parameters a statement, SQLite 32,766. */
export const INSERT_ROWS_MAX = 1_000;

/** In `onConflictDoUpdate`: the value that the row would have been inserted with. */
export function proposed(column: Column): SQL {
  return sql`excluded.${sql.identifier(column.name)}`;
}

/** What the database said alone: a query's parameters are URLs, names and digests, thousands of them. */
export function withoutQuery(error: unknown): unknown {
  return error instanceof DrizzleQueryError ? (error.cause ?? new Error("a query failed")) : error;
}

/** The error of a query as a caller can act on it; undefined for what no database threw. */
export function databaseError(error: unknown): DfError | undefined {
  const isQuery = error instanceof DrizzleQueryError || error instanceof SQLiteError;
  if (!isQuery && !(error instanceof BunSql.SQLError)) return undefined;
  return new DfError("unavailable", "ask the fleet's database: it does not answer as it should", {
    cause: withoutQuery(error),
    hint: "try again; the log of df config says more",
  });
}
