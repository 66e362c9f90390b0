// The tables of the store's SQLite file, as drizzle sees them. The SQL that makes them is in
// migrations/; a change here needs a new file there.

import { blob, integer, primaryKey, sqliteTable, text } from "drizzle-orm/sqlite-core";

export const contents = sqliteTable("contents", {
  contentId: text("content_id").primaryKey(),
  taskId: text("task_id").notNull(),
  /** Without user info. */
  url: text("url").notNull(),
  /** Null until a source that gave no length was read to its end. */
  length: integer("length"),
  pieceLength: integer("piece_length").notNull(),
  validator: text("validator"),
  lastModified: text("last_modified"),
  /** Hex; set when the content is complete. */
  md5: text("md5"),
  sha256: text("sha256"),
  /** Bitmap of verified pieces, as PieceSet.toBytes. */
  have: blob("have", { mode: "buffer" }).notNull(),
  /** The fleet's over the whole, 64 bytes; null: none is known. */
  wholeSignature: blob("whole_signature", { mode: "buffer" }),
  /** Size, mtime and ctime of the data file when all of `have` was last known to be right. */
  dataStamp: text("data_stamp"),
  /** A KeptAnswer as JSON; null: written before answers were kept, or none is known. */
  answer: text("answer"),
  isPrivate: integer("is_private", { mode: "boolean" }).notNull().default(false),
  /** Unix milliseconds. */
  createdAt: integer("created_at").notNull(),
  usedAt: integer("used_at").notNull(),
});

/** Manifest rows; a row may be there before its piece. */
export const pieces = sqliteTable(
  "pieces",
  {
    contentId: text("content_id").notNull(),
    pieceIndex: integer("piece_index").notNull(),
    /** 0: not compressed. */
    zstdLevel: integer("zstd_level").notNull(),
    wireLength: integer("wire_length").notNull(),
    plainLength: integer("plain_length").notNull(),
    wireSha256: blob("wire_sha256", { mode: "buffer" }).notNull(),
    plainSha256: blob("plain_sha256", { mode: "buffer" }).notNull(),
    /** Both null: not sealed. */
    nonce: blob("nonce", { mode: "buffer" }),
    tag: blob("tag", { mode: "buffer" }),
  },
  (table) => [primaryKey({ columns: [table.contentId, table.pieceIndex] })],
);

/** The fleet's signatures over groups of manifest rows, 64 bytes each. */
export const signatures = sqliteTable(
  "signatures",
  {
    contentId: text("content_id").notNull(),
    groupIndex: integer("group_index").notNull(),
    signature: blob("signature", { mode: "buffer" }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.contentId, table.groupIndex] })],
);

/** Who wants a content kept, and until when (Unix milliseconds). */
export const pins = sqliteTable(
  "pins",
  {
    contentId: text("content_id").notNull(),
    reason: text("reason").notNull(),
    expiresAt: integer("expires_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.contentId, table.reason] })],
);

/** One row: whether the last process closed the store. */
export const stops = sqliteTable("stops", {
  id: integer("id").primaryKey(),
  wasClean: integer("was_clean", { mode: "boolean" }).notNull(),
});
