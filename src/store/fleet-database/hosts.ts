// Queries about hosts and the supernodes that they have a channel to.

import { and, asc, type Column, eq, gt, inArray, lt, ne, type SQL, sql } from "drizzle-orm";
import { type FleetDatabase, INSERT_ROWS_MAX, proposed } from "./fleet-database.ts";
import type { FleetTables } from "./sqlite-schema.ts";

export type HostRow = FleetTables["hosts"]["$inferSelect"];

/** All that are given must hold. */
export interface HostFilter {
  cluster?: string | undefined;
  version?: string | undefined;
  /** Part of the host name, not empty. */
  hostname?: string | undefined;
  labels?: Readonly<Record<string, string>> | undefined;
  seenSince?: number | undefined;
}

export interface Page {
  /** Hosts above this ID; "" from the first. */
  after: string;
  rowsMax: number;
}

/** By ID, so that pages neither repeat nor miss a host that stays. */
export async function listHosts(
  { db, tables }: FleetDatabase,
  filter: HostFilter,
  { after, rowsMax }: Page,
): Promise<HostRow[]> {
  const { hosts } = tables;
  return await db
    .select()
    .from(hosts)
    .where(and(gt(hosts.hostId, after), ...conditionsOf(tables, filter)))
    .orderBy(asc(hosts.hostId))
    .limit(rowsMax);
}

export async function countHosts(
  { db, tables }: FleetDatabase,
  filter: HostFilter,
): Promise<number> {
  const [row] = await db
    .select({ count: sql<number>`count(*)`.mapWith(Number) })
    .from(tables.hosts)
    .where(and(...conditionsOf(tables, filter)));
  return row?.count ?? 0;
}

export async function findHost(
  { db, tables }: FleetDatabase,
  hostId: string,
): Promise<HostRow | undefined> {
  const [row] = await db.select().from(tables.hosts).where(eq(tables.hosts.hostId, hostId));
  return row;
}

/** Adds or renews hosts. @param rows at most INSERT_ROWS_MAX, each host once */
export async function saveHosts(
  { db, tables }: FleetDatabase,
  rows: readonly HostRow[],
): Promise<void> {
  if (rows.length === 0) return;
  const { hosts } = tables;
  await db
    .insert(hosts)
    // Replicas lock rows in one order: no deadlocks.
    .values(rows.toSorted((a, b) => (a.hostId < b.hostId ? -1 : 1)))
    .onConflictDoUpdate({
      target: hosts.hostId,
      set: {
        hostname: proposed(hosts.hostname),
        addresses: proposed(hosts.addresses),
        labels: proposed(hosts.labels),
        version: proposed(hosts.version),
        cluster: proposed(hosts.cluster),
        seenAt: proposed(hosts.seenAt),
      },
    });
}

/** Forgets hosts that did not ask since. */
export async function forgetHosts({ db, tables }: FleetDatabase, before: number): Promise<void> {
  await db.delete(tables.hosts).where(lt(tables.hosts.seenAt, before));
}

/** Returns false when there is none of that ID. */
export async function forgetHost({ db, tables }: FleetDatabase, hostId: string): Promise<boolean> {
  const { hosts } = tables;
  const gone = await db
    .delete(hosts)
    .where(eq(hosts.hostId, hostId))
    .returning({ hostId: hosts.hostId });
  return gone.length > 0;
}

/** Notes which hosts came to a supernode and which left it. */
export async function saveChannels(
  { db, tables }: FleetDatabase,
  supernodeId: string,
  { arrived, gone }: { arrived: readonly string[]; gone: readonly string[] },
): Promise<void> {
  const { hostChannels } = tables;
  for (const hostIds of slices(gone)) {
    await db
      .delete(hostChannels)
      .where(and(eq(hostChannels.supernodeId, supernodeId), inArray(hostChannels.hostId, hostIds)));
  }
  for (const hostIds of slices(arrived)) {
    await db
      .insert(hostChannels)
      .values(hostIds.map((hostId) => ({ hostId, supernodeId })))
      .onConflictDoNothing();
  }
}

/** A supernode that is gone has no channels. */
export async function forgetChannels(
  { db, tables }: FleetDatabase,
  supernodeIds: readonly string[],
): Promise<void> {
  if (supernodeIds.length === 0) return;
  const { hostChannels } = tables;
  await db.delete(hostChannels).where(inArray(hostChannels.supernodeId, [...supernodeIds]));
}

/** Supernodes by which each of these hosts can be reached; hosts without one are left out. */
export async function channelsOf(
  { db, tables }: FleetDatabase,
  hostIds: readonly string[],
): Promise<Map<string, string[]>> {
  const { hostChannels } = tables;
  const found = new Map<string, string[]>();
  for (const some of slices(hostIds)) {
    const rows = await db.select().from(hostChannels).where(inArray(hostChannels.hostId, some));
    for (const { hostId, supernodeId } of rows) {
      found.set(hostId, [...(found.get(hostId) ?? []), supernodeId]);
    }
  }
  return found;
}

function conditionsOf({ hosts }: FleetTables, filter: HostFilter): SQL[] {
  const { cluster, version, hostname, labels = {}, seenSince } = filter;
  return [
    ...(cluster === undefined ? [] : [eq(hosts.cluster, cluster)]),
    ...(version === undefined ? [] : [eq(hosts.version, version)]),
    ...(hostname === undefined ? [] : [contains(hosts.hostname, hostname)]),
    ...(seenSince === undefined ? [] : [gt(hosts.seenAt, seenSince)]),
    ...Object.entries(labels).map(([key, value]) => hasLabel(hosts.labels, key, value)),
  ];
}

/**
 * Whether the column's JSON text has the member. It is written by JSON.stringify, so the member looks
 * the same in each text, and no value can look like one: its quotes are escaped.
 */
function hasLabel(column: Column, key: string, value: string): SQL {
  return contains(column, `${JSON.stringify(key)}:${JSON.stringify(value)}`);
}

/** Taking the part out changes the text only where it is: so both dialects compare alike, case and all. */
function contains(column: Column, part: string): SQL {
  return ne(sql`replace(${column}, ${part}, '')`, column);
}

function* slices(items: readonly string[]): Generator<string[]> {
  for (let at = 0; at < items.length; at += INSERT_ROWS_MAX) {
    yield items.slice(at, at + INSERT_ROWS_MAX);
  }
}
