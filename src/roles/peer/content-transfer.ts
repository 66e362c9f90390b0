// Brings the pieces of one content from parents to the store: drives the Download machine, performs
// its effects, and keeps count of where bytes came from. The channel is the PeerDownload's.

import { monotonicClock, type Pacer } from "../../engine/bytes/pacing.ts";
import { Download } from "../../engine/core/download.ts";
import type { DownloadEffect, DownloadEvent } from "../../engine/core/download-events.ts";
import { isRowOf, isSameRow, sameBytes, type PieceRow } from "../../engine/core/manifest.ts";
import { pieceLengthAt, pieceOffset, type PieceLayout } from "../../engine/core/piece-layout.ts";
import type { PieceSet } from "../../engine/core/piece-set.ts";
import { PieceOutcome, type Pull } from "../../engine/core/scheduler-events.ts";
import { UPLOAD_SLOTS } from "../../limits.ts";
import type { PieceClient } from "../../net/piece/piece-client.ts";
import type { BytesBySource } from "../../net/wire/local-api.ts";
import type { ToldManifest } from "../../net/wire/signatures-api.ts";
import type { NumberedRow } from "../../net/wire/swarm-frames.ts";
import type { Authorise } from "../../net/wire/ticketed-request.ts";
import type { StoredContent } from "../../store/piece-store.ts";
import type { ClusterKey } from "../signatures/cluster-key.ts";
import { SignatureCheck } from "../signatures/signature-check.ts";
import type { FirstHandRows } from "./first-hand-rows.ts";
import type { SharedContents } from "./shared-contents.ts";

/**
 * Pieces asked for at once. As many as a parent's upload slots: more in flight than the parents
 * have slots made the last host up to 1.5 times slower in measured swarms.
 */
const FETCH_SLOTS = UPLOAD_SLOTS;

export interface TransferOptions {
  client: PieceClient;
  shared: Pick<SharedContents, "share">;
  /** Pieces asked for at once. @defaultValue FETCH_SLOTS */
  slots?: number;
  /** The limits of the host and of this download. */
  pacers: readonly Pacer[];
  /** Asks parents for a private content. @defaultValue anybody may ask */
  authorise?: Authorise | undefined;
  /** Checks what the fleet signed. @defaultValue nothing is checked */
  clusterKey?: Pick<ClusterKey, "current">;
  /** Hears of rows that this host may vouch for. @defaultValue nobody does */
  firstHand?: Pick<FirstHandRows, "note">;
  /** Tells a supernode's pieces from a peer's. */
  isSupernode: (pieceAddress: string) => boolean;
  pull: (pull: Pull) => void;
  /** The piece is committed, by this transfer or by `gained`. */
  onPiece?: (piece: number) => void;
  /** Something a reader may want to see has changed. */
  onProgress: () => void;
  /** Every piece is here. */
  onComplete: () => void;
  /** This host cannot go on, e.g. its disk is full. */
  onFailure: (error: unknown) => void;
}

export class ContentTransfer {
  readonly content: StoredContent;
  /** What of its manifest bears the fleet's signature. */
  readonly signatures: SignatureCheck;
  readonly #options: TransferOptions;
  readonly #machine: Download;
  readonly #fetches = new Map<number, AbortController>();
  /** Who waits until the last of them has ended. */
  #onQuiet: (() => void)[] = [];
  readonly #bytes: BytesBySource = { source: 0, supernode: 0, peers: 0, cache: 0 };
  #wireBytes = 0;
  readonly #releaseLease: () => void;
  /** What the piece worker was told last. */
  #served: { have: PieceSet; layout: PieceLayout } | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #firstGap = 0;
  #firstUnplain = 0;
  #isStopped = false;

  constructor(content: StoredContent, options: TransferOptions) {
    this.content = content;
    this.#options = options;
    this.signatures = new SignatureCheck(content, options.clusterKey ?? { current: null });
    this.#releaseLease = content.lease();
    this.#machine = new Download({ slots: options.slots ?? FETCH_SLOTS, have: content.have });
    for (const piece of content.have) this.#bytes.cache += this.#lengthOf(piece);
    this.offer();
  }

  /** Verified plain bytes by where they came from. */
  get bytes(): BytesBySource {
    return { ...this.#bytes };
  }

  get doneBytes(): number {
    const { source, supernode, peers, cache } = this.#bytes;
    return source + supernode + peers + cache;
  }

  /** Bytes that travelled here for them: compressed pieces count as they came. */
  get wireBytes(): number {
    return this.#wireBytes;
  }

  /** Verified bytes from offset 0 on without a gap. */
  get prefixBytes(): number {
    this.#firstGap = this.content.have.firstMissing(this.#firstGap);
    return this.#bytesBelow(this.#firstGap);
  }

  /** Those of them that lie in the data file as they are, up to the first piece that does not. */
  get plainPrefixBytes(): number {
    const { have, manifest } = this.content;
    const isPlain = (piece: number): boolean =>
      piece < have.size && have.has(piece) && manifest.row(piece)?.form === "plain";
    while (isPlain(this.#firstUnplain)) this.#firstUnplain++;
    return this.#bytesBelow(this.#firstUnplain);
  }

  /** Parents with a transfer under way. */
  get parents(): number {
    return this.#fetches.size;
  }

  get isComplete(): boolean {
    return this.#machine.isComplete;
  }

  /** Whether the piece is being fetched from a parent, or will be. */
  isAwaited(piece: number): boolean {
    return this.#machine.isAwaited(piece);
  }

  step(event: DownloadEvent): void {
    if (this.#isStopped) return;
    const effects: DownloadEffect[] = [];
    this.#machine.step(monotonicClock.nowUs(), event, effects);
    for (const effect of effects) this.#perform(effect);
  }

  /**
   * Learns rows; returns false when one contradicts what is known: these are other bytes, or other
   * forms of them.
   * @param from who told them; what neighbours told is not passed on
   */
  learn(rows: readonly NumberedRow[], from: "supernode" | "neighbours" = "supernode"): boolean {
    for (const { piece, row } of rows) {
      const known = this.content.manifest.row(piece);
      if (known !== undefined && !isSameRow(known, row)) return false;
      if (known === undefined && !this.#fits(piece, row)) continue;
      if (known === undefined) this.content.addRow(piece, row);
      if (from === "supernode") this.#options.firstHand?.note(this.content, piece);
    }
    this.offer();
    return true;
  }

  /** Those of the rows that tell another form of the same plain bytes than is known here. */
  otherForms(rows: readonly NumberedRow[]): NumberedRow[] {
    return rows.filter(({ piece, row }) => {
      const known = this.content.manifest.row(piece);
      // Also the same bytes at another level: a signature is over every field.
      if (known === undefined || isSameRow(known, row)) return false;
      return this.#fits(piece, row) && sameBytes(known.plainSha256, row.plainSha256);
    });
  }

  /** Learns what of a host's words bears the fleet's signature: then one host is enough. */
  learnTold(told: ToldManifest): void {
    for (const { group, rows, signature } of this.signatures.provenIn(told)) {
      const { manifest } = this.content;
      const isLearned = this.learn(rows, "neighbours");
      // A row that does not fit is left out, and so is the word on its group.
      const isHere = rows.every(({ piece }) => manifest.row(piece) !== undefined);
      if (isLearned && isHere) this.content.addSignature(group, signature);
    }
  }

  /** A piece that is verified, written and committed already, from elsewhere than a parent. */
  gained(piece: number, from: "source" | "supernode"): void {
    // A parent may have brought it in the same moment.
    const bytes = this.#machine.have.has(piece) ? 0 : this.#lengthOf(piece);
    this.#bytes[from] += bytes;
    this.#wireBytes += bytes;
    this.#options.firstHand?.note(this.content, piece);
    this.offer();
    this.step({ kind: "sourcePieceRead", piece });
    this.#options.onPiece?.(piece);
    this.#options.onProgress();
  }

  /** Lets the piece worker serve what is here; needed again when the content grew or was closed. */
  offer(): void {
    const { have, manifest } = this.content;
    if (this.#served?.have === have && this.#served.layout === manifest.layout) return;
    this.#served = { have, layout: manifest.layout };
    this.#options.shared.share(this.content);
  }

  /**
   * Ends all fetches and begins none until `goOn`: another writer comes, and two in one piece could
   * spoil it. Resolves when nothing is being written here.
   */
  async giveWay(): Promise<void> {
    this.step({ kind: "channelLost" });
    this.step({ kind: "slotsChanged", slots: 0 });
    for (const fetch of this.#fetches.values()) fetch.abort();
    if (this.#fetches.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onQuiet.push(resolve);
    await promise;
  }

  goOn(): void {
    this.step({ kind: "slotsChanged", slots: this.#options.slots ?? FETCH_SLOTS });
  }

  /** Ends all fetches; pieces stay and are served on. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    for (const fetch of this.#fetches.values()) fetch.abort();
    this.#options.client.forget(this.content.facts.contentId);
    this.#releaseLease();
  }

  #perform(effect: DownloadEffect): void {
    switch (effect.kind) {
      case "fetch":
        void this.#fetch(effect);
        break;
      case "cancel":
        this.#fetches.get(effect.fetch)?.abort();
        break;
      case "pull":
        this.#options.pull(effect.pull);
        break;
      case "complete":
        this.#options.onComplete();
        break;
      case "wakeAt":
        this.#wakeAt(effect.atUs);
        break;
    }
  }

  #wakeAt(atUs: number): void {
    clearTimeout(this.#timer);
    const delayMs = Math.max(0, (atUs - monotonicClock.nowUs()) / 1_000);
    this.#timer = setTimeout(() => this.step({ kind: "woke" }), Math.ceil(delayMs));
  }

  async #fetch(effect: Extract<DownloadEffect, { kind: "fetch" }>): Promise<void> {
    const abort = new AbortController();
    this.#fetches.set(effect.fetch, abort);
    try {
      const result = await this.#fetchPiece(effect, abort.signal);
      this.#fetches.delete(effect.fetch);
      this.step({ kind: "fetched", fetch: effect.fetch, ...result });
      this.#options.onProgress();
    } catch (error) {
      this.#fetches.delete(effect.fetch);
      if (!this.#isStopped) this.#options.onFailure(error);
    }
    if (this.#fetches.size > 0) return;
    for (const wake of this.#onQuiet.splice(0)) wake();
  }

  async #fetchPiece({ piece, address }: { piece: number; address: string }, signal: AbortSignal) {
    const { content } = this;
    const { contentId } = content.facts;
    const row = content.manifest.row(piece);
    // Rows travel before the work that needs them: without one the piece cannot be checked.
    if (row === undefined) {
      await Promise.resolve();
      return { outcome: PieceOutcome.gone, bytes: 0, elapsedMs: 0, retryAfterMs: 0 };
    }
    const { client, pacers, isSupernode, authorise } = this.#options;
    const store = async (bytes: Uint8Array): Promise<void> => {
      await content.write(pieceOffset(content.manifest.layout, piece), bytes);
      // A hedge may have brought it while this one was being written: the same bytes.
      if (content.have.has(piece)) return;
      content.commitPiece(piece);
      this.#bytes[isSupernode(address) ? "supernode" : "peers"] += row.plainLength;
      this.#wireBytes += row.wireLength;
      this.#options.onPiece?.(piece);
    };
    const request = { address, contentId, index: piece, row, authorise, pacers, store };
    return client.fetch(request, signal);
  }

  #lengthOf(piece: number): number {
    const { layout } = this.content.manifest;
    if (layout.length !== null) return pieceLengthAt(layout, piece);
    return this.content.manifest.row(piece)?.plainLength ?? layout.pieceLength;
  }

  /** Bytes of the pieces below one, all of which are here. */
  #bytesBelow(piece: number): number {
    const { layout } = this.content.manifest;
    return Math.min(piece * layout.pieceLength, layout.length ?? this.doneBytes);
  }

  #fits(piece: number, row: PieceRow): boolean {
    return isRowOf(this.content.manifest.layout, piece, row);
  }
}
