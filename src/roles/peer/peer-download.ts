// One task on this host: joins it at its owner, follows it to another supernode or another version,
// reads the source itself where that is allowed, and ends with every piece here or with an error.
//
//   starting ─▶ joining ─▶ open (a ContentTransfer brings pieces) ─▶ done
//      │           ▲  │ moved, lost      │ source-changed                │
//      │           └──┴──────────────────┘ owner silent: NeighbourMode   ▼
//      └─▶ reading the source itself ─────────────────────────▶ done | failed

import { pieceCountOf } from "../../engine/core/piece-layout.ts";
import { DfError, isDfError, messageOf } from "../../errors.ts";
import { OWNER_SILENCE_MS } from "../../limits.ts";
import type { SwarmClient } from "../../net/swarm/swarm-client.ts";
import { isTag, namedDigestOf } from "../../net/registry/registry-task.ts";
import { redactUrl } from "../../net/task-request.ts";
import type { NamedSupernode } from "../../net/tls/supernode-endpoint.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { StoredContent } from "../../store/piece-store.ts";
import { Changes } from "./changes.ts";
import { ContentTransfer } from "./content-transfer.ts";
import type {
  DownloadOptions,
  DownloadPolicy,
  DownloadState,
  DownloadSurroundings,
} from "./download-parts.ts";
import {
  bringsAnother,
  changesTooOften,
  isGuarded,
  needsSupernode,
  unexpected,
} from "./download-faults.ts";
import { findOwner } from "./find-owner.ts";
import { isFreshNow, keptVersion, outlives, type KeptVersion } from "./kept-version.ts";
import { readFromSource } from "./own-read.ts";
import { sealContent } from "./seal-content.ts";
import { SourceTurn } from "./source-turn.ts";
import { SwarmRead } from "./swarm-read.ts";
import { WithoutOwner } from "./without-owner.ts";

/** Members that disagree about the owner may send a peer round: after so many moves the next one is to serve it. */
const MOVES_MAX = 4;

/** While no supernode answers, they are tried again after one to two times this long. */
const OWNER_RETRY_MS = 5_000;

/** An owner whose channel broke may be back within this time; then another member is asked to serve. */
const OTHER_MEMBER_MS = 1_000;

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
  /** Why the version may be out of date, as the supernode says; null: it is current. */
  stale: string | null = null;
  readonly #around: DownloadSurroundings;
  readonly #options: DownloadOptions;
  readonly #stop = new AbortController();
  #policy: DownloadPolicy;
  #state: DownloadState = { kind: "running" };
  readonly #swarm: SwarmRead;
  #isDelegated = false;
  #isSeeking = false;
  #moves = 0;
  #versions = new Set<string>();
  readonly #turn = new SourceTurn(this.#stop.signal);
  #silence: ReturnType<typeof setTimeout> | undefined;
  #otherMember: ReturnType<typeof setTimeout> | undefined;
  readonly #withoutOwner: WithoutOwner;

  constructor(around: DownloadSurroundings, options: DownloadOptions) {
    this.#around = around;
    this.#options = options;
    this.#policy = options.policy;
    this.taskId = options.taskId;
    this.task = options.task;
    this.#swarm = this.#newSwarmRead();
    this.#withoutOwner = this.#newWithoutOwner();
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
    this.#withoutOwner.rationed();
    // A join tells the owner whose pieces are wanted.
    if (policy.seedsOnly === seedsOnly || this.#turn.isTaken || !this.#isConnected) return;
    this.#attempt(() => this.#rejoin());
  }

  /** Ends the download; what is here stays and is shared. */
  stop(error = new DfError("interrupted", `bring ${redactUrl(this.task.url)}: stopped`)): void {
    if (this.#state.kind === "running") this.#state = { kind: "failed", error };
    this.#stop.abort(error);
    clearTimeout(this.#silence);
    clearTimeout(this.#otherMember);
    this.#withoutOwner.end();
    this.#swarm.stop();
    this.#ended();
  }

  #newSwarmRead(): SwarmRead {
    const { taskId, task } = this;
    return new SwarmRead({
      ...{ taskId, task, store: this.#around.store, signer: this.#around.signer },
      adoptsForms: true,
      discard: (contentId) => this.#around.shared.discard(contentId),
      events: {
        joinOptions: () => ({ seedsOnly: this.#policy.seedsOnly, isDelegated: this.#isDelegated }),
        joined: (stale) => {
          clearTimeout(this.#silence);
          this.stale = stale ?? null;
          if (stale !== undefined) this.#tell(`this version may be out of date: ${stale}`);
          this.#withoutOwner.end();
          this.#moves = 0;
        },
        moved: (place, isDelegated) => this.#attempt(() => this.#moved(place, isDelegated)),
        refused: (error) => this.#refused(error),
        contentFailed: (error) => {
          if (error.code !== "source-changed") return this.#fail(error);
          this.#attempt(() => this.#rejoin());
        },
        channelLost: (silentMs) => this.#channelLost(silentMs),
        channelOpened: () => this.#attempt(() => this.#rejoin()),
        startedOver: () => this.#attempt(() => this.#rejoin()),
        transferOf: (content) => this.#transferOf(content),
        advanced: () => this.#finishWhenWhole(),
        broke: (error) => this.#fail(error),
      },
    });
  }

  #newWithoutOwner(): WithoutOwner {
    return new WithoutOwner(this.#around, {
      ...{ task: this.task, pacer: this.#options.pacer, swarm: this.#swarm, turn: this.#turn },
      stopped: this.#stop.signal,
      isConnected: () => this.#isConnected,
      mayGoBackToSource: () => this.#mayGoBackToSource,
      seedsOnly: () => this.#policy.seedsOnly,
      tell: (notice) => this.#tell(notice),
      readSelf: (transfer) => this.#readSelf(transfer),
      advanced: () => this.#finishWhenWhole(),
      attempt: (work) => this.#attempt(work),
    });
  }

  /** Follows to the supernode that serves this task; one that this host cannot reach is passed over. */
  async #moved(place: NamedSupernode, isDelegated: boolean): Promise<void> {
    const from = this.#swarm.channel;
    const to = this.#around.supernodes.toward(place);
    const isSentRound = ++this.#moves > MOVES_MAX;
    if (await to.reach()) return this.#joinAt(to, isDelegated || isSentRound);
    if (from?.isOpen === true) return this.#joinAt(from, true);
    await this.#joinOwner();
  }

  #refused(error: DfError): void {
    // A supernode does not read some sources for others; this host may read them for itself.
    if (error.code === "not-shareable" && this.#policy.mayReadSource && !isGuarded(this.task)) {
      this.notices.push(`${error.message}: reading from the source on this host`);
      this.#attempt(() => this.#readSelf(null));
    } else this.#fail(error);
  }

  #channelLost(silentMs: number): void {
    // The owner may be back in a moment; after some silence neighbours and the next member are asked.
    clearTimeout(this.#silence);
    const waitMs = this.#withoutOwner.isOn ? 0 : OWNER_SILENCE_MS - silentMs;
    this.#silence = setTimeout(() => this.#goOnWithoutOwner(), waitMs);
    clearTimeout(this.#otherMember);
    if (waitMs > OTHER_MEMBER_MS)
      this.#otherMember = setTimeout(() => this.#joinOtherMember(), OTHER_MEMBER_MS);
  }

  /** A member of the cluster has much of what is in flight: it serves while it is not yet clear whether the owner is dead. */
  #joinOtherMember(): void {
    if (this.#state.kind !== "running" || this.#turn.isTaken || this.#isConnected) return;
    const member = this.#around.supernodes.openMemberFor(this.taskId);
    if (member !== undefined) this.#attempt(() => this.#joinAt(member, true));
  }

  #goOnWithoutOwner(): void {
    if (this.#state.kind !== "running" || this.#isConnected) return;
    this.#attempt(() => this.#joinNext());
    this.#withoutOwner.begin();
    this.#withoutOwner.rationed();
    if (this.#needsOwner) return;
    const retryMs = OWNER_RETRY_MS * (1 + Math.random());
    this.#silence = setTimeout(() => this.#goOnWithoutOwner(), retryMs);
  }

  /** Nothing is here that could end without an owner, as no tag can: one must be found, or the source read. */
  get #needsOwner(): boolean {
    if (this.transfer === null || isTag(this.task)) return true;
    return this.transfer.content.manifest.layout.length === null && this.#mayGoBackToSource;
  }

  async #joinOwner(): Promise<void> {
    if (this.#isSeeking) return;
    const { supernodes } = this.#around;
    const kept = this.#keptVersion;
    // The digest names the bytes: there is nothing to ask.
    if (kept !== null && namedDigestOf(this.task) !== null) return this.#useKept(kept);
    if (kept !== null && isFreshNow(kept) && (await supernodes.ownerOf(this.taskId)) === undefined)
      return this.#useKept(kept, "no supernode answers: this host's copy is fresh and used");
    const task = {
      ...{ taskId: this.taskId, mayReadSource: () => this.#mayGoBackToSource },
      sourceReadersPerSec: () => this.#around.settings.current.sourceReadersPerSec,
    };
    // Two that seek would draw twice this host's share of the source.
    this.#isSeeking = true;
    const owner = await findOwner(supernodes, task, this.#stop.signal);
    this.#isSeeking = false;
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
    if (this.#needsOwner) return this.#joinOwner();
  }

  /** `isDelegated`: a member that does not own the task is to serve it, because the owner says so or is out of reach. */
  async #joinAt(supernode: SwarmClient, isDelegated: boolean): Promise<void> {
    // Two writers in one piece could spoil it: the swarm goes on only when the source read ended.
    await this.#turn.giveWay();
    if (this.#state.kind !== "running" || this.#stop.signal.aborted) return;
    this.#isDelegated = isDelegated;
    this.#swarm.joinAt(supernode);
    // Lost or silent since it was found: nobody else would say so.
    if (!supernode.isOpen) this.#channelLost(0);
  }

  /** Joins the owner again: after its return, or because the source has a new version. */
  async #rejoin(): Promise<void> {
    await this.#turn.giveWay();
    if (this.#state.kind !== "running" || this.#stop.signal.aborted) return;
    this.#swarm.join();
  }

  get #keptVersion(): KeptVersion | null {
    // Only the source can say whether this user may have it, or what a tag means now.
    if (this.task.credentials !== undefined || isTag(this.task)) return null;
    return keptVersion(this.#around, this.taskId, this.task);
  }

  /** Ends the download with the copy that is here whole. */
  #useKept({ content }: KeptVersion, notice?: string): void {
    if (notice !== undefined) this.#tell(notice);
    const transfer = this.#swarm.become(content);
    const { length, pieceLength } = content.manifest.layout;
    transfer.step({ kind: "closed", pieceCount: pieceCountOf(length!, pieceLength) });
    this.#finishWhenWhole();
  }

  #transferOf(content: StoredContent): ContentTransfer {
    const { contentId } = content.facts;
    if (!this.#options.mayBring(contentId)) throw bringsAnother(this);
    this.#versions.add(contentId);
    if (this.#versions.size > VERSIONS_MAX) throw changesTooOften(this);
    const { client, shared, firstHand, clusterKey, hostPacer, supernodes } = this.#around;
    const transfer = new ContentTransfer(content, {
      ...{ client, shared, firstHand, clusterKey, authorise: this.#swarm.authorise },
      pacers: [this.#options.pacer, hostPacer],
      isSupernode: (address) => supernodes.isPieceAddress(address),
      pull: (pull) =>
        this.#withoutOwner.isOn ? this.#withoutOwner.pulled(pull) : this.#swarm.pull(pull),
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

  /** Reads the source on this host: all of it, or what `transfer` still lacks. */
  async #readSelf(transfer: ContentTransfer | null): Promise<void> {
    if (this.#turn.isTaken) return;
    if (transfer === null && isGuarded(this.task)) throw needsSupernode(this);
    const { store, sources, settings } = this.#around;
    const turn = this.#turn.take();
    const former = this.transfer;
    let [brought, isOutdated] = [transfer, false];
    try {
      await former?.giveWay();
      const digests = await readFromSource(
        {
          ...{ store, sources, taskId: this.taskId, task: this.task },
          content: transfer?.content ?? null,
          rateBytesPerSec: this.#options.pacer.rateBytesPerSec,
          pieceLength: settings.current.pieceLength,
          onOpened: (content) => (brought ??= this.#swarm.become(content)),
          onPiece: (piece) => brought!.gained(piece, "source"),
        },
        turn.signal,
      );
      this.#swarm.learnDigests(digests);
      brought!.offer();
      const { length, pieceLength } = brought!.content.manifest.layout;
      brought!.step({ kind: "closed", pieceCount: pieceCountOf(length!, pieceLength) });
      this.#finishWhenWhole();
    } catch (error) {
      // The swarm took over, or can still bring what the source did not.
      if (turn.signal.aborted) return;
      if (transfer === null) throw error;
      // The version that the swarm had is gone at the source: the present one is read instead.
      isOutdated = isDfError(error, "source-changed");
      this.#around.onWarning(`read the source of ${redactUrl(this.task.url)}: ${messageOf(error)}`);
    } finally {
      former?.goOn();
      turn.end();
    }
    if (isOutdated) await this.#readSelf(null);
  }

  #finishWhenWhole(): void {
    const { transfer, digests, inline } = this.#swarm;
    if (this.#state.kind !== "running") return;
    const isUndigested = transfer?.isComplete === true && digests === null;
    if (isUndigested && this.#withoutOwner.isOn) this.#withoutOwner.digest(transfer);
    if (!this.#swarm.isWhole) return;
    this.#state = { kind: "done", digests: digests!, inline };
    clearTimeout(this.#silence);
    this.#withoutOwner.end();
    this.#swarm.detach();
    this.#ended();
    void sealContent(transfer!, digests!, this.#around);
  }

  #tell(notice: string): void {
    if (this.notices.includes(notice)) return;
    this.notices.push(notice);
    this.changes.notify();
  }

  #ended(): void {
    this.ending.notify();
    this.changes.notify();
  }

  #fail(error: unknown): void {
    if (this.#state.kind !== "running") return;
    const kept = this.#options.mustReadSelf ? null : this.#keptVersion;
    if (kept !== null && outlives(kept, error)) {
      const notice = `${messageOf(error)}: this host's copy is used, it may be out of date`;
      return this.#attempt(() => this.#useKept(kept, notice));
    }
    this.stop(isDfError(error) ? error : unexpected(this, error));
  }

  /** Runs work of this download; what it throws fails the download. */
  #attempt(work: () => Promise<void> | void): void {
    Promise.try(work).catch((error: unknown) => this.#fail(error));
  }

  get #isConnected(): boolean {
    return this.#swarm.channel?.isOpen === true;
  }
}
