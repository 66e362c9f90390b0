// What the store remembers over a restart: contents, manifest rows, which pieces are verified, and
// whether the last stop was clean. Changes gather and are written in one transaction per interval.
//
// It is written after the fact and without fsync: a crash loses the last interval, whose pieces
// are then fetched again; a power loss leaves doubt, and doubtful pieces are hashed before use.

import { and, eq, sql } from "drizzle-orm";
import type { KeptAnswer } from "../engine/core/freshness.ts";
import { plainRow, type PieceRow, sameBytes, wireFormOf } from "../engine/core/manifest.ts";
import { JOURNAL_INTERVAL_MS } from "../limits.ts";
import { messageOf } from "../errors.ts";
import { openDatabase, type StoreDatabase } from "./database.ts";
import { CommitLog } from "./commit-log.ts";
import { writeError } from "./file-errors.ts";
import type { ContentDigests, ContentFacts } from "./piece-store.ts";
import { contents, pieces, pins, signatures, stops } from "./schema.ts";

/** After a failed transaction: a full disk is not asked five times a second. */
const RETRY_INTERVAL_MS = 5_000;

/** Without a transaction for so long the log is folded into the database, which syncs. */
const QUIET_MS = 5_000;

/** What may change about a content, asked for when the transaction is written. */
export interface ContentState {
  readonly length: number | null;
  readonly have: Uint8Array;
  readonly digests: ContentDigests | null;
  readonly wholeSignature: Uint8Array | null;
  readonly dataStamp: string | null;
  readonly answer: KeptAnswer | null;
  readonly usedAt: number;
}

/** A content as the last process left it. */
export interface ContentRecord extends Omit<ContentState, "answer"> {
  readonly facts: ContentFacts;
  readonly rows: readonly { index: number; row: PieceRow }[];
  readonly createdAt: number;
  readonly signatures: readonly { group: number; signature: Uint8Array }[];
  readonly pins: readonly { reason: string; expiresAt: number }[];
}

interface PendingRow {
  contentId: string;
  index: number;
  row: PieceRow;
}

interface PendingSignature {
  contentId: string;
  group: number;
  signature: Uint8Array;
}

export class Journal {
  /** Whether the process before closed the store. */
  readonly wasClean: boolean;
  readonly #database: StoreDatabase;
  readonly #path: string;
  readonly #onWarning: (message: string) => void;
  readonly #log: CommitLog;
  readonly #insertRow: ReturnType<typeof prepareInsertRow>;
  readonly #insertSignature: ReturnType<typeof prepareInsertSignature>;
  readonly #updateContent: ReturnType<typeof prepareUpdateContent>;
  #rows: PendingRow[] = [];
  #signatures: PendingSignature[] = [];
  readonly #changed = new Map<string, () => ContentState>();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #quietTimer: ReturnType<typeof setTimeout> | null = null;

  /** @throws {DfError} file-unwritable */
  constructor(path: string, onWarning: (message: string) => void) {
    this.#path = path;
    this.#onWarning = onWarning;
    this.#database = openDatabase(path, onWarning);
    this.#log = new CommitLog(`${path}-commits`);
    this.#insertRow = prepareInsertRow(this.#database);
    this.#insertSignature = prepareInsertSignature(this.#database);
    this.#updateContent = prepareUpdateContent(this.#database);
    this.wasClean = this.#database.db.select().from(stops).get()?.wasClean ?? false;
    this.#markStop(false);
  }

  load(): ContentRecord[] {
    const { db } = this.#database;
    const rowsByContent = new Map<string, { index: number; row: PieceRow }[]>();
    for (const record of db.select().from(pieces).all()) {
      const rows = rowsByContent.get(record.contentId) ?? [];
      rowsByContent.set(record.contentId, rows);
      rows.push({ index: record.pieceIndex, row: rowOf(record) });
    }
    const records = db.select().from(contents).all();
    const pinned = db.select().from(pins).all();
    const signed = Map.groupBy(db.select().from(signatures).all(), ({ contentId }) => contentId);
    const bitsOf = new Map(records.map(({ contentId, have }) => [contentId, have.length * 8]));
    for (const logged of this.#log.found) {
      const { contentId, index, row } = logged;
      const rows = rowsByContent.get(contentId) ?? [];
      // Past the bitmap: a content of unknown length grew since. That piece is fetched again.
      if (index >= (bitsOf.get(contentId) ?? 0)) continue;
      const known = rows.find((other) => other.index === index);
      if (known !== undefined && sameBytes(known.row.wireSha256, row.wireSha256)) continue;
      // A row that was replaced: the log is never older than the last transaction.
      rowsByContent.set(contentId, [...rows.filter((other) => other !== known), { index, row }]);
      this.noteRow(contentId, index, row);
    }
    return records.map(
      ({
        contentId,
        taskId,
        url,
        length,
        pieceLength,
        validator,
        lastModified,
        answer,
        isPrivate,
        md5,
        sha256,
        ...rest
      }) => ({
        facts: {
          contentId,
          taskId,
          url,
          layout: { length, pieceLength },
          validator,
          lastModified,
          answer: parseAnswer(answer),
          ...(isPrivate ? { isPrivate } : {}),
        },
        length,
        have: new Uint8Array(rest.have),
        digests: md5 === null ? null : { md5, sha256 },
        dataStamp: rest.dataStamp,
        usedAt: rest.usedAt,
        createdAt: rest.createdAt,
        wholeSignature: rest.wholeSignature === null ? null : new Uint8Array(rest.wholeSignature),
        rows: rowsByContent.get(contentId) ?? [],
        signatures: (signed.get(contentId) ?? []).map(({ groupIndex, signature }) => {
          return { group: groupIndex, signature: new Uint8Array(signature) };
        }),
        pins: pinned.filter((pin) => pin.contentId === contentId),
      }),
    );
  }

  /** Notes a new content, at once: its data file must never be without an entry. @throws {DfError} no-space, file-unwritable */
  insert(facts: ContentFacts, state: ContentState, createdAt: number): void {
    const { layout, ...names } = facts;
    this.#attempt(() =>
      this.#database.db
        .insert(contents)
        .values({ ...names, pieceLength: layout.pieceLength, createdAt, ...columnsOf(state) })
        .run(),
    );
  }

  /** @throws {DfError} no-space, file-unwritable */
  remove(contentId: string): void {
    this.#changed.delete(contentId);
    this.#rows = this.#rows.filter((pending) => pending.contentId !== contentId);
    this.#signatures = this.#signatures.filter((pending) => pending.contentId !== contentId);
    this.#attempt(() =>
      this.#database.db.delete(contents).where(eq(contents.contentId, contentId)).run(),
    );
  }

  /** Notes at once that a content is to be kept. @throws {DfError} no-space, file-unwritable */
  pin(contentId: string, reason: string, expiresAt: number): void {
    this.#attempt(() =>
      this.#database.db
        .insert(pins)
        .values({ contentId, reason, expiresAt })
        .onConflictDoUpdate({ target: [pins.contentId, pins.reason], set: { expiresAt } })
        .run(),
    );
  }

  /** @throws {DfError} no-space, file-unwritable */
  unpin(contentId: string, reason: string): void {
    const isIt = and(eq(pins.contentId, contentId), eq(pins.reason, reason));
    this.#attempt(() => this.#database.db.delete(pins).where(isIt).run());
  }

  noteRow(contentId: string, index: number, row: PieceRow): void {
    this.#rows.push({ contentId, index, row });
    this.#arm(JOURNAL_INTERVAL_MS);
  }

  noteSignature(contentId: string, group: number, signature: Uint8Array): void {
    this.#signatures.push({ contentId, group, signature });
    this.#arm(JOURNAL_INTERVAL_MS);
  }

  /** Notes a verified piece where a kill cannot reach it; the journal itself follows. */
  noteCommit(contentId: string, index: number, row: PieceRow): void {
    this.#log.add(contentId, index, row);
  }

  noteChange(contentId: string, state: () => ContentState): void {
    this.#changed.set(contentId, state);
    this.#arm(JOURNAL_INTERVAL_MS);
  }

  /** Writes what has gathered. On failure it warns, keeps it and tries again later. */
  flush(): void {
    try {
      this.#write();
    } catch (error) {
      this.#onWarning(
        `${messageOf(error)}; downloads go on, a restart would fetch the last pieces again`,
      );
      this.#arm(RETRY_INTERVAL_MS);
    }
  }

  /** @throws {DfError} no-space, file-unwritable: then the stop does not count as clean */
  close(): void {
    try {
      this.#write();
      this.#attempt(() => this.#markStop(true));
    } finally {
      this.#disarm();
      if (this.#quietTimer !== null) clearTimeout(this.#quietTimer);
      this.#database.sqlite.close();
      this.#log.close();
    }
  }

  #write(): void {
    this.#disarm();
    const isIdle = this.#rows.length + this.#signatures.length + this.#changed.size === 0;
    if (isIdle) return;
    this.#attempt(() =>
      this.#database.db.transaction(() => {
        for (const { contentId, index, row } of this.#rows) {
          const seal = row.seal ?? { nonce: null, tag: null };
          this.#insertRow.run({ contentId, index, ...row, ...seal });
        }
        for (const { group, ...rest } of this.#signatures)
          this.#insertSignature.run({ groupIndex: group, ...rest });
        for (const [contentId, state] of this.#changed) {
          this.#updateContent.run({ contentId, ...columnsOf(state()) });
        }
      }),
    );
    this.#rows = [];
    this.#signatures = [];
    this.#changed.clear();
    this.#attempt(() => this.#log.clear());
    this.#awaitQuiet();
  }

  #awaitQuiet(): void {
    this.#quietTimer ??= setTimeout(() => {
      this.#quietTimer = null;
      try {
        this.#attempt(() => this.#database.sqlite.run("PRAGMA wal_checkpoint(TRUNCATE)"));
      } catch (error) {
        this.#onWarning(messageOf(error));
      }
    }, QUIET_MS);
    this.#quietTimer.refresh();
    this.#quietTimer.unref();
  }

  /** Durable at once: a power loss must not bring an older answer back. */
  #markStop(wasClean: boolean): void {
    const { sqlite, db } = this.#database;
    sqlite.run("PRAGMA synchronous = FULL");
    db.update(stops).set({ wasClean }).run();
    sqlite.run("PRAGMA synchronous = NORMAL");
  }

  #attempt(work: () => unknown): void {
    try {
      work();
    } catch (error) {
      throw writeError(`write store index ${this.#path}`, error);
    }
  }

  #arm(delayMs: number): void {
    this.#timer ??= setTimeout(() => this.flush(), delayMs);
  }

  #disarm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/** Prepared once: a fast swarm journals hundreds of rows per transaction. */
function prepareInsertRow({ db }: StoreDatabase) {
  return (
    db
      .insert(pieces)
      .values({
        contentId: sql.placeholder("contentId"),
        pieceIndex: sql.placeholder("index"),
        zstdLevel: sql.placeholder("zstdLevel"),
        wireLength: sql.placeholder("wireLength"),
        plainLength: sql.placeholder("plainLength"),
        wireSha256: sql.placeholder("wireSha256"),
        plainSha256: sql.placeholder("plainSha256"),
        nonce: sql.placeholder("nonce"),
        tag: sql.placeholder("tag"),
      })
      // A second row for a piece is the owner's, of another form.
      .onConflictDoUpdate({
        target: [pieces.contentId, pieces.pieceIndex],
        set: {
          zstdLevel: sql`excluded.zstd_level`,
          wireLength: sql`excluded.wire_length`,
          wireSha256: sql`excluded.wire_sha256`,
          nonce: sql`excluded.nonce`,
          tag: sql`excluded.tag`,
        },
      })
      .prepare()
  );
}

function rowOf(record: typeof pieces.$inferSelect): PieceRow {
  const { zstdLevel, wireLength, plainLength, nonce, tag } = record;
  const wireSha256 = new Uint8Array(record.wireSha256);
  if (zstdLevel === 0 && nonce === null) return plainRow(wireLength, wireSha256);
  const plainSha256 = new Uint8Array(record.plainSha256);
  const seal =
    nonce === null || tag === null
      ? null
      : { nonce: new Uint8Array(nonce), tag: new Uint8Array(tag) };
  const form = wireFormOf({ zstdLevel, seal });
  return { form, zstdLevel, wireLength, plainLength, wireSha256, plainSha256, seal };
}

function prepareInsertSignature({ db }: StoreDatabase) {
  return db
    .insert(signatures)
    .values({
      contentId: sql.placeholder("contentId"),
      groupIndex: sql.placeholder("groupIndex"),
      signature: sql.placeholder("signature"),
    })
    .onConflictDoUpdate({
      target: [signatures.contentId, signatures.groupIndex],
      set: { signature: sql`excluded.signature` },
    })
    .prepare();
}

/** Prepared once: building an update costs more than running it. */
function prepareUpdateContent({ db }: StoreDatabase) {
  return db
    .update(contents)
    .set({
      length: sql`${sql.placeholder("length")}`,
      have: sql`${sql.placeholder("have")}`,
      md5: sql`${sql.placeholder("md5")}`,
      sha256: sql`${sql.placeholder("sha256")}`,
      wholeSignature: sql`${sql.placeholder("wholeSignature")}`,
      dataStamp: sql`${sql.placeholder("dataStamp")}`,
      answer: sql`${sql.placeholder("answer")}`,
      usedAt: sql`${sql.placeholder("usedAt")}`,
    })
    .where(eq(contents.contentId, sql.placeholder("contentId")))
    .prepare();
}

function columnsOf(state: ContentState) {
  return {
    length: state.length,
    have: Buffer.from(state.have),
    md5: state.digests?.md5 ?? null,
    sha256: state.digests?.sha256 ?? null,
    wholeSignature: state.wholeSignature === null ? null : Buffer.from(state.wholeSignature),
    dataStamp: state.dataStamp,
    answer: state.answer === null ? null : JSON.stringify(state.answer),
    usedAt: state.usedAt,
  };
}

/** Damaged text costs a question to the source, not the content. */
function parseAnswer(text: string | null): KeptAnswer | null {
  if (text === null) return null;
  try {
    return JSON.parse(text) as KeptAnswer;
  } catch {
    return null;
  }
}
