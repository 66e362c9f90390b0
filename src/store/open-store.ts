// The piece store on disk: finds what earlier processes left, makes and evicts contents.
//
//   DIR/lock                    held by the process that uses the directory
//   DIR/store.sqlite            contents, manifest rows, bitmaps
//   DIR/contents/ab/<id>        data files, sparse, wire form at natural offsets

import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Pacer } from "../engine/bytes/pacing.ts";
import type { DiskMarks } from "../engine/core/disk-marks.ts";
import { chooseEvictions } from "../engine/core/eviction.ts";
import { PieceSet } from "../engine/core/piece-set.ts";
import { DfError, messageOf } from "../errors.ts";
import { ContentOnDisk } from "./content-on-disk.ts";
import { isSound, pieceCountOfRecord } from "./content-record.ts";
import type { ContentSurroundings } from "./content-start.ts";
import { ContentsByDigest } from "./contents-by-digest.ts";
import { DataFiles } from "./data-files.ts";
import { DecodedPieces } from "./decoded-pieces.ts";
import { type DiskReport, DiskWatch } from "./disk-watch.ts";
import { Journal, type ContentRecord } from "./journal.ts";
import type { ContentFacts, PieceStore, StoreLimits, StoredContent } from "./piece-store.ts";
import { initialPieceCount } from "./shared-pieces.ts";
import { claimStateDir } from "./state-dir.ts";

export interface StoreOptions {
  /** Made when it is not there; must belong to this user alone. */
  dir: string;
  /** Contents beyond it are evicted by least recent use; null: only the disk limits. */
  quotaBytes: number | null;
  /** @defaultValue 95 % and 90 % of the disk in use */
  marks?: DiskMarks;
  onWarning: (message: string) => void;
  /** Told when pieces that were in doubt have been hashed: `have` now holds those that are right. */
  onVerified?: (content: StoredContent) => void;
  /** Told when the store dropped contents by itself, because the disk became too full. */
  onEvicted?: (contentIds: readonly string[]) => void;
  /** Limits writes and verification. @defaultValue no limit */
  diskPacer?: Pacer;
}

/** 5 % free is where file systems begin to slow down; 5 % more, so that not every content drops one. */
const DEFAULT_MARKS: DiskMarks = { high: 0.95, low: 0.9 };

/** Growth of contents of unknown length after which the disk is looked at. */
const GROWTH_BYTES_MAX = 64 << 20;

/** After a crash a large store is hashed in the background: a third of what one plain disk reads. */
const BACKGROUND_VERIFY_BYTES_PER_SEC = 64_000_000;

/**
 * Opens the store of one process.
 * @throws {DfError} denied (directory not ours, or in use), file-unwritable, file-unreadable
 */
export async function openStore(options: StoreOptions): Promise<PieceStore> {
  const release = claimStateDir(options.dir);
  try {
    const store = new DiskPieceStore(options, release);
    await store.load();
    return store;
  } catch (error) {
    release();
    throw error;
  }
}

class DiskPieceStore implements PieceStore {
  readonly #options: StoreOptions;
  readonly #release: () => void;
  readonly #journal: Journal;
  readonly #around: ContentSurroundings;
  readonly #files = new DataFiles();
  readonly #decoded = new DecodedPieces();
  readonly #contents = new Map<string, ContentOnDisk>();
  readonly #newestByTask = new Map<string, ContentOnDisk>();
  readonly #byDigest = new ContentsByDigest<ContentOnDisk>();
  readonly #creating = new Map<string, Promise<ContentOnDisk>>();
  readonly #removing = new Map<string, Promise<void>>();
  readonly #closing = new AbortController();
  readonly #watch: DiskWatch;
  #quotaBytes: number | null;
  #grownBytes = 0;
  #lastUse = 0;
  #verifyingAll: Promise<void> = Promise.resolve();
  #closed: Promise<void> | null = null;

  constructor(options: StoreOptions, release: () => void) {
    this.#options = options;
    this.#quotaBytes = options.quotaBytes;
    this.#release = release;
    this.#watch = new DiskWatch({
      dir: options.dir,
      marks: options.marks ?? DEFAULT_MARKS,
      promisedBytes: () => this.#promisedBytes(),
      free: async (bytes) => {
        const evicted = await this.#free(bytes, (content) => content.storedBytes);
        if (evicted.length > 0) options.onEvicted?.(evicted);
      },
      onWarning: options.onWarning,
    });
    this.#journal = new Journal(join(options.dir, "store.sqlite"), options.onWarning);
    this.#around = {
      files: this.#files,
      decoded: this.#decoded,
      journal: this.#journal,
      diskPacer: options.diskPacer ?? new Pacer(null),
      backgroundPacer: new Pacer(BACKGROUND_VERIFY_BYTES_PER_SEC),
      onVerified: options.onVerified ?? (() => undefined),
      onWarning: options.onWarning,
      completed: (contentId) => this.#completed(contentId),
      closing: this.#closing.signal,
      grew: (bytes) => this.#grew(bytes),
      nextUse: () => (this.#lastUse = Math.max(this.#lastUse + 1, Date.now())),
    };
  }

  get disk(): DiskReport {
    return this.#watch.report;
  }

  get usedBytes(): number {
    let sum = 0;
    for (const content of this.#contents.values()) sum += content.fullBytes;
    return sum;
  }

  async load(): Promise<void> {
    for (const record of this.#journal.load()) await this.#restore(record);
    await this.#removeOrphans();
    await this.#watch.tidy();
    this.#verifyingAll = this.#verifyAll();
  }

  get(contentId: string): StoredContent | undefined {
    return this.#contents.get(contentId);
  }

  findByTask(taskId: string): StoredContent | undefined {
    return this.#newestByTask.get(taskId);
  }

  findBySha256(sha256: string): StoredContent | undefined {
    return this.#byDigest.find(sha256);
  }

  list(): StoredContent[] {
    return [...this.#contents.values()];
  }

  async create(facts: ContentFacts): Promise<StoredContent> {
    const { contentId } = facts;
    const known = this.#contents.get(contentId) ?? this.#creating.get(contentId);
    if (known !== undefined) {
      const content = await known;
      content.touch();
      if (facts.answer !== null) content.noteAnswer(facts.answer);
      await content.verify();
      await this.#makeRoomForRest(content);
      return content;
    }
    const creating = this.#make(facts);
    this.#creating.set(contentId, creating);
    try {
      return await creating;
    } finally {
      this.#creating.delete(contentId);
    }
  }

  async delete(contentId: string): Promise<void> {
    const content = this.#contents.get(contentId);
    if (content === undefined) return;
    this.#contents.delete(contentId);
    content.becomeDropped();
    this.#forgetTask(content);
    this.#byDigest.forget(content);
    try {
      this.#journal.remove(contentId);
    } catch (error) {
      // A full disk may refuse even this. The next start forgets an entry whose file is gone.
      this.#options.onWarning(messageOf(error));
    }
    const removing = this.#removeFile(content.dataPath).finally(() => {
      this.#removing.delete(contentId);
    });
    this.#removing.set(contentId, removing);
    await removing;
  }

  async evict(): Promise<string[]> {
    const quotaBytes = this.#quotaBytes;
    return quotaBytes === null
      ? []
      : this.#free(this.usedBytes - quotaBytes, (content) => content.fullBytes);
  }

  async setLimits({ quotaBytes, marks }: StoreLimits): Promise<void> {
    this.#quotaBytes = quotaBytes;
    this.#watch.marks = marks;
    await this.evict();
    await this.#watch.tidy();
  }

  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    this.#closing.abort();
    await this.#watch.stop();
    try {
      await this.#verifyingAll;
      for (const content of this.#contents.values()) await content.seal();
      this.#journal.close();
    } finally {
      this.#decoded.clear();
      await this.#files.closeAll();
      this.#release();
    }
  }

  async #make(facts: ContentFacts): Promise<ContentOnDisk> {
    const { contentId, layout } = facts;
    // The same content may just be on its way out: its file must be gone before the new one comes.
    await this.#removing.get(contentId);
    await this.#makeRoom(layout.length ?? 0, facts.taskId);
    const dataPath = this.#dataPath(contentId);
    const createdAt = this.#around.nextUse();
    const content = new ContentOnDisk(
      {
        facts,
        dataPath,
        rows: [],
        journalled: new PieceSet(initialPieceCount(facts)),
        isTrusted: true,
        digests: null,
        signatures: [],
        wholeSignature: null,
        dataStamp: null,
        createdAt,
        usedAt: createdAt,
        pins: [],
      },
      this.#around,
    );
    try {
      await this.#files.make(dataPath);
      if (layout.length !== null) await this.#files.resize(dataPath, layout.length);
      this.#journal.insert(facts, content.state, createdAt);
    } catch (error) {
      await this.#removeFile(dataPath);
      throw error;
    }
    this.#add(content);
    return content;
  }

  async #restore(record: ContentRecord): Promise<void> {
    const { facts } = record;
    const dataPath = this.#dataPath(facts.contentId);
    const stamp = await this.#files.stamp(dataPath);
    const journalled = PieceSet.fromBytes(pieceCountOfRecord(record), record.have);
    const isWhole =
      journalled !== null &&
      record.rows.every(
        ({ index, row }) => index < journalled.size && isSound(facts.layout, index, row),
      );
    if (stamp === null || !isWhole) {
      this.#options.onWarning(
        `content ${facts.contentId}: its ${stamp === null ? "data file is gone" : "entry is damaged"}, forgetting it`,
      );
      this.#journal.remove(facts.contentId);
      return;
    }
    const isTrusted = this.#journal.wasClean && record.dataStamp === stamp;
    this.#lastUse = Math.max(this.#lastUse, record.usedAt);
    this.#add(new ContentOnDisk({ ...record, dataPath, journalled, isTrusted }, this.#around));
  }

  async #removeFile(dataPath: string): Promise<void> {
    await this.#files.close(dataPath);
    await rm(dataPath, { force: true });
  }

  /** Data files without an entry: left by a crash between two steps, or by an index set aside. */
  async #removeOrphans(): Promise<void> {
    const root = join(this.#options.dir, "contents");
    const names = await readdir(root, { recursive: true }).catch(() => []);
    for (const name of names) {
      const contentId = name.split("/")[1];
      if (contentId !== undefined && !this.#contents.has(contentId))
        await rm(join(root, name), { force: true, recursive: true });
    }
  }

  async #verifyAll(): Promise<void> {
    const recentFirst = [...this.#contents.values()].toSorted((a, b) => b.usedAt - a.usedAt);
    for (const content of recentFirst) {
      if (this.#closing.signal.aborted) return;
      await content.verifyGently();
    }
  }

  /** @throws {DfError} no-space: the disk filled up since the content was made, and cannot hold its rest */
  async #makeRoomForRest(content: ContentOnDisk): Promise<void> {
    if (content.have.isFull || content.isLeased) return;
    // Its rest is promised meanwhile, and it does not go to make room for itself.
    const release = content.lease();
    await this.#makeRoom(0, content.facts.taskId).finally(release);
  }

  /** Evicts for the quota and the disk. @throws {DfError} no-space */
  async #makeRoom(length: number, taskId: string): Promise<void> {
    if (this.#quotaBytes !== null)
      await this.#free(this.usedBytes + length - this.#quotaBytes, (content) => content.fullBytes);
    const { mustBytes, mayBytes } = await this.#watch.excess(length);
    if (mustBytes === 0) return;
    // Nothing is sacrificed for a content that cannot fit anyway.
    if (this.#evictableBytes() >= mustBytes) {
      await this.#free(mayBytes, (content) => content.storedBytes);
      if ((await this.#watch.excess(length)).mustBytes === 0) return;
    }
    const { dir } = this.#options;
    const mark = `${Math.round(this.#watch.marks.high * 100)} %`;
    throw new DfError(
      "no-space",
      `make room for ${length} bytes in ${dir}: the disk lacks ${mustBytes} bytes below its high mark of ${mark}`,
      { hint: "free some space, choose another --data-dir or raise --disk-high-mark", taskId },
    );
  }

  /** Bytes that downloads under way have yet to write. */
  #promisedBytes(): number {
    let sum = 0;
    for (const content of this.#contents.values())
      if (content.isLeased) sum += content.fullBytes - content.storedBytes;
    return sum;
  }

  #evictableBytes(): number {
    let sum = 0;
    for (const content of this.#contents.values()) if (!content.isKept) sum += content.storedBytes;
    return sum;
  }

  #grew(bytes: number): void {
    this.#grownBytes += bytes;
    if (this.#grownBytes < GROWTH_BYTES_MAX) return;
    this.#grownBytes = 0;
    void this.#watch.tidy();
  }

  async #free(bytes: number, bytesOf: (content: ContentOnDisk) => number): Promise<string[]> {
    if (bytes <= 0) return [];
    const contents = [...this.#contents.values()];
    const chosen = chooseEvictions(
      contents.map((content) => ({
        bytes: bytesOf(content),
        lastUsedAt: content.usedAt,
        isPinned: content.isKept,
      })),
      bytes,
    ).map((index) => contents[index]!);
    const evicted: string[] = [];
    for (const content of chosen) {
      // It may have found a reader while others were deleted.
      if (content.isKept) continue;
      evicted.push(content.facts.contentId);
      await this.delete(content.facts.contentId);
    }
    return evicted;
  }

  #add(content: ContentOnDisk): void {
    const { contentId, taskId } = content.facts;
    this.#contents.set(contentId, content);
    this.#byDigest.note(content);
    const newest = this.#newestByTask.get(taskId);
    if (newest === undefined || newest.createdAt <= content.createdAt)
      this.#newestByTask.set(taskId, content);
  }

  #completed(contentId: string): void {
    const content = this.#contents.get(contentId);
    if (content !== undefined) this.#byDigest.note(content);
  }

  #forgetTask(content: ContentOnDisk): void {
    const { taskId } = content.facts;
    if (this.#newestByTask.get(taskId) !== content) return;
    this.#newestByTask.delete(taskId);
    for (const other of this.#contents.values())
      if (other.facts.taskId === taskId) this.#add(other);
  }

  #dataPath(contentId: string): string {
    return join(this.#options.dir, "contents", contentId.slice(0, 2), contentId);
  }
}
