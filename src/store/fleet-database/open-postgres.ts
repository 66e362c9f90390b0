// The fleet's database in PostgreSQL: for several replicas of `df config` that serve one fleet.

import { SQL } from "bun";
import { drizzle } from "drizzle-orm/bun-sql";
import { DfError, messageOf } from "../../errors.ts";
import type { FleetDatabase } from "./fleet-database.ts";
import { POSTGRES_MIGRATIONS, refuseNewerSchema, refuseOtherSchema } from "./migrations.ts";
import type { OpenOptions } from "./open-sqlite.ts";
import { postgresTables } from "./postgres-schema.ts";

/** Statements are short; more connections would only wait for each other's rows. */
const CONNECTIONS_MAX = 8;

/** A database that does not answer by then is down: the caller says so instead of hanging. */
const CONNECT_TIMEOUT_SECONDS = 5;

/** Advisory lock under which one replica at a time migrates: "dffleet" on a telephone's keys. */
const MIGRATION_LOCK = 3_335_338;

/** One point in time for all statements. */
const SNAPSHOT = "ISOLATION LEVEL REPEATABLE READ READ ONLY";

/**
 * Connects and migrates.
 * @throws {DfError} usage, unavailable, denied (another version's schema)
 */
export async function openPostgres(
  url: string,
  { isReadOnly }: OpenOptions,
): Promise<FleetDatabase> {
  const place = describe(url);
  const client = new SQL({
    url,
    max: CONNECTIONS_MAX,
    connectionTimeout: CONNECT_TIMEOUT_SECONDS,
  });
  try {
    if (isReadOnly) refuseOtherSchema(await versionOf(client));
    else await migrate(client);
  } catch (cause) {
    await client.close({ timeout: 0 });
    if (cause instanceof DfError) throw cause;
    throw new DfError("unavailable", `open the fleet's database ${place}: ${messageOf(cause)}`, {
      cause,
      hint: "check --database, that PostgreSQL runs there, and the user's rights",
    });
  }
  return databaseOf(client);
}

function databaseOf(client: SQL): FleetDatabase {
  return {
    dialect: "postgres",
    ...queriesOf(client),
    transaction: (mode, work) =>
      client.begin(mode === "read" ? SNAPSHOT : "", (tx) =>
        work({
          dialect: "postgres",
          ...queriesOf(tx),
          transaction: () => {
            throw new Error("bug: a transaction within a transaction");
          },
          ...{ persist: async () => {}, close: async () => {} },
        }),
      ),
    // PostgreSQL commits to disk.
    persist: async () => {},
    close: () => client.close({ timeout: 1 }),
  };
}

/** Queries are typed as SQLite's (fleet-database.ts); the schemas are kept equal by a test. */
function queriesOf(client: SQL): Pick<FleetDatabase, "db" | "tables"> {
  return { db: drizzle(client), tables: postgresTables } as unknown as FleetDatabase;
}

async function migrate(client: SQL): Promise<void> {
  await client.begin(async (tx) => {
    await tx`SELECT pg_advisory_xact_lock(${MIGRATION_LOCK})`;
    await tx`CREATE TABLE IF NOT EXISTS fleet_schema (version integer NOT NULL)`;
    const version = await versionOf(tx);
    refuseNewerSchema(version);
    for (const migration of POSTGRES_MIGRATIONS.slice(version)) await tx.unsafe(migration);
    await tx`DELETE FROM fleet_schema`;
    await tx`INSERT INTO fleet_schema (version) VALUES (${POSTGRES_MIGRATIONS.length})`;
  });
}

async function versionOf(client: SQL): Promise<number> {
  const [row] = (await client`SELECT version FROM fleet_schema`) as { version: number }[];
  return row?.version ?? 0;
}

/** Host and database, never user and password. @throws {DfError} usage */
function describe(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !/^postgres(?:ql)?:$/.test(parsed.protocol)) {
    throw new DfError("usage", "read --database: not a PostgreSQL URL", {
      hint: "write postgres://USER:PASSWORD@HOST/DATABASE, or leave it out for SQLite",
    });
  }
  return `${parsed.host}${parsed.pathname}`;
}
