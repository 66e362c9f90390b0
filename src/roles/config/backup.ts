// `df config backup FILE` and `restore FILE`: database and keys in one archive, which also moves a fleet
// from SQLite to PostgreSQL and back. The archive is gzip over lines of JSON:
//
//   {"format":"df-config-backup","version":1,"createdAt":…}
//   {"keys":{…}}
//   {"table":"clusters","row":{…}}        … one line a row, all of one point in time
//   {"end":<number of rows>}
//
// It holds the fleet's private key: whoever reads it can admit machines to the fleet.

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { constants, gunzip, gzip } from "node:zlib";
import { promisify } from "node:util";
import { z } from "zod";
import type { Secret } from "../../engine/bytes/secret.ts";
import { DfError, messageOf } from "../../errors.ts";
import {
  holdsFleet,
  keptTables,
  readAllRows,
  replaceAllRows,
  type TableRow,
} from "../../store/fleet-database/all-rows.ts";
import { databaseError, type FleetDatabase } from "../../store/fleet-database/fleet-database.ts";
import { openFleetDatabase } from "../../store/fleet-database/open-fleet-database.ts";
import { isAnyWorkLeased } from "../../store/fleet-database/work-leases.ts";
import { claimStateDir } from "../../store/state-dir.ts";
import { FleetKeys, type KeysDocument, keysSchema, readFleetKeys } from "./fleet-keys.ts";
import { writeSecretFile } from "./secret-file.ts";

export interface FleetPlace {
  dataDir: string;
  /** Null: SQLite in the data directory. */
  databaseUrl: Secret<string> | null;
  keysPath: string;
}

const FORMAT = "df-config-backup";
const VERSION = 1;

/** 200,000 rows with names and labels: what one process can hold. */
const ARCHIVE_BYTES_MAX = 1 << 30;

const headerSchema = z.object({
  format: z.literal(FORMAT),
  version: z.int(),
  createdAt: z.string(),
});
const keysLineSchema = z.strictObject({ keys: keysSchema });
const rowLineSchema = z.strictObject({
  table: z.string(),
  row: z.record(z.string(), z.unknown()),
});
const endLineSchema = z.strictObject({ end: z.int() });

/**
 * Writes the archive, mode 0600; `df config` may run meanwhile.
 * @returns what to tell the user
 * @throws {DfError} file-unreadable, file-unwritable, unavailable, denied
 */
export async function backUpFleet(place: FleetPlace, file: string): Promise<string> {
  const keys = readFleetKeys(place.keysPath);
  if (keys === undefined) {
    throw new DfError("file-unreadable", `read the fleet's keys ${place.keysPath}: no such file`, {
      hint: "name the data directory of the running df config with --data-dir, or its --keys",
    });
  }
  const database = await open(place, { isReadOnly: true });
  const lines = [JSON.stringify({ format: FORMAT, version: VERSION, createdAt: new Date() })];
  lines.push(JSON.stringify({ keys }));
  try {
    await readAllRows(database, (row) => lines.push(JSON.stringify(row)));
  } catch (error) {
    throw databaseError(error) ?? error;
  } finally {
    await database.close();
  }
  const rowCount = lines.length - 2;
  lines.push(JSON.stringify({ end: rowCount }));
  const options = { level: constants.Z_BEST_SPEED };
  const archive = await promisify(gzip)(`${lines.join("\n")}\n`, options);
  await writeSecretFile(file, archive);
  return `backed up ${rowCount} rows and the fleet's keys to ${file} (it is a secret: mode 0600)`;
}

/**
 * Puts the archive's fleet in the place of what is there. No `df config` may run on it.
 * @returns what to tell the user
 * @throws {DfError} file-unreadable, conflict (there is a fleet), denied, unavailable
 */
export async function restoreFleet(
  place: FleetPlace,
  file: string,
  { isReplacing }: { isReplacing: boolean },
): Promise<string> {
  const archive = await readArchive(file);
  const keys = await FleetKeys.from(archive.keys, file);
  const release = claimStateDir(place.dataDir);
  try {
    const database = await open(place, { isReadOnly: false });
    try {
      const isShared = place.databaseUrl !== null;
      if (isShared && (await isAnyWorkLeased(database, Date.now()))) throw stillServed();
      await refuseReplacing(place, database, isReplacing);
      refuseForeignRows(database, archive.rows, file);
      await replaceAllRows(database, archive.rows);
      await writeSecretFile(place.keysPath, `${JSON.stringify(keys.document)}\n`);
    } catch (error) {
      throw databaseError(error) ?? error;
    } finally {
      await database.close();
    }
  } finally {
    release();
  }
  return `restored ${archive.rows.length} rows and the fleet's keys of ${archive.createdAt}`;
}

interface Archive {
  createdAt: string;
  keys: KeysDocument;
  rows: TableRow[];
}

/** Nothing is changed before the whole archive was read. */
async function readArchive(file: string): Promise<Archive> {
  const damaged = (cause: unknown): DfError =>
    new DfError("file-unreadable", `read backup ${file}: it is damaged or not one`, { cause });
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    throw new DfError("file-unreadable", `read backup ${file}: ${messageOf(cause)}`, { cause });
  }
  try {
    const text = await promisify(gunzip)(bytes, { maxOutputLength: ARCHIVE_BYTES_MAX });
    const lines = text.toString("utf8").trimEnd().split("\n").map(parseLine);
    const { version, createdAt } = headerSchema.parse(lines.shift());
    if (version !== VERSION) throw newerArchive(file);
    const { keys } = keysLineSchema.parse(lines.shift());
    const { end } = endLineSchema.parse(lines.pop());
    const rows = lines.map((line) => rowLineSchema.parse(line));
    if (rows.length !== end) throw new Error(`${rows.length} rows of ${end}`);
    return { createdAt, keys, rows };
  } catch (cause) {
    throw cause instanceof DfError ? cause : damaged(cause);
  }
}

function parseLine(line: string): unknown {
  return JSON.parse(line);
}

function newerArchive(file: string): DfError {
  return new DfError("file-unreadable", `read backup ${file}: a newer version of df wrote it`, {
    hint: "use that version of df",
  });
}

function open(place: FleetPlace, options: { isReadOnly: boolean }): Promise<FleetDatabase> {
  return openFleetDatabase(
    { dataDir: place.dataDir, url: place.databaseUrl?.reveal() ?? null },
    options,
  );
}

/** SQLite's folder is locked; on PostgreSQL each replica shows itself. */
function stillServed(): DfError {
  return new DfError("conflict", "restore the fleet: a df config serves this database", {
    hint: "stop all of them first; one that was killed is waited for 15 s",
  });
}

/** @throws {DfError} conflict */
async function refuseReplacing(
  { keysPath }: FleetPlace,
  database: FleetDatabase,
  isReplacing: boolean,
): Promise<void> {
  if (isReplacing) return;
  const there = (await holdsFleet(database))
    ? "the database holds a fleet"
    : existsSync(keysPath) && `${keysPath} is there`;
  if (there === false) return;
  throw new DfError("conflict", `restore the fleet: ${there}`, {
    hint: "say --replace if its place is to be taken; back it up first",
  });
}

/** @throws {DfError} file-unreadable */
function refuseForeignRows(database: FleetDatabase, rows: readonly TableRow[], file: string): void {
  const known = new Set(keptTables(database));
  const foreign = rows.find(({ table }) => !known.has(table));
  if (foreign !== undefined) throw newerArchive(file);
}
