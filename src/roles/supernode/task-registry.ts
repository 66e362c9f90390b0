// Which version of each task is current, and how it gets here: one probe and one read of a source at
// a time, however many peers ask. Who takes part in a content is the swarm desk's affair.

import { randomBytes } from "node:crypto";
import { contentIdOf, taskIdOf } from "../../engine/bytes/task-id.ts";
import { pieceLengthFor, pieceOffset } from "../../engine/core/piece-layout.ts";
import { DfError, isDfError } from "../../errors.ts";
import { CONNECT_TIMEOUT_MS, FIRST_BYTE_TIMEOUT_MS, SOURCE_CONNECTIONS } from "../../limits.ts";
import { probeSource } from "../../net/source/probe-source.ts";
import { sourceChanged } from "../../net/source/source-fault.ts";
import type { SourceAddress, SourceFacts, SourceRequest } from "../../net/source/source-read.ts";
import { redactUrl, taskFieldsOf } from "../../net/task-request.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { PieceStore, StoredContent } from "../../store/piece-store.ts";
import type { SourceReadEnd } from "../worker/source-worker-messages.ts";
import type { SourceService } from "../worker/source-service.ts";
import { IndexPool } from "./index-pool.ts";
import { type SourcePolicy, checkRequest } from "./source-policy.ts";
import { Seeding } from "./seeding.ts";

/** What happens to contents, for the scheduler and the piece server. */
export interface SeedingEvents {
  opened(seeding: Seeding): void;
  /** A piece rests here verified and its row is known. */
  pieceSeeded(seeding: Seeding, piece: number): void;
  /** The length of a content that began without one. */
  lengthKnown(seeding: Seeding): void;
  /** Gone for the swarm; its index is used again. */
  dropped(seeding: Seeding): void;
  warned(message: string): void;
}

interface Task {
  readonly taskId: string;
  current: Seeding | null;
  /** The answer that all who ask meanwhile will get. */
  resolving: Promise<Seeding> | null;
}

export class TaskRegistry {
  readonly #store: PieceStore;
  readonly #sources: SourceService;
  readonly #policy: SourcePolicy;
  readonly #events: SeedingEvents;
  readonly #stopping = new AbortController();
  readonly #tasks = new Map<string, Task>();
  readonly #seedings = new Map<string, Seeding>();
  readonly #indices = new IndexPool();
  readonly #reads = new Set<Promise<void>>();
  /** Body bytes of sources and how many reads were begun, since the start. */
  sourceBytes = 0;
  sourceReads = 0;

  constructor(parts: {
    store: PieceStore;
    sources: SourceService;
    policy: SourcePolicy;
    events: SeedingEvents;
  }) {
    this.#store = parts.store;
    this.#sources = parts.sources;
    this.#policy = parts.policy;
    this.#events = parts.events;
  }

  get seedings(): Iterable<Seeding> {
    return this.#seedings.values();
  }

  /** The content under way or complete here, if the swarm knows it. */
  seeding(contentId: string): Seeding | undefined {
    return this.#seedings.get(contentId);
  }

  /**
   * The current version of a task; waits for the source's headers where it must be asked.
   * @throws {DfError} usage, not-shareable, and as readSource
   */
  async resolve(request: TaskRequest): Promise<Seeding> {
    checkRequest(request, this.#policy);
    const taskId = taskIdOf(taskFieldsOf(request, "public"));
    let task = this.#tasks.get(taskId);
    if (task === undefined) {
      task = { taskId, current: null, resolving: null };
      this.#tasks.set(taskId, task);
    }
    const known = task;
    known.resolving ??= this.#currentVersion(known, request).finally(() => {
      known.resolving = null;
      if (known.current === null) this.#tasks.delete(taskId);
    });
    return known.resolving;
  }

  /** A child left: a content that has no place any more goes with its last one. */
  childLeft(seeding: Seeding): void {
    if (seeding.isRetired && seeding.childCount === 0) this.#drop(seeding);
  }

  /** Stops reads; what was read stays for the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort(new DfError("unavailable", "the supernode is stopping"));
    await Promise.allSettled(this.#reads);
  }

  async #currentVersion(task: Task, request: TaskRequest): Promise<Seeding> {
    const current = task.current ?? (await this.#adopt(task));
    if (current === null) return this.#read(task, request);
    if (current.isFresh) return current;
    if (current.state.kind === "complete" && (await this.#isCurrent(current, request))) {
      current.confirm();
      return current;
    }
    this.#retire(task, current);
    return this.#read(task, request);
  }

  /** Takes over what an earlier process left in the store; null: nothing whole. */
  async #adopt(task: Task): Promise<Seeding | null> {
    const stored = this.#store.findByTask(task.taskId);
    if (stored === undefined) return null;
    await stored.verify();
    if (stored.digests === null || stored.facts.validator === null) return null;
    const seeding = this.#open(stored);
    task.current = seeding;
    await seeding.becomeComplete(stored.digests);
    seeding.doubt();
    return seeding;
  }

  async #isCurrent(seeding: Seeding, request: TaskRequest): Promise<boolean> {
    const { validator } = seeding.stored.facts;
    if (validator === null) return false;
    const probe = { ...addressOf(request), validator };
    return (await probeSource(probe, this.#stopping.signal)) === "unchanged";
  }

  /** Reads the source, continuing what the store has of the task's newest version where it may. */
  async #read(task: Task, request: TaskRequest): Promise<Seeding> {
    const partial = await this.#resumable(task);
    try {
      return await this.#readFrom(task, request, partial);
    } catch (error) {
      if (partial === null || !isDfError(error, "source-changed")) throw error;
      await this.#store.delete(partial.facts.contentId);
      return this.#readFrom(task, request, null);
    }
  }

  async #resumable(task: Task): Promise<StoredContent | null> {
    const stored = this.#store.findByTask(task.taskId);
    if (stored === undefined || this.#seedings.has(stored.facts.contentId)) return null;
    await stored.verify();
    if (stored.facts.validator !== null) return stored;
    await this.#store.delete(stored.facts.contentId);
    return null;
  }

  /** Resolves when the source has answered and the content is open; reading goes on. */
  #readFrom(task: Task, request: TaskRequest, partial: StoredContent | null): Promise<Seeding> {
    const opening = Promise.withResolvers<Seeding>();
    let opened: Seeding | null = null;
    this.sourceReads++;
    const read = this.#sources
      .read(
        {
          request: {
            ...addressOf(request),
            ...resumePoint(partial),
            connections: SOURCE_CONNECTIONS,
          },
          wantsSha256: request.checksum.startsWith("sha256:"),
          opened: async (facts) => {
            const seeding = await this.#openRead(task, request, facts);
            opening.resolve(seeding);
            // The source went back to a version that is here: nothing is left to read.
            if (seeding.state.kind === "complete") throw new DfError("interrupted", "not needed");
            opened = seeding;
            return seeding.stored;
          },
          pieceStored: (piece, { wireLength }) => {
            opened!.sourceBytes += wireLength;
            this.#events.pieceSeeded(opened!, piece);
          },
        },
        this.#stopping.signal,
      )
      .then((end) => this.#complete(opened!, end))
      .catch((error: unknown) => {
        opening.reject(error);
        if (opened !== null) this.#fail(opened, error);
      })
      .finally(() => this.#reads.delete(read));
    this.#reads.add(read);
    return opening.promise;
  }

  async #openRead(task: Task, request: TaskRequest, facts: SourceFacts): Promise<Seeding> {
    const { taskId } = task;
    const { length, validator, lastModified } = facts;
    const version = validator ?? randomBytes(16).toString("hex");
    const contentId = contentIdOf(taskId, version, length);
    const known = this.#seedings.get(contentId);
    if (known !== undefined) {
      known.isRetired = false;
      known.confirm();
      task.current = known;
      return known;
    }
    const layout = { length, pieceLength: pieceLengthFor(length) };
    const url = redactUrl(request.url);
    const stored = await this.#store.create({
      ...{ contentId, taskId, url, layout, validator, lastModified },
    });
    this.#dropEvicted();
    const seeding = this.#open(stored);
    task.current = seeding;
    return seeding;
  }

  /** Makes a stored content known to the swarm, with the pieces that it has. */
  #open(stored: StoredContent): Seeding {
    const seeding = new Seeding(this.#indices.take(), stored);
    this.#seedings.set(stored.facts.contentId, seeding);
    this.#events.opened(seeding);
    for (const piece of stored.have) this.#events.pieceSeeded(seeding, piece);
    return seeding;
  }

  async #complete(seeding: Seeding, end: SourceReadEnd): Promise<void> {
    const { stored } = seeding;
    this.sourceBytes += end.bodyBytes;
    const wasUnknown = stored.manifest.layout.length === null;
    if (wasUnknown) stored.setLength(end.length);
    const { md5, sha256 } = end;
    await stored.complete({ md5, sha256 });
    if (wasUnknown) this.#events.lengthKnown(seeding);
    await seeding.becomeComplete({ md5, sha256 });
    await this.#store.evict();
    this.#dropEvicted();
  }

  #fail(seeding: Seeding, error: unknown): void {
    const { taskId, url } = seeding.stored.facts;
    const failure =
      error instanceof DfError
        ? error
        : new DfError("internal", `read ${url}: the content could not be finished`, {
            cause: error,
            taskId,
          });
    if (!this.#stopping.signal.aborted) this.#events.warned(failure.message);
    seeding.becomeFailed(failure);
    this.#drop(seeding);
  }

  /** Running downloads of the old version go on; without any it goes at once. */
  #retire(task: Task, seeding: Seeding): void {
    task.current = null;
    seeding.isRetired = true;
    this.childLeft(seeding);
  }

  #drop(seeding: Seeding): void {
    const { contentId, taskId, validator } = seeding.stored.facts;
    if (this.#seedings.get(contentId) !== seeding) return;
    this.#seedings.delete(contentId);
    const task = this.#tasks.get(taskId);
    if (task?.current === seeding) task.current = null;
    if (task?.current === null && task.resolving === null) this.#tasks.delete(taskId);
    this.#events.dropped(seeding);
    this.#indices.giveBack(seeding.index);
    const isChanged =
      seeding.state.kind === "failed" && seeding.state.error.code === "source-changed";
    if (!seeding.isRetired && !isChanged && validator !== null) return;
    this.#store.delete(contentId).catch((error: unknown) => {
      this.#events.warned(`delete content ${contentId}: ${String(error)}`);
    });
  }

  /** Making room may have deleted contents that nobody downloads. */
  #dropEvicted(): void {
    for (const seeding of [...this.#seedings.values()]) {
      const { contentId } = seeding.stored.facts;
      if (this.#store.get(contentId) === seeding.stored) continue;
      if (seeding.state.kind !== "failed")
        seeding.becomeFailed(sourceChanged(seeding.stored.facts.url));
      this.#drop(seeding);
    }
  }
}

function addressOf({ url, headers }: TaskRequest): SourceAddress {
  const timeoutMs = { connect: CONNECT_TIMEOUT_MS, firstByte: FIRST_BYTE_TIMEOUT_MS };
  return { url, headers, timeoutMs };
}

/** Where a read goes on: at the first gap, for as long as it is. */
function resumePoint(
  partial: StoredContent | null,
): Pick<SourceRequest, "expected" | "startAt" | "startBytes"> {
  const validator = partial?.facts.validator ?? null;
  if (partial === null || validator === null) return { expected: null };
  const { have, manifest } = partial;
  const { layout } = manifest;
  const expected = { validator, length: layout.length };
  const first = have.firstMissing();
  // A full content that lost only its digests: the first answer's headers are all that is needed.
  if (first === have.size) return { expected, startBytes: 1 };
  let next = first + 1;
  while (next < have.size && !have.has(next)) next++;
  const startAt = pieceOffset(layout, first);
  return { expected, startAt, startBytes: pieceOffset(layout, next) - startAt };
}
