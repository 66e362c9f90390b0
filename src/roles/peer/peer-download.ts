// One task on this host: joins it at its owner, follows it to another supernode or another version,
// reads the source itself where that is allowed, and ends with every piece here or with an error.
//
//   starting ─▶ joining ─▶ open (a ContentTransfer brings pieces) ─▶ done
//      │           ▲  │ moved, lost      │ source-changed                │
//      │           └──┴──────────────────┘                               ▼
//      └─▶ reading the source itself ─────────────────────────▶ done | failed

import { pieceCountOf } from "../../engine/core/piece-layout.ts";
import { DfError, isDfError, messageOf } from "../../errors.ts";
import type { SwarmClient } from "../../net/swarm/swarm-client.ts";
import { redactUrl } from "../../net/task-request.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { StoredContent } from "../../store/piece-store.ts";
import { Changes } from "./changes.ts";
import { ContentTransfer } from "./content-transfer.ts";
import {
  OWNER_SILENCE_MS,
  type DownloadOptions,
  type DownloadPolicy,
  type DownloadState,
  type DownloadSurroundings,
} from "./download-parts.ts";
import { findOwner } from "./find-owner.ts";
import { readFromSource } from "./own-read.ts";
import { sealContent } from "./seal-content.ts";
import { SwarmRead } from "./swarm-read.ts";

/** Members that disagree about the owner may send a peer round: after so many moves the next one is to serve it. */
const MOVES_MAX = 4;

/** A source that changes more often than this within one download is given up. */
const VERSIONS_MAX = 3;

export class PeerDownload {
  readonly taskId: string;
  readonly task: TaskRequest;
  /** Told about everything that a reader may want to see. */
  readonly changes = new Changes();
  /** Told once: the download is done or failed. */
  readonly ending = new Changes();
  /** What readers should know, e.g. that the source is read here. */
  readonly notices: string[] = [];
  readonly #around: DownloadSurroundings;
  readonly #options: DownloadOptions;
  readonly #stop = new AbortController();
  #policy: DownloadPolicy;
  #state: DownloadState = { kind: "running" };
  readonly #swarm: SwarmRead;
  #isDelegated = false;
  #moves = 0;
  #versions = new Set<string>();
  #ownRead: { abort: AbortController; ended: Promise<void> } | null = null;
  #silence: ReturnType<typeof setTimeout> | undefined;

  constructor(around: DownloadSurroundings, options: DownloadOptions) {
    this.#around = around;
    this.#options = options;
    this.#policy = options.policy;
    this.taskId = options.taskId;
    this.task = options.task;
    this.#swarm = this.#newSwarmRead();
  }

  get state(): DownloadState {
    return this.#state;
  }

  /** The version that is being brought, once it is known. */
  get transfer(): ContentTransfer | null {
    return this.#swarm.transfer;
  }

  get contentId(): string | null {
    return this.transfer?.content.facts.contentId ?? null;
  }

  start(): void {
    this.#attempt(async () => {
      await this.#around.store.findByTask(this.taskId)?.verify();
      if (this.#options.mustReadSelf) return this.#readSelf(null);
      await this.#joinOwner();
    });
  }

  /** The readers are others now, and allow other things; what is under way goes on. */
  allow(policy: DownloadPolicy): void {
    const { seedsOnly } = this.#policy;
    this.#policy = policy;
    // A join tells the owner whose pieces are wanted.
    if (policy.seedsOnly === seedsOnly || this.#ownRead !== null || !this.#isConnected) return;
    this.#attempt(() => this.#rejoin());
  }

  /** Ends the download; what is here stays and is shared. */
  stop(error = new DfError("interrupted", `bring ${this.#shownUrl}: stopped`)): void {
    if (this.#state.kind === "running") this.#state = { kind: "failed", error };
    this.#stop.abort(error);
    clearTimeout(this.#silence);
    this.#swarm.stop();
    this.#ended();
  }

  #newSwarmRead(): SwarmRead {
    const { taskId, task } = this;
    return new SwarmRead({
      ...{ taskId, task, store: this.#around.store },
      events: {
        joinOptions: () => ({ seedsOnly: this.#policy.seedsOnly, isDelegated: this.#isDelegated }),
        joined: () => {
          clearTimeout(this.#silence);
          this.#moves = 0;
        },
        moved: (address, isDelegated) => this.#attempt(() => this.#moved(address, isDelegated)),
        refused: (error) => this.#refused(error),
        contentFailed: (error) => {
          if (error.code !== "source-changed") return this.#fail(error);
          this.#attempt(() => this.#rejoin());
        },
        channelLost: () => this.#channelLost(),
        channelOpened: () => this.#attempt(() => this.#rejoin()),
        startedOver: () => this.#attempt(() => this.#rejoin()),
        transferOf: (content) => this.#transferOf(content),
        advanced: () => this.#finishWhenWhole(),
        broke: (error) => this.#fail(error),
      },
    });
  }

  /** Follows to the supernode that serves this task; one that this host cannot reach is passed over. */
  async #moved(address: string, isDelegated: boolean): Promise<void> {
    const from = this.#swarm.channel;
    const to = this.#around.supernodes.at(address);
    const isSentRound = ++this.#moves > MOVES_MAX;
    if (await to.reach()) return this.#joinAt(to, isDelegated || isSentRound);
    if (from?.isOpen === true) return this.#joinAt(from, true);
    await this.#joinOwner();
  }

  #refused(error: DfError): void {
    // A supernode does not read some sources for others; this host may read them for itself.
    if (error.code === "not-shareable" && this.#policy.mayReadSource) {
      this.notices.push(`${error.message}: reading from the source on this host`);
      this.#attempt(() => this.#readSelf(null));
    } else this.#fail(error);
  }

  #channelLost(): void {
    // The owner may be back in a moment; after some silence the next member is asked.
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#attempt(() => this.#joinNext()), OWNER_SILENCE_MS);
  }

  // Joining.

  async #joinOwner(): Promise<void> {
    const { supernodes } = this.#around;
    const task = { taskId: this.taskId, mayReadSource: () => this.#mayGoBackToSource };
    const owner = await findOwner(supernodes, task, this.#stop.signal);
    if (owner !== null) return this.#joinAt(owner, !supernodes.isFirstFor(this.taskId, owner));
    if (!supernodes.isEmpty) this.notices.push("no supernode answers: reading from the source");
    await this.#readSelf(null);
  }

  /** Joins at another member while the owner is away; its own return is waited for otherwise. */
  async #joinNext(): Promise<void> {
    const { supernodes } = this.#around;
    const next = await supernodes.ownerOf(this.taskId);
    if (this.#stop.signal.aborted || this.#isConnected) return;
    if (next !== undefined) return this.#joinAt(next, !supernodes.isFirstFor(this.taskId, next));
    // Nothing was brought yet that could go on without an owner.
    if (this.transfer === null) return this.#joinOwner();
  }

  /** `isDelegated`: a member that does not own the task is to serve it, because the owner says so or is out of reach. */
  #joinAt(supernode: SwarmClient, isDelegated: boolean): void {
    this.#isDelegated = isDelegated;
    this.#swarm.joinAt(supernode);
  }

  /** Joins the owner again: after its return, or because the source has a new version. */
  async #rejoin(): Promise<void> {
    if (this.#ownRead !== null) {
      // Two writers in one piece could spoil it: the swarm goes on only when the source read ended.
      this.#ownRead.abort.abort(new DfError("interrupted", "the swarm is back"));
      await this.#ownRead.ended;
    }
    if (this.#state.kind !== "running" || this.#stop.signal.aborted) return;
    this.#swarm.join();
  }

  // The content.

  #transferOf(content: StoredContent): ContentTransfer {
    const { contentId } = content.facts;
    this.#versions.add(contentId);
    if (this.#versions.size > VERSIONS_MAX) {
      throw new DfError("source-changed", `bring ${this.#shownUrl}: it changes while it is read`, {
        hint: "try again when the source is quiet",
        taskId: this.taskId,
      });
    }
    const { client, shared, hostPacer, supernodes } = this.#around;
    const transfer: ContentTransfer = new ContentTransfer(content, {
      client,
      shared,
      pacers: [this.#options.pacer, hostPacer],
      // Readers come and go: whether one allows it is looked at when it comes to that.
      mayReadSource: true,
      isSupernode: (address) => supernodes.isPieceAddress(address),
      pull: (pull) => this.#swarm.pull(pull),
      readSource: () => this.#attempt(() => this.#readRest(transfer)),
      onProgress: () => this.changes.notify(),
      onComplete: () => this.#finishWhenWhole(),
      onFailure: (error) => this.#fail(error),
    });
    // Once the read has taken it over.
    queueMicrotask(() => this.changes.notify());
    return transfer;
  }

  /** Whether the source may be read here because no supernode answers; without any it is no way back. */
  get #mayGoBackToSource(): boolean {
    const { settings, supernodes } = this.#around;
    return this.#policy.mayReadSource && (settings.current.backToSource || supernodes.isEmpty);
  }

  /** The owner is silent: reads what is missing from the source, if a reader allows it. */
  async #readRest(transfer: ContentTransfer): Promise<void> {
    if (this.#mayGoBackToSource) {
      // Without a validator nothing tells whether the source still has this version.
      const isKnown = transfer.content.facts.validator !== null;
      return this.#readSelf(isKnown ? transfer : null);
    }
    // After the step that asked for it.
    await Promise.resolve();
    transfer.step({ kind: "sourceReadEnded", ok: false });
  }

  /** Reads the source on this host: all of it, or what `transfer` still lacks. */
  async #readSelf(transfer: ContentTransfer | null): Promise<void> {
    if (this.#ownRead !== null) return;
    const { store, sources, settings } = this.#around;
    const abort = new AbortController();
    const ended = Promise.withResolvers<void>();
    this.#ownRead = { abort, ended: ended.promise };
    let brought = transfer;
    let isOutdated = false;
    try {
      const digests = await readFromSource(
        {
          ...{ store, sources, taskId: this.taskId, task: this.task },
          content: transfer?.content ?? null,
          rateBytesPerSec: this.#options.pacer.rateBytesPerSec,
          pieceLength: settings.current.pieceLength,
          onOpened: (content) => (brought ??= this.#swarm.become(content)),
          onPiece: (piece) => brought!.gained(piece, "source"),
        },
        AbortSignal.any([abort.signal, this.#stop.signal]),
      );
      this.#swarm.learnDigests(digests);
      brought!.offer();
      const { layout } = brought!.content.manifest;
      brought!.step({
        kind: "closed",
        pieceCount: pieceCountOf(layout.length!, layout.pieceLength),
      });
      this.#finishWhenWhole();
    } catch (error) {
      // The swarm took over, or can still bring what the source did not.
      if (abort.signal.aborted) return;
      if (transfer === null) throw error;
      // The version that the swarm had is gone at the source: the present one is read instead.
      isOutdated = isDfError(error, "source-changed");
      this.#around.onWarning(`read the source of ${this.#shownUrl}: ${messageOf(error)}`);
    } finally {
      this.#ownRead = null;
      ended.resolve();
      transfer?.step({ kind: "sourceReadEnded", ok: brought!.isComplete });
    }
    if (isOutdated) await this.#readSelf(null);
  }

  #finishWhenWhole(): void {
    const { transfer, digests, inline } = this.#swarm;
    if (this.#state.kind !== "running" || !this.#swarm.isWhole) return;
    this.#state = { kind: "done", digests: digests!, inline };
    clearTimeout(this.#silence);
    this.#swarm.detach();
    this.#ended();
    void sealContent(transfer!, digests!, this.#around);
  }

  #ended(): void {
    this.ending.notify();
    this.changes.notify();
  }

  #fail(error: unknown): void {
    if (this.#state.kind !== "running" || this.#stop.signal.aborted) return;
    const known = isDfError(error)
      ? error
      : new DfError("internal", `bring ${this.#shownUrl}: ${messageOf(error)}`, { cause: error });
    this.stop(known);
  }

  /** Runs work of this download; what it throws fails the download. */
  #attempt(work: () => Promise<void> | void): void {
    const run = async (): Promise<void> => work();
    run().catch((error: unknown) => this.#fail(error));
  }

  get #isConnected(): boolean {
    return this.#swarm.channel?.isOpen === true;
  }

  get #shownUrl(): string {
    return redactUrl(this.task.url);
  }
}
