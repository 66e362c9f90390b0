// A task brought from a supernode's swarm: says join, opens the content that the answer names, keeps
// messages in order meanwhile, and lets a ContentTransfer bring the pieces. Peers bring what their
// readers ask for this way, supernodes what another supernode has. Where to join is the caller's.
//
//   joinAt ─▶ joined ─▶ opening (messages wait) ─▶ rows, assigned, closed ─▶ whole
//      ▲         │ moved, refused: the caller's            │ failed: the caller's
//      └─────────┴────────── join ◀── contradiction, channel back, source changed

import type { ReceivedAssignment } from "../../engine/core/download-events.ts";
import type { Pull } from "../../engine/core/scheduler-events.ts";
import { pieceCountOf } from "../../engine/core/piece-layout.ts";
import { DfError } from "../../errors.ts";
import { OWNER_SILENCE_MS } from "../../limits.ts";
import { otherDigest } from "../../net/source/source-fault.ts";
import type { KnownContent } from "../../net/swarm/join-message.ts";
import type { SwarmClient } from "../../net/swarm/swarm-client.ts";
import type { ClosedContent, SwarmMember } from "../../net/swarm/swarm-member.ts";
import { redactUrl } from "../../net/task-request.ts";
import type { NumberedRow, SignedGroup } from "../../net/wire/swarm-frames.ts";
import type { Joined } from "../../net/wire/swarm-messages.ts";
import type { Authorise } from "../../net/wire/ticketed-request.ts";
import type { ContentDigests, StoredContent } from "../../store/piece-store.ts";
import type { NamedSupernode } from "../../net/tls/supernode-endpoint.ts";
import type { ContentTransfer } from "./content-transfer.ts";
import { hasNamedDigest } from "./download-faults.ts";
import { openContent } from "./open-content.ts";
import { knownOf } from "./supernodes.ts";
import type { SwarmReadOptions } from "./swarm-read-parts.ts";
import { takeInline } from "./take-inline.ts";

/** The rows of a content come in one burst: one more join is enough for all that were replaced. */
const MORE_ROWS_MS = 100;

/** Who goes on together when the supernode is silent. */
interface NamedNeighbours {
  /** "host:port" of their piece servers. */
  addresses: readonly string[];
  /** Hosts that take part in the content. */
  swarmSize: number;
}

export class SwarmRead implements SwarmMember {
  readonly #options: SwarmReadOptions;
  #channel: SwarmClient | null = null;
  #transfer: ContentTransfer | null = null;
  #digests: ContentDigests | null = null;
  #inline: string | undefined;
  /** The newest one; null: the content is not private, or nobody gave one. */
  #ticket: string | null = null;
  /** Messages that came while a content was being opened. */
  #backlog: (() => void)[] | null = null;
  #isStopped = false;
  /** Whether the supernode's word counts: from its answer to a join on, until it is lost or silent. */
  #isJoined = false;
  /** Answers to joins, numbered as they come; and which of them named the content that is brought. */
  #lastAnswer = 0;
  #openedAnswer = 0;
  #neighbours: NamedNeighbours = { addresses: [], swarmSize: 1 };
  #joinAgain: ReturnType<typeof setTimeout> | undefined;
  /** Pieces of the transfer were thrown away: what it says to be here counts no more. */
  #isJoiningAgain = false;
  /** What the last join said to be here. */
  #told: { contentId: string; words: Uint32Array } | null = null;

  /** What parents of a private content want to see with each request. */
  readonly authorise: Authorise = (asked) => {
    const { signer } = this.#options;
    if (this.#ticket === null || signer === undefined) return {};
    return signer.fields(this.#ticket, asked);
  };

  constructor(options: SwarmReadOptions) {
    this.#options = options;
  }

  /** Where it takes part, or did last. */
  get channel(): SwarmClient | null {
    return this.#channel;
  }

  /** The version that is being brought, once it is known. */
  get transfer(): ContentTransfer | null {
    return this.#transfer;
  }

  /** Of the whole content; null until they are known. */
  get digests(): ContentDigests | null {
    return this.#digests;
  }

  /** A tiny content, base64, as it came with the answer. */
  get inline(): string | undefined {
    return this.#inline;
  }

  /** Whether every piece is here and the digests are known. */
  get isWhole(): boolean {
    if (this.#isJoiningAgain) return false;
    return this.#transfer?.isComplete === true && this.#digests !== null;
  }

  /** As the supernode named them last. */
  get named(): NamedNeighbours {
    return this.#neighbours;
  }

  joinAt(channel: SwarmClient): void {
    if (this.#channel !== channel) this.#channel?.leave(this);
    this.#channel = channel;
    this.join();
  }

  /** Joins at the same supernode, again perhaps. */
  join(): void {
    const { task, events } = this.#options;
    const content = this.#whatIsHere();
    const known = content === undefined ? undefined : knownOf(content);
    this.#told =
      content === undefined
        ? null
        : { contentId: content.facts.contentId, words: content.have.words.slice() };
    this.#channel?.join(this, task, { ...events.joinOptions(), known });
  }

  /** Takes what another reader, e.g. of the source, found out; bytes of another digest than the task's go. */
  learnDigests(digests: ContentDigests): void {
    const { task } = this.#options;
    if (hasNamedDigest(task, digests)) this.#digests = digests;
    else this.#refuse(otherDigest(task.url).error);
  }

  /** Makes `content` the version that is being brought. @throws {DfError} as `transferOf` */
  become(content: StoredContent): ContentTransfer {
    if (this.#transfer?.content === content) return this.#transfer;
    const transfer = this.#options.events.transferOf(content);
    this.#transfer?.stop();
    this.#digests = content.digests;
    this.#inline = undefined;
    this.#isJoiningAgain = false;
    this.#transfer = transfer;
    content.touch();
    return transfer;
  }

  /** Without effect while a content is opened: the handle is the new content's, the pull the former's. */
  pull(pull: Pull): void {
    if (this.#openedAnswer === this.#lastAnswer) this.#channel?.pull(this, pull);
  }

  /** Stops listening; the supernode goes on sending others here for the pieces. */
  detach(): void {
    this.#channel?.detach(this);
  }

  /** Ends the read; what is here stays and is offered. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#joinAgain);
    this.#channel?.leave(this);
    this.#transfer?.stop();
    const known = this.known();
    if (known !== undefined) this.#channel?.hold([known]);
  }

  /** What is here of the task. */
  known(): KnownContent | undefined {
    const content = this.#whatIsHere();
    return content === undefined ? undefined : knownOf(content);
  }

  #whatIsHere(): StoredContent | undefined {
    const { store, taskId } = this.#options;
    const content = this.#transfer?.content ?? store.findByTask(taskId);
    return content === undefined || content.have.count === 0 ? undefined : content;
  }

  // What the supernode says, in the order of its messages.

  joined(joined: Joined): void {
    this.#isJoined = true;
    const answer = ++this.#lastAnswer;
    this.#ticket = joined.ticket ?? null;
    this.#options.events.joined(joined.stale);
    this.#inOrder(() => {
      const backlog: (() => void)[] = [];
      this.#backlog = backlog;
      this.#attempt(() => this.#open(joined, backlog, answer));
    });
  }

  moved(place: NamedSupernode, isDelegated: boolean): void {
    this.#options.events.moved(place, isDelegated);
  }

  refused(error: DfError): void {
    this.#options.events.refused(error);
  }

  rows(rows: readonly NumberedRow[]): void {
    this.#inOrder(() => {
      if (this.#transfer === null) return;
      const transfer = this.#transfer;
      if (transfer.otherForms(rows).length > 0)
        return this.#attempt(() => this.#takeForms(transfer, rows));
      if (!transfer.learn(rows)) this.#attempt(() => this.#startOver());
    });
  }

  signed(groups: readonly SignedGroup[]): void {
    this.#inOrder(() => {
      if (this.#transfer?.signatures.areRight(groups) === false) this.#refuse(this.#forged);
    });
  }

  assigned(assignments: ReceivedAssignment[]): void {
    this.#inOrder(() => this.#transfer?.step({ kind: "assigned", assignments }));
  }

  closed(whole: ClosedContent): void {
    this.#inOrder(() => this.#attempt(() => this.#close(whole)));
  }

  /** Not in order: whatever waits for the content may need it. */
  ticket(ticket: string): void {
    if (this.#isJoined) this.#ticket = ticket;
  }

  failed(error: DfError): void {
    this.#inOrder(() => {
      if (error.code === "forged" || error.code === "checksum") this.#refuse(error);
      else this.#options.events.contentFailed(error);
    });
  }

  neighbours(addresses: readonly string[], swarmSize: number): void {
    this.#neighbours = { addresses, swarmSize };
  }

  channelLost(): void {
    this.#goWithout(0);
  }

  channelSilent(): void {
    this.#goWithout(OWNER_SILENCE_MS);
  }

  channelOpened(): void {
    this.#options.events.channelOpened();
  }

  #goWithout(silentMs: number): void {
    this.#isJoined = false;
    this.#backlog = null;
    this.#transfer?.step({ kind: "channelLost" });
    this.#options.events.channelLost(silentMs);
  }

  /**
   * Opens what the supernode named; messages for it wait in `backlog` meanwhile. A channel that is
   * lost, or a newer answer, has another backlog: then this one is outdated.
   */
  async #open(joined: Joined, backlog: (() => void)[], answer: number): Promise<void> {
    const { pieceLength, length } = joined;
    const { store, task, events } = this.#options;
    const content = await openContent(store, task.url, joined);
    if (this.#isStopped || this.#backlog !== backlog) return;
    const transfer = this.become(content);
    this.#neighbours = { ...this.#neighbours, swarmSize: joined.swarmSize };
    const isAnother = joined.md5 !== null && (this.#digests?.md5 ?? joined.md5) !== joined.md5;
    if (isAnother) {
      // Only what neighbours vouched for can be so: the supernode's word counts.
      this.#backlog = null;
      return this.#startOver();
    }
    if (joined.md5 !== null && !this.#learnWhole({ ...joined, md5: joined.md5 })) return;
    this.#inline = joined.inline;
    if (joined.inline !== undefined && !(await takeInline(transfer, joined.inline))) {
      this.#backlog = null;
      return this.#startOver();
    }
    if (this.#backlog !== backlog) return;
    const pieceCount = length === null ? null : pieceCountOf(length, pieceLength);
    const known = this.#told?.contentId === joined.contentId ? this.#told.words : null;
    this.#openedAnswer = answer;
    transfer.step({ kind: "joined", pieceCount, known });
    events.advanced();
    this.#backlog = null;
    // One of them may open another version, which the others then wait for.
    for (const message of backlog) this.#inOrder(message);
  }

  #close(whole: ClosedContent): void {
    if (this.#transfer === null) return;
    const { content } = this.#transfer;
    if (content.manifest.layout.length === null) content.setLength(whole.length);
    this.#transfer.offer();
    if (!this.#learnWhole(whole)) return;
    const pieceCount = pieceCountOf(whole.length, content.manifest.layout.pieceLength);
    this.#transfer.step({ kind: "closed", pieceCount });
    this.#options.events.advanced();
  }

  /** Takes the digests of the whole, unless the fleet did not sign them, or the rows that lead there. */
  #learnWhole({ md5, sha256, signature }: Omit<ClosedContent, "length">): boolean {
    const { signatures } = this.#transfer!;
    const bytes = signature === undefined ? null : Uint8Array.fromBase64(signature);
    const isRight = signatures.isWholeRight({ md5, sha256 }, bytes) && signatures.areRight([]);
    if (isRight) this.learnDigests({ md5, sha256 });
    else this.#refuse(this.#forged);
    return this.#digests !== null;
  }

  get #forged(): DfError {
    const { task, taskId } = this.#options;
    return new DfError(
      "forged",
      `bring ${redactUrl(task.url)}: its rows are not as the fleet signed them`,
      {
        hint: "ask the fleet's operator: a supernode tells what it does not vouch for",
        taskId,
      },
    );
  }

  /** What was told is not the fleet's: nothing of it stays here. */
  #refuse(error: DfError): void {
    const contentId = this.#transfer?.content.facts.contentId;
    this.#transfer?.stop();
    this.#transfer = null;
    this.#digests = null;
    this.#backlog = null;
    this.#isJoined = false;
    this.#attempt(async () => {
      if (contentId !== undefined) await this.#options.discard(contentId);
      throw error;
    });
  }

  /**
   * Pieces that were made here, or elsewhere, without the owner are in other forms than the owner's:
   * those must come again, and the owner must know that they are not here.
   */
  async #takeForms(transfer: ContentTransfer, rows: readonly NumberedRow[]): Promise<void> {
    const { task, adoptsForms = false, events } = this.#options;
    if (!adoptsForms) {
      const message = `bring ${redactUrl(task.url)}: what is here was compressed or sealed otherwise`;
      return events.contentFailed(new DfError("unavailable", message));
    }
    this.#isJoiningAgain = true;
    const backlog: (() => void)[] = [];
    this.#backlog = backlog;
    // A piece that is just being written was checked by its former row, and must not count by the new one.
    await transfer.giveWay();
    const isLearned = this.#replaceForms(transfer, rows);
    const isNews = this.#backlog === backlog;
    if (isNews) this.#backlog = null;
    if (!isLearned) return this.#startOver();
    if (isNews) for (const message of backlog) this.#inOrder(message);
  }

  /** Returns false when rows contradict what is here. */
  #replaceForms(transfer: ContentTransfer, rows: readonly NumberedRow[]): boolean {
    if (this.#isStopped || this.#transfer !== transfer) return true;
    transfer.stop();
    for (const { piece, row } of transfer.otherForms(rows)) transfer.content.replaceRow(piece, row);
    this.#joinAgain ??= setTimeout(() => {
      this.#joinAgain = undefined;
      if (this.#isStopped || this.#transfer !== transfer) return;
      this.#transfer = null;
      this.#options.events.startedOver();
    }, MORE_ROWS_MS);
    return transfer.learn(rows);
  }

  /** What is here contradicts the supernode's manifest: fetches everything anew. */
  async #startOver(): Promise<void> {
    const contentId = this.#transfer?.content.facts.contentId;
    this.#transfer?.stop();
    this.#transfer = null;
    if (contentId !== undefined) await this.#options.store.delete(contentId);
    this.#options.events.startedOver();
  }

  /** Runs work of this read; what it throws ends it. */
  #attempt(work: () => Promise<void> | void): void {
    const run = async (): Promise<void> => work();
    run().catch((error: unknown) => this.#options.events.broke(error));
  }

  /**
   * Runs now, or after the content that is being opened. What a silent supernode says when it speaks
   * again is of a part in the swarm that is over: others may be bringing its pieces meanwhile.
   */
  #inOrder(message: () => void): void {
    if (!this.#isJoined) return;
    if (this.#backlog === null) message();
    else this.#backlog.push(message);
  }
}
