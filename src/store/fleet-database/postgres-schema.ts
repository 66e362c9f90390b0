// The fleet's tables in PostgreSQL; see sqlite-schema.ts for what each column means. JSON is text here
// too, so that one query serves both dialects and a backup of one can be restored to the other.

import { bigint, boolean, customType, index, pgTable, primaryKey, text } from "drizzle-orm/pg-core";

const integer = (name: string) => bigint(name, { mode: "number" });

const json = customType<{ data: unknown; driverData: string }>({
  dataType: () => "text",
  toDriver: (value) => JSON.stringify(value),
  fromDriver: (text) => JSON.parse(text),
});

const fleet = pgTable("fleet", {
  id: integer("id").primaryKey(),
  routesVersion: integer("routes_version").notNull(),
  keyFingerprint: text("key_fingerprint"),
});

const workLeases = pgTable("work_leases", {
  name: text("name").primaryKey(),
  holder: text("holder").notNull(),
  expiresAt: integer("expires_at").notNull(),
});

const clusters = pgTable("clusters", {
  name: text("name").primaryKey(),
  labels: json("labels").notNull(),
  upstream: text("upstream"),
  createdAt: integer("created_at").notNull(),
});

const routingRules = pgTable("routing_rules", {
  id: text("id").primaryKey(),
  priority: integer("priority").notNull(),
  conditions: json("conditions").notNull(),
  clusters: json("clusters").notNull(),
  comment: text("comment").notNull(),
  createdAt: integer("created_at").notNull(),
});

const supernodes = pgTable("supernodes", {
  hostId: text("host_id").primaryKey(),
  cluster: text("cluster").notNull(),
  hostname: text("hostname").notNull(),
  version: text("version").notNull(),
  addresses: json("addresses").notNull(),
  labels: json("labels").notNull(),
  state: text("state").notNull(),
  leaseExpiresAt: integer("lease_expires_at").notNull(),
  heartbeatAt: integer("heartbeat_at"),
  report: json("report"),
  joinedAt: integer("joined_at").notNull(),
  isTls: boolean("is_tls").notNull().default(false),
});

const hosts = pgTable(
  "hosts",
  {
    hostId: text("host_id").primaryKey(),
    hostname: text("hostname").notNull(),
    addresses: json("addresses").notNull(),
    labels: json("labels").notNull(),
    version: text("version").notNull(),
    cluster: text("cluster"),
    firstSeenAt: integer("first_seen_at").notNull(),
    seenAt: integer("seen_at").notNull(),
  },
  (table) => [index("hosts_seen_at").on(table.seenAt)],
);

const hostChannels = pgTable(
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

const tokens = pgTable("tokens", {
  id: text("id").primaryKey(),
  kind: text("kind").notNull(),
  secretSha256: text("secret_sha256").notNull(),
  role: text("role"),
  cluster: text("cluster"),
  usesMax: integer("uses_max"),
  useCount: integer("use_count").notNull(),
  comment: text("comment").notNull(),
  createdBy: text("created_by"),
  createdAt: integer("created_at").notNull(),
  usedAt: integer("used_at"),
  expiresAt: integer("expires_at"),
  revokedAt: integer("revoked_at"),
});

const credentials = pgTable(
  "credentials",
  {
    id: text("id").primaryKey(),
    hostId: text("host_id").notNull(),
    role: text("role").notNull(),
    cluster: text("cluster").notNull(),
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

const settingsVersions = pgTable("settings_versions", {
  version: integer("version").primaryKey(),
  author: text("author").notNull(),
  comment: text("comment").notNull(),
  createdAt: integer("created_at").notNull(),
  layers: json("layers").notNull(),
});

const preheatJobs = pgTable(
  "preheat_jobs",
  {
    id: text("id").primaryKey(),
    idempotencyKey: text("idempotency_key").unique(),
    request: json("request").notNull(),
    sealedHeaders: text("sealed_headers"),
    state: text("state").notNull(),
    author: text("author").notNull(),
    createdAt: integer("created_at").notNull(),
    updatedAt: integer("updated_at").notNull(),
    expiresAt: integer("expires_at").notNull(),
    round: integer("round").notNull(),
    nextRunAt: integer("next_run_at"),
    error: json("error"),
  },
  (table) => [index("preheat_jobs_state").on(table.state)],
);

const preheatTargets = pgTable(
  "preheat_targets",
  {
    jobId: text("job_id").notNull(),
    itemIndex: integer("item_index").notNull(),
    hostId: text("host_id").notNull(),
    role: text("role").notNull(),
    commandId: text("command_id").notNull(),
    supernodeId: text("supernode_id"),
    state: text("state").notNull(),
    attemptCount: integer("attempt_count").notNull(),
    doneBytes: integer("done_bytes").notNull(),
    length: integer("length"),
    error: json("error"),
    updatedAt: integer("updated_at").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.jobId, table.itemIndex, table.hostId] }),
    index("preheat_targets_supernode_id").on(table.supernodeId, table.state),
    index("preheat_targets_command_id").on(table.commandId, table.hostId),
  ],
);

export const postgresTables = {
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
