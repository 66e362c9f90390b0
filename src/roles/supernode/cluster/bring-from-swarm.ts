// Brings a content from another supernode's swarm into the store that this supernode seeds from: it
// joins there like a peer, adopts the rows, and each piece is offered here the moment it is verified.
//
//   join ─▶ joined ─▶ sink.open ─▶ pieces ─▶ closed (digests) ─▶ end
//     │ refused for want of the content, moved round, dead ─▶ "gone": another place is tried

import type { Pacer } from "../../../engine/bytes/pacing.ts";
import { type DfError, type ErrorCode, isDfError } from "../../../errors.ts";
import type { PieceClient } from "../../../net/piece/piece-client.ts";
import { sourceChanged } from "../../../net/source/source-fault.ts";
import type { NamedSupernode } from "../../../net/tls/supernode-endpoint.ts";
import { redactUrl } from "../../../net/task-request.ts";
import type { Authorise } from "../../../net/wire/ticketed-request.ts";
import type { ContentFacts, PieceStore, StoredContent } from "../../../store/piece-store.ts";
import { ContentTransfer } from "../../peer/content-transfer.ts";
import { SwarmRead } from "../../peer/swarm-read.ts";
import type { SwarmReadEvents } from "../../peer/swarm-read-parts.ts";
import type { ClusterKey } from "../../signatures/cluster-key.ts";
import type { SourceReadEnd } from "../../worker/source-worker-messages.ts";
import type { ContentSink, WantedContent } from "../suppliers.ts";
import { DEAD_AFTER_MS, type MemberLink } from "./member-link.ts";

/**
 * Pieces asked for at once: what a scheduler gives one child at most. A supernode's link carries more
 * than a peer's, and each piece that it has early it gives on.
 */
export const SUPERNODE_FETCH_SLOTS = 8;

/** Supernodes that disagree about who owns a task may send the join round. */
const MOVES_MAX = 4;

/** How often a read that makes no progress looks whether the other supernode lives. */
const WATCH_INTERVAL_MS = 1_000;

/** One that lives and admits no channel for so long does not want this supernode. */
const REACH_PATIENCE_MS = 10_000;
const REACH_INTERVAL_MS = 200;

/** What a supernode says of itself, not of the source: another place may still have the content. */
const REASONS_TO_GO_ON = new Set<ErrorCode>([
  ...(["unavailable", "interrupted", "internal", "no-space", "denied", "usage"] as const),
  ...(["file-unwritable", "file-unreadable"] as const),
]);

/** Where to join and what to say. */
export interface SwarmPlace {
  readonly link: MemberLink;
  /** The other one serves for an owner that is out of reach. */
  readonly isDelegated: boolean;
  /** Only what it has or brings already is wanted. */
  readonly onlyHeld: boolean;
  /** Host IDs of the supernodes that this join comes through, this one the last. */
  readonly hops: readonly string[];
}

export interface SwarmSurroundings {
  store: PieceStore;
  client: PieceClient;
  /** The rate of all that is brought from other supernodes. */
  pacer: Pacer;
  /** Checks what the fleet signed. */
  clusterKey: ClusterKey;
  /** Undefined for what anybody may have. */
  authorise: (facts: ContentFacts) => Authorise | undefined;
  /** The link to a supernode that a join is moved to; undefined: that is this one. */
  linkAt: (place: NamedSupernode) => MemberLink | undefined;
}

/**
 * Brings what is missing; "gone": the place has it not, or no more.
 * @throws {DfError} what the source said, source-changed, or why this supernode cannot go on
 */
export async function bringFromSwarm(
  place: SwarmPlace,
  wanted: WantedContent,
  sink: ContentSink,
  around: SwarmSurroundings,
): Promise<SourceReadEnd | "gone"> {
  // What an unclean stop left in doubt must be told as it is.
  await around.store.findByTask(wanted.taskId)?.verify();
  sink.signal.throwIfAborted();
  return new SwarmBringing(place, wanted, sink, around).run();
}

class SwarmBringing implements SwarmReadEvents {
  readonly #wanted: WantedContent;
  readonly #sink: ContentSink;
  readonly #around: SwarmSurroundings;
  readonly #read: SwarmRead;
  readonly #end = Promise.withResolvers<SourceReadEnd | "gone">();
  #place: SwarmPlace;
  #moves = 0;
  #progressAtMs = performance.now();

  constructor(
    place: SwarmPlace,
    wanted: WantedContent,
    sink: ContentSink,
    around: SwarmSurroundings,
  ) {
    this.#place = place;
    this.#wanted = wanted;
    this.#sink = sink;
    this.#around = around;
    const { store } = around;
    this.#read = new SwarmRead({
      taskId: wanted.taskId,
      task: wanted.request,
      store: {
        get: (contentId) => store.get(contentId),
        findByTask: (taskId) => store.findByTask(taskId),
        create: (facts) => sink.open(facts),
        delete: () => Promise.reject(this.#changed),
      },
      // The registry deletes what failed.
      discard: () => Promise.resolve(),
      events: this,
    });
  }

  async run(): Promise<SourceReadEnd | "gone"> {
    const { signal } = this.#sink;
    const abandon = (): void => this.broke(signal.reason);
    signal.addEventListener("abort", abandon);
    const watch = setInterval(() => void this.#watch(), WATCH_INTERVAL_MS);
    try {
      if (await this.#isReached()) this.#read.joinAt(this.#place.link.channel);
      else this.#end.resolve("gone");
      const end = await this.#end.promise;
      // It stays a seed of the other swarm as long as the content is here.
      if (end !== "gone") this.#read.detach();
      return end;
    } finally {
      clearInterval(watch);
      signal.removeEventListener("abort", abandon);
      if (this.#read.isWhole) this.#read.transfer?.stop();
      else this.#read.stop();
    }
  }

  /** A channel may be closed for a moment though the other one lives: that is no reason to read the source. */
  async #isReached(): Promise<boolean> {
    const { link } = this.#place;
    const untilMs = performance.now() + REACH_PATIENCE_MS;
    while (!(await link.channel.reach())) {
      if (performance.now() > untilMs || !(await link.isAlive(this.#sink.signal))) return false;
      await Bun.sleep(REACH_INTERVAL_MS);
    }
    return true;
  }

  joinOptions() {
    const { isDelegated, onlyHeld, hops } = this.#place;
    return { isDelegated, onlyHeld, hops };
  }

  joined(): void {
    this.#moves = 0;
  }

  moved(place: NamedSupernode, isDelegated: boolean): void {
    this.#follow(place, isDelegated).catch((error: unknown) => this.broke(error));
  }

  refused(error: DfError): void {
    if (REASONS_TO_GO_ON.has(error.code)) this.#end.resolve("gone");
    else this.broke(error);
  }

  contentFailed(error: DfError): void {
    this.refused(error);
  }

  channelLost(): void {}

  channelOpened(): void {
    this.#read.join();
  }

  startedOver(): void {
    this.broke(this.#changed);
  }

  transferOf(content: StoredContent): ContentTransfer {
    const under = this.#sink.content;
    if (under !== null && under !== content) throw this.#changed;
    return new ContentTransfer(content, {
      client: this.#around.client,
      authorise: this.#around.authorise(content.facts),
      clusterKey: this.#around.clusterKey,
      // The piece worker was told when the content was opened.
      shared: { share: () => {} },
      slots: SUPERNODE_FETCH_SLOTS,
      pacers: [this.#around.pacer],
      isSupernode: () => true,
      pull: (pull) => this.#read.pull(pull),
      onPiece: (piece) => this.#sink.pieceStored(piece, 0),
      onProgress: () => {
        this.#progressAtMs = performance.now();
      },
      onComplete: () => this.advanced(),
      onFailure: (error) => this.broke(error),
    });
  }

  advanced(): void {
    const { transfer, digests, isWhole } = this.#read;
    if (!isWhole) return;
    const { length } = transfer!.content.manifest.layout;
    this.#end.resolve({ length: length!, ...digests!, bodyBytes: 0 });
  }

  broke(error: unknown): void {
    this.#end.reject(error);
  }

  get #changed(): DfError {
    return sourceChanged(redactUrl(this.#wanted.request.url));
  }

  /** Goes where the join is sent; a supernode out of reach is passed over. */
  async #follow(place: NamedSupernode, isDelegated: boolean): Promise<void> {
    const link = this.#around.linkAt(place);
    if (link === undefined || ++this.#moves > MOVES_MAX) return this.#end.resolve("gone");
    if (await link.channel.reach()) this.#place = { ...this.#place, link, isDelegated };
    else this.#place = { ...this.#place, isDelegated: true };
    this.#read.joinAt(this.#place.link.channel);
  }

  /** A supernode that is silent is given up once direct probes say that it is dead. */
  async #watch(): Promise<void> {
    const { link } = this.#place;
    const isMoving = performance.now() - this.#progressAtMs < DEAD_AFTER_MS;
    if (link.channel.isOpen && isMoving) return;
    try {
      if (!(await link.isAlive(this.#sink.signal))) this.#end.resolve("gone");
    } catch (error) {
      if (!isDfError(error)) this.broke(error);
    }
  }
}
