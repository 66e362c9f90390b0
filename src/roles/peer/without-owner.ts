// What one download does while its owner is silent: goes on with the neighbours that the owner named,
// reads from the source what none of them has, where it may, and digests the whole by itself.

import type { Pacer } from "../../engine/bytes/pacing.ts";
import { pieceCountOf } from "../../engine/core/piece-layout.ts";
import type { Pull } from "../../engine/core/scheduler-events.ts";
import { isDfError, messageOf } from "../../errors.ts";
import { isTag } from "../../net/registry/registry-task.ts";
import { redactUrl } from "../../net/task-request.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { PieceRun } from "../worker/source-service.ts";
import { askWhole } from "./ask-whole.ts";
import type { ContentTransfer } from "./content-transfer.ts";
import type { DownloadSurroundings } from "./download-parts.ts";
import { NeighbourMode, type SourceRation } from "./neighbour-mode.ts";
import { digestsOf } from "./own-digests.ts";
import { readPartFromSource } from "./own-read.ts";
import type { SourceTurn } from "./source-turn.ts";
import type { SwarmRead } from "./swarm-read.ts";

/** The download that is done without its owner. */
export interface OwnerlessDownload {
  readonly task: TaskRequest;
  readonly swarm: SwarmRead;
  readonly turn: SourceTurn;
  /** The limit of this download. */
  readonly pacer: Pacer;
  readonly stopped: AbortSignal;
  isConnected(): boolean;
  /** Whether the source may be read because no supernode answers. */
  mayGoBackToSource(): boolean;
  /** Other peers' pieces are not wanted. */
  seedsOnly(): boolean;
  tell(notice: string): void;
  /** Reads the source: the version that it has, or (not null) what the transfer lacks. */
  readSelf(transfer: ContentTransfer | null): Promise<void>;
  /** Every piece may be here and the digests known. */
  advanced(): void;
  attempt(work: () => Promise<void> | void): void;
}

export class WithoutOwner {
  readonly #around: DownloadSurroundings;
  readonly #download: OwnerlessDownload;
  #mode: NeighbourMode | null = null;
  #isDigesting = false;

  constructor(around: DownloadSurroundings, download: OwnerlessDownload) {
    this.#around = around;
    this.#download = download;
  }

  /** Whether neighbours stand in for the owner. */
  get isOn(): boolean {
    return this.#mode !== null;
  }

  /** Lets neighbours stand in; only for a content whose length is known, and not for what a tag means. */
  begin(): void {
    const { swarm, turn, task } = this.#download;
    const { transfer, named } = swarm;
    if (transfer === null || turn.isTaken || isTag(task)) return;
    const { length, pieceLength } = transfer.content.manifest.layout;
    if (length === null) return;
    this.#mode ??= this.#newMode(transfer, this.#download.seedsOnly() ? [] : named.addresses);
    const pieceCount = pieceCountOf(length, pieceLength);
    transfer.step({ kind: "joined", pieceCount, known: transfer.content.have.words });
    this.#download.advanced();
  }

  /** The owner, or another supernode, gives work again. */
  end(): void {
    this.#mode?.stop();
    this.#mode = null;
  }

  pulled(pull: Pull): void {
    this.#mode?.pulled(pull);
  }

  /** Who may read the source, or how many, has changed. */
  rationed(): void {
    this.#mode?.rationed(this.#ration);
  }

  /** Every piece is here, and no supernode tells the digests: a neighbour does, or they are computed. */
  digest(transfer: ContentTransfer): void {
    if (this.#isDigesting) return;
    this.#isDigesting = true;
    const { task, swarm, stopped } = this.#download;
    this.#download.attempt(async () => {
      const wantsSha256 = task.checksum.startsWith("sha256:");
      const { clusterKey } = this.#around;
      const told = clusterKey.current === null ? null : await askWhole(transfer, swarm, stopped);
      const isEnough = told !== null && (told.sha256 !== null || !wantsSha256);
      const digests = isEnough ? told : await digestsOf(transfer.content, wantsSha256, stopped);
      this.#isDigesting = false;
      if (!this.isOn || swarm.transfer !== transfer) return;
      swarm.learnDigests(digests);
      this.#download.advanced();
    });
  }

  get #ration(): SourceRation {
    const { swarm } = this.#download;
    const { sourceReadersPerSec } = this.#around.settings.current;
    const { swarmSize } = swarm.named;
    return {
      swarmSize,
      readersPerSec: this.#download.mayGoBackToSource() ? sourceReadersPerSec : 0,
    };
  }

  #newMode(transfer: ContentTransfer, addresses: readonly string[]): NeighbourMode {
    const mode = new NeighbourMode({
      ...{ content: transfer.content, addresses, ration: this.#ration },
      authorise: this.#download.swarm.authorise,
      assigned: (assignments) => transfer.step({ kind: "assigned", assignments }),
      rowsProven: (rows) => void transfer.learn(rows, "neighbours"),
      signedTold:
        this.#around.clusterKey.current === null ? null : (told) => transfer.learnTold(told),
      readPart: (run) => this.#readPart(transfer, run),
      dropped: (address) => {
        this.#around.onWarning(`${address} gave wrong bytes: no neighbour any more`);
      },
    });
    mode.start();
    return mode;
  }

  /** Reads pieces that neighbours lack from the source; resolves with whether they are here. */
  async #readPart(transfer: ContentTransfer, run: PieceRun): Promise<boolean> {
    const { task, turn, pacer } = this.#download;
    const { sources, onWarning } = this.#around;
    const { content } = transfer;
    if (!this.#download.mayGoBackToSource() || turn.isTaken) return false;
    // A supernode is about to give work again: a read that begins now would not give way to it.
    if (this.#download.isConnected()) return false;
    // A parent from before may still be sending one of them.
    let count = 0;
    while (count < run.count && !transfer.isAwaited(run.piece + count)) count++;
    if (count === 0) return false;
    // Without a validator nothing tells whether the source still has this version.
    if (content.facts.validator === null) return this.#readInstead(null);
    this.#download.tell("no supernode answers: reading from the source what neighbours lack");
    const { signal, end } = turn.take();
    try {
      await readPartFromSource(
        {
          ...{ sources, task, content, rateBytesPerSec: pacer.rateBytesPerSec },
          onPiece: (piece) => transfer.gained(piece, "source"),
        },
        { piece: run.piece, count },
        signal,
      );
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      onWarning(`read pieces of ${redactUrl(task.url)}: ${messageOf(error)}`);
      // The version that the swarm had is gone at the source, or it gives only the whole.
      if (isDfError(error, "source-changed")) return this.#readInstead(null);
      if (isDfError(error, "protocol")) return this.#readInstead(transfer);
      return false;
    } finally {
      end();
    }
  }

  /** Reads the whole instead of pieces, or all that `transfer` lacks; the neighbours are done with. */
  #readInstead(transfer: ContentTransfer | null): false {
    const download = this.#download;
    this.end();
    download.attempt(async () => {
      await download.turn.ended();
      if (!download.isConnected()) await download.readSelf(transfer);
    });
    return false;
  }
}
