// The fleet's tables in SQLite. postgres-schema.ts says the same in the other dialect; a test keeps
// them and the SQL in migrations/ equal. Queries are written once, against these types.
//
// Instants (`…At`) are Unix milliseconds. Secrets are never stored: tokens as SHA-256, headers sealed.

import { index, integer, primaryKey, sqliteTable, text } from "drizzle-orm/sqlite-core";
import type {
  HostAddresses,
  LabelMap,
  RuleConditions,
  SupernodeReport,
  ZonedAddressRow,
} from "./column-shapes.ts";

/** One row: what the fleet is as a whole. */
const fleet = sqliteTable("fleet", {
  id: integer("id").primaryKey(),
  /** Grows, by triggers, with every change that may change a host's list of supernodes. */
  routesVersion: integer("routes_version").notNull(),
  /** SHA-256 of the fleet's public key, hex; null before the first start ended. */
  keyFingerprint: text("key_fingerprint"),
});

/** Work that one of several replicas does at a time, e.g. the schedule of preheats. */
const workLeases = sqliteTable("work_leases", {
  name: text("name").primaryKey(),
  holder: text("holder").notNull(),
  expiresAt: integer("expires_at").notNull(),
});

const clusters = sqliteTable("clusters", {
  name: text("name").primaryKey(),
  labels: text("labels", { mode: "json" }).$type<LabelMap>().notNull(),
  /** Where its supernodes get contents instead of from sources. */
  upstream: text("upstream"),
  createdAt: integer("created_at").notNull(),
});

const routingRules = sqliteTable("routing_rules", {
  id: text("id").primaryKey(),
  /** The highest that matches decides. */
  priority: integer("priority").notNull(),
  conditions: text("conditions", { mode: "json" }).$type<RuleConditions>().notNull(),
  /** Names in order of preference. */
  clusters: text("clusters", { mode: "json" }).$type<string[]>().notNull(),
  comment: text("comment").notNull(),
  createdAt: integer("created_at").notNull(),
});

const supernodes = sqliteTable("supernodes", {
  hostId: text("host_id").primaryKey(),
  cluster: text("cluster").notNull(),
  hostname: text("hostname").notNull(),
  version: text("version").notNull(),
  /** Empty until its first heartbeat. */
  addresses: text("addresses", { mode: "json" }).$type<ZonedAddressRow[]>().notNull(),
  /** Its own; they count before its cluster's. */
  labels: text("labels", { mode: "json" }).$type<LabelMap>().notNull(),
  /** Only an alive one is in any list. */
  state: text("state").$type<"joined" | "alive" | "silent" | "left" | "removed">().notNull(),
  leaseExpiresAt: integer("lease_expires_at").notNull(),
  heartbeatAt: integer("heartbeat_at"),
  /** What its last heartbeat told; null before the first. */
  report: text("report", { mode: "json" }).$type<SupernodeReport>(),
  joinedAt: integer("joined_at").notNull(),
  /** Whether its addresses speak TLS. */
  isTls: integer("is_tls", { mode: "boolean" }).notNull().default(false),
});

const hosts = sqliteTable(
  "hosts",
  {
    hostId: text("host_id").primaryKey(),
    hostname: text("hostname").notNull(),
    addresses: text("addresses", { mode: "json" }).$type<HostAddresses>().notNull(),
    labels: text("labels", { mode: "json" }).$type<LabelMap>().notNull(),
    version: text("version").notNull(),
    /** Of its credential; null for one that asked without. */
    cluster: text("cluster"),
    firstSeenAt: integer("first_seen_at").notNull(),
    /** When it last asked for routes, to within half a minute. */
    seenAt: integer("seen_at").notNull(),
  },
  (table) => [index("hosts_seen_at").on(table.seenAt)],
);

/** Which hosts have an open swarm channel to which supernode: the way commands take. */
const hostChannels = sqliteTable(
  "host_channels",
  {
    hostId: text("host_id").notNull(),
    supernodeId: text("supernode_id").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.hostId, table.supernodeId] }),
    index("host_channels_supernode_id").on(table.supernodeId),
  ],
);

const tokens = sqliteTable("tokens", {
  id: text("id").primaryKey(),
  kind: text("kind").$type<"admin" | "join">().notNull(),
  /** Hex. */
  secretSha256: text("secret_sha256").notNull(),
  /** What an administrator may do, or the only role that may join; null: a join token for both. */
  role: text("role").$type<"admin" | "operator" | "viewer" | "supernode" | "peer">(),
  /** Of a join token: the only cluster that it admits to; null: the joiner's wish. */
  cluster: text("cluster"),
  /** Of a join token: null is no limit. */
  usesMax: integer("uses_max"),
  useCount: integer("use_count").notNull(),
  comment: text("comment").notNull(),
  /** ID of the token by which it was made; null: the first start. */
  createdBy: text("created_by"),
  createdAt: integer("created_at").notNull(),
  usedAt: integer("used_at"),
  expiresAt: integer("expires_at"),
  revokedAt: integer("revoked_at"),
});

/** What was issued by a join, so that it can be revoked; a revoked row stays until it expires. */
const credentials = sqliteTable(
  "credentials",
  {
    /** `jti` of the JWT. */
    id: text("id").primaryKey(),
    hostId: text("host_id").notNull(),
    role: text("role").$type<"supernode" | "peer">().notNull(),
    cluster: text("cluster").notNull(),
    /** The join token; null: joined openly. */
    tokenId: text("token_id"),
    issuedAt: integer("issued_at").notNull(),
    expiresAt: integer("expires_at").notNull(),
    revokedAt: integer("revoked_at"),
  },
  (table) => [
    index("credentials_host_id").on(table.hostId),
    index("credentials_revoked_at").on(table.revokedAt),
  ],
);

/** Every version of the fleet's settings, whole; the highest counts. */
const settingsVersions = sqliteTable("settings_versions", {
  version: integer("version").primaryKey(),
  /** ID of the admin token. */
  author: text("author").notNull(),
  comment: text("comment").notNull(),
  createdAt: integer("created_at").notNull(),
  /** All scopes: fleet, clusters by name, label selectors. */
  layers: text("layers", { mode: "json" }).$type<unknown>().notNull(),
});

const preheatJobs = sqliteTable(
  "preheat_jobs",
  {
    id: text("id").primaryKey(),
    /** The same request sent again finds the job it made. */
    idempotencyKey: text("idempotency_key").unique(),
    /** URLs, scope, options as asked; never headers with secrets. */
    request: text("request", { mode: "json" }).$type<unknown>().notNull(),
    /** Compact JWE. */
    sealedHeaders: text("sealed_headers"),
    state: text("state").notNull(),
    author: text("author").notNull(),
    createdAt: integer("created_at").notNull(),
    updatedAt: integer("updated_at").notNull(),
    /** Of the present round: later its commands are no longer wanted. */
    expiresAt: integer("expires_at").notNull(),
    /** Grows each time that a job kept fresh is done again. */
    round: integer("round").notNull(),
    /** Null: never again. */
    nextRunAt: integer("next_run_at"),
    error: text("error", { mode: "json" }).$type<unknown>(),
  },
  (table) => [index("preheat_jobs_state").on(table.state)],
);

/** One URL on one machine. */
const preheatTargets = sqliteTable(
  "preheat_targets",
  {
    jobId: text("job_id").notNull(),
    /** Index of the URL in the job. */
    itemIndex: integer("item_index").notNull(),
    hostId: text("host_id").notNull(),
    role: text("role").$type<"supernode" | "peer">().notNull(),
    /** ID of the command sent; (command, host) is idempotent. */
    commandId: text("command_id").notNull(),
    /** The supernode that passes it on, or that is the target; null: none is known now. */
    supernodeId: text("supernode_id"),
    state: text("state").notNull(),
    attemptCount: integer("attempt_count").notNull(),
    doneBytes: integer("done_bytes").notNull(),
    length: integer("length"),
    error: text("error", { mode: "json" }).$type<unknown>(),
    updatedAt: integer("updated_at").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.jobId, table.itemIndex, table.hostId] }),
    index("preheat_targets_supernode_id").on(table.supernodeId, table.state),
    index("preheat_targets_command_id").on(table.commandId, table.hostId),
  ],
);

export const sqliteTables = {
  fleet,
  workLeases,
  clusters,
  routingRules,
  supernodes,
  hosts,
  hostChannels,
  tokens,
  credentials,
  settingsVersions,
  preheatJobs,
  preheatTargets,
};

export type FleetTables = typeof sqliteTables;
