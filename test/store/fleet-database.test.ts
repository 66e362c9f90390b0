// The fleet's database in both dialects: what each does, and that they stay equal.

import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SQL } from "bun";
import { DrizzleQueryError } from "drizzle-orm";
import { getTableConfig as postgresConfigOf, type PgTable } from "drizzle-orm/pg-core";
import { getTableConfig as sqliteConfigOf, type SQLiteTable } from "drizzle-orm/sqlite-core";
import { isDfError } from "../../src/errors.ts";
import { databaseError, withoutQuery } from "../../src/store/fleet-database/fleet-database.ts";
import {
  POSTGRES_MIGRATIONS,
  SQLITE_MIGRATIONS,
} from "../../src/store/fleet-database/migrations.ts";
import { openFleetDatabase } from "../../src/store/fleet-database/open-fleet-database.ts";
import { postgresTables } from "../../src/store/fleet-database/postgres-schema.ts";
import { sqliteTables } from "../../src/store/fleet-database/sqlite-schema.ts";
import { Session } from "../../bench/harness/session.ts";
import { testFleetDatabase } from "../conformance/fleet-database.ts";
import { testFleetWork } from "../conformance/fleet-work.ts";
import { hasPostgres, type RunningPostgres, startPostgres } from "../fixtures/postgres.ts";

const folder = mkdtempSync(join(tmpdir(), "df-fleet-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
const freshDir = (): string => mkdtempSync(join(folder, `${files++}-`));

testFleetDatabase("on SQLite", () => openFleetDatabase({ dataDir: freshDir(), url: null }));
testFleetWork("on SQLite", () => openFleetDatabase({ dataDir: freshDir(), url: null }));

if (hasPostgres) {
  let postgres: RunningPostgres;
  const ending = Promise.withResolvers<void>();
  let session: Promise<void>;
  beforeAll(async () => {
    const started = Promise.withResolvers<void>();
    session = Session.run("postgres", async (session) => {
      postgres = await startPostgres(session);
      started.resolve();
      await ending.promise;
    });
    await Promise.race([started.promise, session]);
  });
  afterAll(async () => {
    ending.resolve();
    await session;
  });

  testFleetDatabase("on PostgreSQL", async () =>
    openFleetDatabase({ dataDir: "", url: await postgres.createDatabase("conformance") }),
  );

  testFleetWork("on PostgreSQL", async () =>
    openFleetDatabase({ dataDir: "", url: await postgres.createDatabase("work") }),
  );

  test("replicas that start at once migrate PostgreSQL once", async () => {
    const url = await postgres.createDatabase("migrated");

    const opened = await Promise.all([1, 2, 3].map(() => openFleetDatabase({ dataDir: "", url })));

    await Promise.all(opened.map((database) => database.close()));
    await using client = new SQL(url);
    const rows = (await client`SELECT version FROM fleet_schema`) as { version: number }[];
    expect([...rows]).toEqual([{ version: POSTGRES_MIGRATIONS.length }]);
  });

  test("PostgreSQL's migrations make the columns that its schema names", async () => {
    const url = await postgres.createDatabase("columns");
    await (await openFleetDatabase({ dataDir: "", url })).close();

    await using client = new SQL(url);
    const rows = (await client`
      SELECT table_name, column_name, is_nullable, data_type FROM information_schema.columns
      WHERE table_schema = 'public' AND table_name <> 'fleet_schema'
    `) as Record<"table_name" | "column_name" | "is_nullable" | "data_type", string>[];
    const made = rows.map((row) =>
      [row.table_name, row.column_name, row.data_type, row.is_nullable === "NO"].join(" "),
    );
    const named = Object.values(postgresTables).flatMap((table) => {
      const { name, columns } = postgresConfigOf(table as PgTable);
      return columns.map((column) =>
        [name, column.name, column.getSQLType(), column.notNull].join(" "),
      );
    });
    expect(made.toSorted()).toEqual(named.toSorted());
  });

  test("a PostgreSQL that does not answer is unavailable, and its password stays untold", async () => {
    const url = "postgres://df:hunter2@127.0.0.1:1/fleet";

    const error = await openFleetDatabase({ dataDir: "", url }).catch((error: unknown) => error);

    expect(isDfError(error, "unavailable")).toBe(true);
    expect(JSON.stringify(error) + String(error)).not.toContain("hunter2");
    expect(String(error)).toContain("127.0.0.1:1/fleet");
  });
} else {
  test.skip("on PostgreSQL: not installed", () => {});
}

test("both dialects have the same tables, columns, keys and indexes", () => {
  const names = Object.keys(sqliteTables);
  expect(Object.keys(postgresTables)).toEqual(names);
  for (const name of names) {
    const sqlite = sqliteConfigOf(sqliteTables[name as keyof typeof sqliteTables] as SQLiteTable);
    const postgres = postgresConfigOf(postgresTables[name as keyof typeof postgresTables]);

    expect(describeTable(postgres)).toEqual(describeTable(sqlite));
  }
});

test("both dialects have as many migrations", () => {
  expect(POSTGRES_MIGRATIONS.length).toBe(SQLITE_MIGRATIONS.length);
});

test("SQLite's migrations make the columns that its schema names", async () => {
  const dataDir = freshDir();
  await (await openFleetDatabase({ dataDir, url: null })).close();

  using file = new Database(join(dataDir, "fleet.sqlite"), { readonly: true });
  for (const table of Object.values(sqliteTables)) {
    const { name, columns } = sqliteConfigOf(table as SQLiteTable);
    const made = file.query(`PRAGMA table_info(${name})`).all() as {
      name: string;
      type: string;
      notnull: number;
    }[];
    expect(made.map((row) => [row.name, row.type.toLowerCase(), row.notnull === 1])).toEqual(
      columns.map((column) => [column.name, column.getSQLType(), column.notNull]),
    );
  }
});

test("a database of a newer version is left alone", async () => {
  const dataDir = freshDir();
  const path = join(dataDir, "fleet.sqlite");
  new Database(path).run(`PRAGMA user_version = ${SQLITE_MIGRATIONS.length + 1}`);

  const error = await openFleetDatabase({ dataDir, url: null }).catch((error: unknown) => error);

  expect(isDfError(error, "denied")).toBe(true);
});

test("a file that is no database is refused, not replaced", async () => {
  const dataDir = freshDir();
  const path = join(dataDir, "fleet.sqlite");
  await Bun.write(path, "garbage ".repeat(1_000));

  const error = await openFleetDatabase({ dataDir, url: null }).catch((error: unknown) => error);

  expect(isDfError(error, "file-unwritable")).toBe(true);
  expect(await Bun.file(path).text()).toBe("garbage ".repeat(1_000));
});

test.each(["mysql://h/d", "fleet.sqlite"])("%s is no --database", async (url) => {
  const error = await openFleetDatabase({ dataDir: "", url }).catch((error: unknown) => error);

  expect(isDfError(error, "usage")).toBe(true);
});

interface TableConfig {
  name: string;
  columns: {
    name: string;
    notNull: boolean;
    primary: boolean;
    isUnique: boolean;
    dataType: string;
  }[];
  primaryKeys: { columns: { name: string }[] }[];
  indexes: { config: { name?: string | undefined; columns: unknown[] } }[];
}

/** What must be equal; `custom` is JSON as text in PostgreSQL. */
function describeTable({ name, columns, primaryKeys, indexes }: TableConfig) {
  return {
    name,
    columns: columns.map((column) => [
      ...[column.name, column.notNull, column.primary, column.isUnique],
      column.dataType === "custom" ? "json" : column.dataType,
    ]),
    keys: primaryKeys.map((key) => key.columns.map((column) => column.name)),
    indexes: indexes.map(({ config }) => [
      config.name,
      config.columns.map((column) => (column as { name: string }).name),
    ]),
  };
}

test("what is told of a failed query never repeats its parameters", () => {
  const cause = new Error("connection lost");
  const failed = new DrizzleQueryError("insert into hosts values ($1)", ["secret-name"], cause);

  const told = databaseError(failed)!;

  expect(told.code).toBe("unavailable");
  expect(told.cause).toBe(cause);
  expect(withoutQuery(failed)).toBe(cause);
});
