// A peer without a disk: a real swarm channel, the real download machine, real requests for pieces and
// a small piece server of its own. Hundreds of them fit into one process. It counts every piece that
// it fetches, so that a bench can say what a restart cost.

import { monotonicClock } from "../../src/engine/bytes/pacing.ts";
import { Download } from "../../src/engine/core/download.ts";
import type { DownloadEffect, DownloadEvent } from "../../src/engine/core/download-events.ts";
import { pieceCountOf, pieceLengthAt, pieceOffset } from "../../src/engine/core/piece-layout.ts";
import { PieceSet } from "../../src/engine/core/piece-set.ts";
import { PieceOutcome } from "../../src/engine/core/scheduler-events.ts";
import { SwarmClient } from "../../src/net/swarm/swarm-client.ts";
import type { SwarmMember } from "../../src/net/swarm/swarm-member.ts";
import { ADDRESS_PATH, proveAddress } from "../../src/net/wire/address-proof.ts";
import { piecePath } from "../../src/net/wire/piece-api.ts";
import type { Joined } from "../../src/net/wire/swarm-messages.ts";
import type { TaskRequest } from "../../src/net/wire/task.ts";
import { newIdentity } from "../../src/roles/peer/host-identity.ts";

const UPLOAD_SLOTS = 3;

export interface SimulatedPeerOptions {
  supernode: string;
  task: TaskRequest;
  /** What the task's bytes are: pieces are compared with it and served from it. */
  bytes: Uint8Array;
  /** Least time of one fetch, as of a slow link. */
  pieceMs: number;
  /** Whether it takes part in the content; else it only keeps a channel. */
  downloads: boolean;
}

export class SimulatedPeer implements SwarmMember {
  /** Fetches that brought a whole piece, by piece. */
  readonly fetchCounts: number[] = [];
  /** `performance.now()` of the last answer to a join, and of the last piece; −1: none yet. */
  joinedAtMs = -1;
  openedAtMs = -1;
  wrongBytes = 0;
  readonly #options: SimulatedPeerOptions;
  readonly #identity = newIdentity();
  readonly #channel: SwarmClient;
  readonly #machine = new Download({ slots: UPLOAD_SLOTS, have: null });
  readonly #fetches = new Map<number, AbortController>();
  readonly #server: Bun.Server<undefined> | null;
  #content: Joined | null = null;
  #have = new PieceSet(0);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;

  constructor(options: SimulatedPeerOptions) {
    this.#options = options;
    this.#server = options.downloads ? this.#servePieces() : null;
    const { hostId, publicKey } = this.#identity;
    const pieceAddress = this.#server === null ? null : `127.0.0.1:${this.#server.port}`;
    this.#channel = new SwarmClient({
      address: options.supernode,
      hello: () => ({
        ...{ version: "bench", capabilities: [], publicKey, hostId, hostname: "bench" },
        ...{ pieceAddress, uploadSlots: pieceAddress === null ? 0 : UPLOAD_SLOTS, labels: {} },
      }),
      onOpened: () => {
        this.openedAtMs = performance.now();
      },
    });
  }

  get isOpen(): boolean {
    return this.#channel.isOpen;
  }

  get isComplete(): boolean {
    return this.#machine.isComplete;
  }

  /** Share of the pieces that are here. */
  get doneShare(): number {
    return this.#have.size === 0 ? 0 : this.#have.count / this.#have.size;
  }

  async start(): Promise<void> {
    await this.#channel.reach();
    if (this.#options.downloads) this.#join();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#channel.stop();
    void this.#server?.stop(true);
  }

  joined(joined: Joined): void {
    this.joinedAtMs = performance.now();
    this.#content = joined;
    const pieceCount = pieceCountOf(joined.length!, joined.pieceLength);
    if (this.#have.size === 0) this.#have = new PieceSet(pieceCount);
    this.#step({ kind: "joined", pieceCount, known: this.#have.words });
  }

  signed(): void {}

  assigned(assignments: Parameters<SwarmMember["assigned"]>[0]): void {
    this.#step({ kind: "assigned", assignments });
  }

  channelLost(): void {
    this.#step({ kind: "channelLost" });
  }

  channelSilent(): void {}

  channelOpened(): void {
    this.#join();
  }

  moved(): void {}
  refused(error: Error): void {
    throw error;
  }
  rows(): void {}
  closed(): void {}
  ticket(): void {}

  failed(error: Error): void {
    throw error;
  }
  neighbours(): void {}

  #join(): void {
    const contentId = this.#content?.contentId;
    const have = this.#have.toBytes().toBase64();
    const known = contentId === undefined ? undefined : { contentId, have };
    this.#channel.join(this, this.#options.task, { known });
  }

  #step(event: DownloadEvent): void {
    if (this.#isStopped) return;
    const effects: DownloadEffect[] = [];
    this.#machine.step(monotonicClock.nowUs(), event, effects);
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: DownloadEffect): void {
    switch (effect.kind) {
      case "fetch":
        void this.#fetch(effect);
        break;
      case "pull":
        this.#channel.pull(this, effect.pull);
        break;
      case "wakeAt": {
        clearTimeout(this.#timer);
        const delayMs = Math.max(0, (effect.atUs - monotonicClock.nowUs()) / 1_000);
        this.#timer = setTimeout(() => this.#step({ kind: "woke" }), Math.ceil(delayMs));
        break;
      }
      case "cancel":
        this.#fetches.get(effect.fetch)?.abort();
        break;
      case "complete":
        break;
    }
  }

  async #fetch({ fetch: number, piece, address }: DownloadEffect & { kind: "fetch" }) {
    const startedAtMs = performance.now();
    const { contentId, length, pieceLength } = this.#content!;
    const abort = new AbortController();
    const { signal } = abort;
    this.#fetches.set(number, abort);
    const url = `http://${address}${piecePath(contentId, piece)}`;
    const outcome = await fetch(url, { signal, proxy: false })
      .then(async (answer) => {
        const bytes = await answer.bytes();
        if (answer.status === 503) return PieceOutcome.busy;
        if (answer.status !== 200) return PieceOutcome.gone;
        await Bun.sleep(Math.max(0, this.#options.pieceMs - (performance.now() - startedAtMs)));
        signal.throwIfAborted();
        this.#took(piece, bytes, { length: length!, pieceLength });
        return PieceOutcome.finished;
      })
      .catch(() => PieceOutcome.broken);
    this.#fetches.delete(number);
    if (signal.aborted) return;
    const elapsedMs = Math.round(performance.now() - startedAtMs);
    const result = { outcome, bytes: 0, elapsedMs, retryAfterMs: 100 };
    this.#step({ kind: "fetched", fetch: number, ...result });
  }

  #took(piece: number, bytes: Uint8Array, layout: { length: number; pieceLength: number }): void {
    this.fetchCounts[piece] = (this.fetchCounts[piece] ?? 0) + 1;
    const from = pieceOffset(layout, piece);
    const expected = this.#options.bytes.subarray(from, from + pieceLengthAt(layout, piece));
    this.#have.add(piece);
    if (Buffer.compare(bytes, expected) !== 0) this.wrongBytes += bytes.length;
  }

  #servePieces(): Bun.Server<undefined> {
    return Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      development: false,
      fetch: (request) => {
        const { pathname, searchParams } = new URL(request.url);
        if (pathname === ADDRESS_PATH)
          return new Response(proveAddress(searchParams.get("nonce") ?? "", this.#identity));
        const piece = Number(pathname.split("/").at(-1));
        if (!this.#have.has(piece)) return new Response(null, { status: 404 });
        const { length, pieceLength } = this.#content!;
        const layout = { length, pieceLength };
        const from = pieceOffset(layout, piece);
        const part = this.#options.bytes.slice(from, from + pieceLengthAt(layout, piece));
        return new Response(part);
      },
    });
  }
}
