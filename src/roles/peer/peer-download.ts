// One task on this host: joins it at its owner, follows it to another supernode or another version,
// reads the source itself where that is allowed, and ends with every piece here or with an error.
//
//   starting ─▶ joining ─▶ open (a ContentTransfer brings pieces) ─▶ done
//      │           ▲  │ moved, lost      │ source-changed                │
//      │           └──┴──────────────────┘                               ▼
//      └─▶ reading the source itself ─────────────────────────▶ done | failed

import type { ReceivedAssignment } from "../../engine/core/download-events.ts";
import { pieceCountOf } from "../../engine/core/piece-layout.ts";
import { DfError, isDfError, messageOf } from "../../errors.ts";
import type { KnownContent, SwarmClient, SwarmMember } from "../../net/swarm/swarm-client.ts";
import { redactUrl } from "../../net/task-request.ts";
import type { NumberedRow } from "../../net/wire/swarm-frames.ts";
import type { Joined } from "../../net/wire/swarm-messages.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { ContentDigests, StoredContent } from "../../store/piece-store.ts";
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
import { knownOf } from "./supernodes.ts";
import { openContent } from "./open-content.ts";
import { readFromSource } from "./own-read.ts";
import { sealContent } from "./seal-content.ts";
import { takeInline } from "./take-inline.ts";

/** A source that changes more often than this within one download is given up. */
const VERSIONS_MAX = 3;

export class PeerDownload implements SwarmMember {
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
  #owner: SwarmClient | null = null;
  #transfer: ContentTransfer | null = null;
  #digests: ContentDigests | null = null;
  #inline: string | undefined;
  /** Messages that came while a content was being opened. */
  #backlog: (() => void)[] | null = null;
  #versions = new Set<string>();
  #ownRead: { abort: AbortController; ended: Promise<void> } | null = null;
  #silence: ReturnType<typeof setTimeout> | undefined;

  constructor(around: DownloadSurroundings, options: DownloadOptions) {
    this.#around = around;
    this.#options = options;
    this.#policy = options.policy;
    this.taskId = options.taskId;
    this.task = options.task;
  }

  get state(): DownloadState {
    return this.#state;
  }

  /** The version that is being brought, once it is known. */
  get transfer(): ContentTransfer | null {
    return this.#transfer;
  }

  get contentId(): string | null {
    return this.#transfer?.content.facts.contentId ?? null;
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
    if (policy.seedsOnly === seedsOnly || this.#ownRead !== null || !this.#owner?.isOpen) return;
    this.#attempt(() => this.#rejoin());
  }

  /** Ends the download; what is here stays and is shared. */
  stop(error = new DfError("interrupted", `bring ${this.#shownUrl}: stopped`)): void {
    if (this.#state.kind === "running") this.#state = { kind: "failed", error };
    this.#stop.abort(error);
    clearTimeout(this.#silence);
    this.#owner?.leave(this);
    this.#transfer?.stop();
    const known = this.#known();
    if (known !== undefined) this.#owner?.hold([known]);
    this.#ended();
  }

  // What the owner says, in the order of its messages.

  joined(joined: Joined): void {
    clearTimeout(this.#silence);
    this.#inOrder(() => {
      const backlog: (() => void)[] = [];
      this.#backlog = backlog;
      this.#attempt(() => this.#open(joined, backlog));
    });
  }

  moved(address: string): void {
    const owner = this.#around.supernodes.at(address);
    this.#attempt(async () => {
      if (await owner.reach()) return this.#joinAt(owner);
      await this.#joinOwner();
    });
  }

  refused(error: DfError): void {
    // A supernode does not read some sources for others; this host may read them for itself.
    if (error.code === "not-shareable" && this.#policy.mayReadSource) {
      this.notices.push(`${error.message}: reading from the source on this host`);
      this.#attempt(() => this.#readSelf(null));
    } else this.#fail(error);
  }

  rows(rows: readonly NumberedRow[]): void {
    this.#inOrder(() => {
      if (this.#transfer?.learn(rows) === false) this.#attempt(() => this.#startOver());
    });
  }

  assigned(assignments: ReceivedAssignment[]): void {
    this.#inOrder(() => this.#transfer?.step({ kind: "assigned", assignments }));
  }

  closed(facts: { length: number; md5: string; sha256: string | null }): void {
    this.#inOrder(() => this.#attempt(() => this.#close(facts)));
  }

  failed(error: DfError): void {
    this.#inOrder(() => {
      if (error.code !== "source-changed") return this.#fail(error);
      this.#attempt(() => this.#rejoin());
    });
  }

  channelLost(): void {
    this.#backlog = null;
    this.#transfer?.step({ kind: "channelLost" });
    // The owner may be back in a moment; after some silence the next member is asked.
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#attempt(() => this.#joinNext()), OWNER_SILENCE_MS);
  }

  channelOpened(): void {
    this.#attempt(() => this.#rejoin());
  }

  // Joining.

  async #joinOwner(): Promise<void> {
    const { supernodes } = this.#around;
    const task = { taskId: this.taskId, mayReadSource: () => this.#policy.mayReadSource };
    const owner = await findOwner(supernodes, task, this.#stop.signal);
    if (owner !== null) return this.#joinAt(owner);
    if (!supernodes.isEmpty) this.notices.push("no supernode answers: reading from the source");
    await this.#readSelf(null);
  }

  /** Joins at another member while the owner is away; its own return is waited for otherwise. */
  async #joinNext(): Promise<void> {
    const next = await this.#around.supernodes.ownerOf(this.taskId);
    if (this.#stop.signal.aborted || this.#owner?.isOpen) return;
    if (next !== undefined) return this.#joinAt(next);
    // Nothing was brought yet that could go on without an owner.
    if (this.#transfer === null) return this.#joinOwner();
  }

  #joinAt(owner: SwarmClient): void {
    if (this.#owner !== owner) this.#owner?.leave(this);
    this.#owner = owner;
    this.#join();
  }

  /** Joins the owner again: after its return, or because the source has a new version. */
  async #rejoin(): Promise<void> {
    if (this.#ownRead !== null) {
      // Two writers in one piece could spoil it: the swarm goes on only when the source read ended.
      this.#ownRead.abort.abort(new DfError("interrupted", "the swarm is back"));
      await this.#ownRead.ended;
    }
    if (this.#state.kind !== "running" || this.#stop.signal.aborted) return;
    this.#join();
  }

  #join(): void {
    const { seedsOnly } = this.#policy;
    this.#owner?.join(this, this.task, { known: this.#known(), seedsOnly });
  }

  /** What is here contradicts the owner's manifest: fetches everything anew. */
  async #startOver(): Promise<void> {
    const contentId = this.contentId;
    this.#transfer?.stop();
    this.#transfer = null;
    if (contentId !== null) await this.#around.store.delete(contentId);
    await this.#rejoin();
  }

  #known(): KnownContent | undefined {
    const content = this.#transfer?.content ?? this.#around.store.findByTask(this.taskId);
    if (content === undefined || content.have.count === 0) return undefined;
    return knownOf(content);
  }

  // The content.

  /**
   * Opens what the owner named; messages for it wait in `backlog` meanwhile. A channel that is lost,
   * or a newer answer, has another backlog: then this one is outdated.
   */
  async #open(joined: Joined, backlog: (() => void)[]): Promise<void> {
    const { pieceLength, length } = joined;
    const content = await openContent(this.#around.store, this.task.url, joined);
    if (this.#stop.signal.aborted || this.#backlog !== backlog) return;
    const transfer = this.#become(content);
    if (joined.md5 !== null) this.#digests = { md5: joined.md5, sha256: joined.sha256 };
    this.#inline = joined.inline;
    if (joined.inline !== undefined && !(await takeInline(transfer, joined.inline))) {
      this.#backlog = null;
      return this.#startOver();
    }
    if (this.#backlog !== backlog) return;
    const pieceCount = length === null ? null : pieceCountOf(length, pieceLength);
    transfer.step({ kind: "joined", pieceCount, pieceLength, swarmSize: joined.swarmSize });
    this.#finishWhenWhole();
    this.#backlog = null;
    // One of them may open another version, which the others then wait for.
    for (const message of backlog) this.#inOrder(message);
  }

  #close(facts: { length: number; md5: string; sha256: string | null }): void {
    if (this.#transfer === null) return;
    const { content } = this.#transfer;
    if (content.manifest.layout.length === null) content.setLength(facts.length);
    this.#transfer.offer();
    this.#digests = { md5: facts.md5, sha256: facts.sha256 };
    const pieceCount = pieceCountOf(facts.length, content.manifest.layout.pieceLength);
    this.#transfer.step({ kind: "closed", pieceCount });
    this.#finishWhenWhole();
  }

  /** Makes `content` the version that is being brought. */
  #become(content: StoredContent): ContentTransfer {
    if (this.#transfer?.content === content) return this.#transfer;
    const { contentId } = content.facts;
    this.#versions.add(contentId);
    if (this.#versions.size > VERSIONS_MAX) {
      throw new DfError("source-changed", `bring ${this.#shownUrl}: it changes while it is read`, {
        hint: "try again when the source is quiet",
        taskId: this.taskId,
      });
    }
    this.#transfer?.stop();
    this.#digests = content.digests;
    this.#inline = undefined;
    const { client, shared, hostPacer, supernodes } = this.#around;
    const transfer: ContentTransfer = new ContentTransfer(content, {
      client,
      shared,
      pacers: [this.#options.pacer, hostPacer],
      // Readers come and go: whether one allows it is looked at when it comes to that.
      mayReadSource: true,
      isSupernode: (address) => supernodes.isPieceAddress(address),
      pull: (pull) => this.#owner?.pull(this, pull),
      readSource: () => this.#attempt(() => this.#readRest(transfer)),
      onProgress: () => this.changes.notify(),
      onComplete: () => this.#finishWhenWhole(),
      onFailure: (error) => this.#fail(error),
    });
    this.#transfer = transfer;
    content.touch();
    this.changes.notify();
    return transfer;
  }

  /** The owner is silent: reads what is missing from the source, if a reader allows it. */
  async #readRest(transfer: ContentTransfer): Promise<void> {
    if (this.#policy.mayReadSource) {
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
    const { store, sources } = this.#around;
    const abort = new AbortController();
    const ended = Promise.withResolvers<void>();
    this.#ownRead = { abort, ended: ended.promise };
    let brought = transfer;
    let isOutdated = false;
    try {
      this.#digests = await readFromSource(
        {
          ...{ store, sources, taskId: this.taskId, task: this.task },
          content: transfer?.content ?? null,
          rateBytesPerSec: this.#options.pacer.rateBytesPerSec,
          onOpened: (content) => (brought ??= this.#become(content)),
          onPiece: (piece) => brought!.gained(piece, "source"),
        },
        AbortSignal.any([abort.signal, this.#stop.signal]),
      );
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
    const transfer = this.#transfer;
    if (this.#state.kind !== "running" || !transfer?.isComplete || this.#digests === null) return;
    this.#state = { kind: "done", digests: this.#digests, inline: this.#inline };
    clearTimeout(this.#silence);
    this.#owner?.detach(this);
    this.#ended();
    void sealContent(transfer, this.#digests, this.#around);
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

  /** Runs now, or after the content that is being opened. */
  #inOrder(message: () => void): void {
    if (this.#backlog === null) message();
    else this.#backlog.push(message);
  }

  get #shownUrl(): string {
    return redactUrl(this.task.url);
  }
}
