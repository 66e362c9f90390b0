// Which version of each task is current, and how it gets here: one probe and one read of a source at
// a time, however many peers ask. Who takes part in a content is the swarm desk's affair.

import type { KeyObject } from "node:crypto";
import type { Secret } from "../../engine/bytes/secret.ts";
import { DfError, type ErrorCode } from "../../errors.ts";
import type { EgressGuard } from "../../net/egress/egress-guard.ts";
import { namedDigestOf } from "../../net/registry/registry-task.ts";
import { otherDigest, sourceChanged } from "../../net/source/source-fault.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { TaskFreshness } from "../../net/wire/task-freshness.ts";
import type { ContentFacts, PieceStore, StoredContent } from "../../store/piece-store.ts";
import type { SourceReadEnd } from "../worker/source-worker-messages.ts";
import type { SourceService } from "../worker/source-service.ts";
import { ANY_TASK, type UsedTask, usedTaskOf } from "../freshness/content-freshness.ts";
import { VersionFreshness } from "../freshness/version-freshness.ts";
import type { LiveSettings } from "../settings/live-settings.ts";
import { ContentSigner } from "../signatures/content-signer.ts";
import { DigestChoice, type DigestChoiceOptions } from "./digest-choice.ts";
import { IndexPool } from "./index-pool.ts";
import { isNamed, isSealed, newTask, type KnownTask } from "./known-task.ts";
import { Refusals } from "./refusals.ts";
import { RetiredVersions } from "./retired-versions.ts";
import { SourceReading } from "./source-reading.ts";
import { Seeding, type SeedingEvents } from "./seeding.ts";
import type { AskedTask, TaskAdmission } from "./task-admission.ts";
import { taskFreshness } from "./task-freshness.ts";
import { unlockContent } from "./unlock-content.ts";
import { VersionChoice } from "./version-choice.ts";
import { isConfirmed } from "./version-probe.ts";
import type { ContentSink, Supplier, Suppliers } from "./suppliers.ts";

/** What is here is not the version that it was taken for: it goes. */
const WRONG_CONTENT = new Set<ErrorCode>(["source-changed", "forged", "checksum"]);

export class TaskRegistry {
  readonly #store: PieceStore;
  readonly #admission: TaskAdmission;
  readonly #egress: EgressGuard;
  readonly #settings: LiveSettings;
  readonly #events: SeedingEvents;
  readonly #signingKey: KeyObject | null;
  readonly #stopping = new AbortController();
  readonly #tasks = new Map<string, KnownTask>();
  readonly #seedings = new Map<string, Seeding>();
  readonly #indices = new IndexPool();
  readonly #refusals = new Refusals();
  readonly #retired = new RetiredVersions((seeding) => this.#drop(seeding));
  readonly #reads = new Set<Promise<void>>();
  readonly #reading: SourceReading;
  readonly #choice: VersionChoice;
  readonly #digests: DigestChoice;
  readonly #contentSecret: Secret<Uint8Array> | null;
  /** Body bytes of sources since the start. */
  sourceBytes = 0;

  constructor(parts: {
    store: PieceStore;
    sources: SourceService;
    admission: TaskAdmission;
    suppliers: Suppliers;
    settings: LiveSettings;
    events: SeedingEvents;
    /** The cluster's private key; null: this supernode has no fleet, and signs nothing. */
    signingKey: KeyObject | null;
    /** The fleet's, from which content keys are made; null: nothing is sealed here. */
    contentSecret: Secret<Uint8Array> | null;
  }) {
    this.#contentSecret = parts.contentSecret;
    this.#signingKey = parts.signingKey;
    this.#settings = parts.settings;
    this.#store = parts.store;
    this.#admission = parts.admission;
    this.#egress = parts.sources.egress;
    this.#events = parts.events;
    this.#reading = new SourceReading({
      ...{ store: parts.store, sources: parts.sources, settings: parts.settings },
      isShared: (contentId) => this.#seedings.has(contentId),
      isKept: (content) => this.#freshnessOf(ANY_TASK, content).isKept,
      requestersOf: (contentId) => this.#seedings.get(contentId)?.requesters,
      refused: (request, error) => this.#refused(request, error),
    });
    const choice: Omit<DigestChoiceOptions, "current" | "sameBytes" | "prove"> = {
      ...{ suppliers: parts.suppliers, signal: this.#stopping.signal },
      taskOf: (asked) => this.#taskOf(asked),
      forget: ({ taskId }) => void this.#tasks.delete(taskId),
      adopt: (task) => this.#adopt(task),
      read: (task, request, supplier) => this.#read(task, request, supplier),
    };
    this.#choice = new VersionChoice({
      ...{ ...choice, refusals: this.#refusals, egress: this.#egress },
      retire: (task, seeding) => this.#retire(task, seeding),
      warned: (message) => parts.events.warned(message),
    });
    this.#digests = new DigestChoice({
      ...choice,
      current: (taskId) => this.current(taskId),
      sameBytes: (request) => this.#sameBytes(request),
      prove: (request) => parts.admission.prove(request),
    });
  }

  get seedings(): Iterable<Seeding> {
    return this.#seedings.values();
  }

  /** Reads of sources that were begun since the start. */
  get sourceReads(): number {
    return this.#reading.count;
  }

  /** The content under way or complete here, if the swarm knows it. */
  seeding(contentId: string): Seeding | undefined {
    return this.#seedings.get(contentId);
  }

  /**
   * Brings a task that no peer asks for; what is private is proven at the source as for a peer.
   * @throws {DfError} as TaskAdmission.admit and `resolve`
   */
  async bring(asked: TaskRequest): Promise<Seeding> {
    return this.resolve(await this.#admission.admit(asked, true));
  }

  /**
   * The current version of a task; waits for the source's headers where it must be asked.
   * @param hops host IDs of the supernodes through which the request came
   * @throws {DfError} as readSource
   */
  async resolve(asked: AskedTask, hops: readonly string[] = []): Promise<Seeding> {
    const { taskId, request, requester } = asked;
    if (requester === null && namedDigestOf(request) !== null)
      return this.#digests.resolve(asked, hops);
    const mayBeSame = requester === null && this.current(taskId) === null;
    return (mayBeSame ? await this.#sameBytes(request) : null) ?? this.#choice.resolve(asked, hops);
  }

  /** The version that joins get, if the swarm knows one. */
  current(taskId: string): Seeding | null {
    return this.#tasks.get(taskId)?.current ?? null;
  }

  /** What decides about a task's use, without asking its source. @throws {DfError} as TaskAdmission.publicIdOf */
  async freshnessOf(asked: TaskRequest): Promise<TaskFreshness> {
    const taskId = this.#admission.publicIdOf(asked);
    const seeding = (await this.held(taskId)) ?? (await this.#sameBytes(asked));
    seeding?.freshness.expect(asked);
    return taskFreshness(taskId, seeding, this.#refusals.of(taskId));
  }

  /** What is here of a task, whole or under way; no source is asked whether it is current. */
  async held(taskId: string): Promise<Seeding | null> {
    const task = this.#tasks.get(taskId) ?? newTask(taskId);
    const seeding = task.current ?? (await this.#adopt(task));
    if (seeding !== null) this.#tasks.set(taskId, task);
    return seeding;
  }

  /** As `held`, for one who asked: of a private task only the version that the source named to him. */
  async heldFor({ taskId, request, requester }: AskedTask): Promise<Seeding | null> {
    const seeding = await this.held(taskId);
    if (requester === null) return seeding ?? this.#sameBytes(request);
    if (seeding === null) return null;
    return isNamed(seeding, requester.version) ? seeding : null;
  }

  /** A child left: a content that has no place any more goes with its last one. */
  childLeft(seeding: Seeding): void {
    if (seeding.isRetired && seeding.childCount === 0) this.#drop(seeding);
  }

  /** Stops reads; what was read stays for the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort(new DfError("unavailable", "the supernode is stopping"));
    this.#retired.stop();
    await Promise.allSettled(this.#reads);
  }

  #taskOf({ taskId, request }: AskedTask): KnownTask {
    const task = this.#tasks.get(taskId) ?? newTask(taskId);
    this.#tasks.set(taskId, task);
    task.use = usedTaskOf(request);
    task.isSealed = isSealed(request, this.#settings.current.encryption);
    return task;
  }

  /** Takes over what an earlier process left in the store; null: nothing whole. */
  async #adopt(task: KnownTask): Promise<Seeding | null> {
    const stored = this.#store.findByTask(task.taskId);
    if (stored === undefined) return null;
    await stored.verify();
    const { contentId } = stored.facts;
    if (stored.digests === null || this.#store.get(contentId) !== stored) return null;
    // Another call may have been first.
    const known = this.#seedings.get(contentId);
    if (known?.isRetired === true) return null;
    if (known !== undefined) return (task.current = known);
    const seeding = this.#open(task, stored);
    task.current = seeding;
    await seeding.becomeComplete(stored.digests);
    return seeding;
  }

  /** What is whole here of the SHA-256 that a public request names, whatever task it is of; null: nothing. */
  async #sameBytes({ checksum, credentials, isSealed: mustBeSealed }: TaskRequest) {
    const [, sha256 = ""] = /^sha256:(\w+)$/.exec(checksum.toLowerCase()) ?? [];
    if (credentials !== undefined || mustBeSealed === true) return null;
    const stored = this.#store.findBySha256(sha256);
    await stored?.verify();
    const digests = stored?.digests ?? null;
    if (stored === undefined || digests?.sha256 !== sha256) return null;
    const { contentId, taskId } = stored.facts;
    const known = this.#seedings.get(contentId);
    if (known !== undefined) return known;
    const seeding = this.#open(newTask(taskId), stored);
    await seeding.becomeComplete(digests);
    return seeding;
  }

  #refused(request: TaskRequest, error: unknown): void {
    this.#admission.refused(request);
    if (request.credentials === undefined) this.#digests.refused(request, error);
  }

  /** Brings the task's content from wherever this supernode may take it; resolves when it is open. */
  async #read(task: KnownTask, request: TaskRequest, supplier: Supplier | null): Promise<Seeding> {
    return this.#bring(task, (sink) => {
      const readSource = async (): Promise<SourceReadEnd> => {
        const { current } = task;
        const isWhole = sink.content === null && current?.state.kind === "complete";
        const isProven = request.credentials !== undefined;
        // Nobody else could say whether it is current: if it is, opening it again ends this.
        if (
          isWhole &&
          !isProven &&
          (await isConfirmed(current, request, this.#egress, this.#stopping.signal))
        )
          await sink.open(current.stored.facts);
        return this.#reading.read({ taskId: task.taskId, request, sink });
      };
      return supplier === null ? readSource() : supplier(sink, readSource);
    });
  }

  /** Resolves when the content is open; bringing goes on. */
  #bring(task: KnownTask, bring: (sink: ContentSink) => Promise<SourceReadEnd>): Promise<Seeding> {
    const opening = Promise.withResolvers<Seeding>();
    let opened: Seeding | null = null;
    let hadNoLength = false;
    const sink: ContentSink = {
      signal: this.#stopping.signal,
      get content() {
        return opened?.stored ?? null;
      },
      open: async (facts) => {
        const isKnown = this.#seedings.has(facts.contentId);
        const seeding = await this.#openRead(task, facts);
        opening.resolve(seeding);
        // The source went back to a version that is here, or that another read brings: nothing is left to do.
        const isOthers = opened === null && isKnown;
        if (seeding.state.kind === "complete" || isOthers)
          throw new DfError("interrupted", "not needed");
        if (opened === null) hadNoLength = facts.layout.length === null;
        else if (opened !== seeding) throw sourceChanged(facts.url);
        opened = seeding;
        return seeding.stored;
      },
      pieceStored: (piece, sourceBytes) => {
        opened!.sourceBytes += sourceBytes;
        opened!.signRows();
        this.#events.pieceSeeded(opened!, piece);
      },
    };
    const read = bring(sink)
      .then((end) => this.#complete(opened!, end, { hadNoLength, digest: namedDigestOf(task.use) }))
      .catch((error: unknown) => {
        opening.reject(error);
        if (opened !== null) this.#fail(opened, error);
      })
      .finally(() => this.#reads.delete(read));
    this.#reads.add(read);
    return opening.promise;
  }

  async #openRead(task: KnownTask, facts: ContentFacts): Promise<Seeding> {
    const known = this.#seedings.get(facts.contentId);
    if (known !== undefined) {
      known.freshness.confirm(facts.answer);
      // What is never kept serves this one more ask.
      known.isRetired = known.state.kind === "complete" && !known.freshness.isKept;
      if (!known.isRetired) task.current = known;
      return known;
    }
    const stored = await this.#store.create(facts);
    this.dropEvicted();
    const seeding = this.#open(task, stored);
    // Another supernode may give the content of another task that has the digest.
    if (facts.taskId !== task.taskId) return seeding;
    if (task.current !== null) this.#retire(task, task.current);
    task.current = seeding;
    return seeding;
  }

  /** Makes a stored content known to the swarm, with the pieces that it has. */
  #open(task: KnownTask, stored: StoredContent): Seeding {
    unlockContent(stored, task, this.#contentSecret);
    const seeding = new Seeding(this.#indices.take(), stored, {
      freshness: this.#freshnessOf(task.use, stored),
      signer: new ContentSigner(stored, this.#signingKey),
    });
    this.#seedings.set(stored.facts.contentId, seeding);
    this.#events.opened(seeding);
    for (const piece of stored.have) this.#events.pieceSeeded(seeding, piece);
    return seeding;
  }

  #freshnessOf(task: UsedTask, stored: StoredContent): VersionFreshness {
    return new VersionFreshness(stored, {
      task,
      cacheRules: () => this.#settings.current.cacheRules,
    });
  }

  async #complete(
    seeding: Seeding,
    end: SourceReadEnd,
    { hadNoLength, digest }: { hadNoLength: boolean; digest: string | null },
  ): Promise<void> {
    const { stored } = seeding;
    this.sourceBytes += end.bodyBytes;
    if (digest !== null && digest !== `sha256:${end.sha256}`)
      throw otherDigest(stored.facts.url).error;
    if (stored.manifest.layout.length === null) stored.setLength(end.length);
    const { md5, sha256 } = end;
    await stored.complete({ md5, sha256 });
    if (hadNoLength) this.#events.lengthKnown(seeding);
    await seeding.becomeComplete({ md5, sha256 });
    seeding.freshness.confirm(null);
    // After those who waited for its last byte took it.
    setTimeout(() => this.#retireUnkept(seeding));
    await this.#store.evict();
    this.dropEvicted();
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

  #retireUnkept(seeding: Seeding): void {
    const task = this.#tasks.get(seeding.stored.facts.taskId);
    if (task?.current === seeding && !seeding.freshness.isKept) this.#retire(task, seeding);
  }

  /** Running downloads of the old version go on; without any it goes at once. */
  #retire(task: KnownTask, seeding: Seeding): void {
    task.current = null;
    seeding.isRetired = true;
    this.childLeft(seeding);
    this.#retired.add(seeding);
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
    const isWrong = seeding.state.kind === "failed" && WRONG_CONTENT.has(seeding.state.error.code);
    const isWorthKeeping = validator !== null && seeding.freshness.isKept;
    if (!seeding.isRetired && !isWrong && isWorthKeeping) return;
    this.#store.delete(contentId).catch((error: unknown) => {
      this.#events.warned(`delete content ${contentId}: ${String(error)}`);
    });
  }

  /** Making room may have deleted contents that nobody downloads. */
  dropEvicted(): void {
    for (const seeding of [...this.#seedings.values()]) {
      const { contentId } = seeding.stored.facts;
      if (this.#store.get(contentId) === seeding.stored) continue;
      if (seeding.state.kind !== "failed")
        seeding.becomeFailed(sourceChanged(seeding.stored.facts.url));
      this.#drop(seeding);
    }
  }
}
