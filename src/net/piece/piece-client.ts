// Fetches pieces from parents: ranges over keep-alive HTTP into a reused buffer, digested as they
// arrive and written to their place only once they match the manifest row. So two parents may send
// the same piece at once (a hedge), and nothing that a parent sends reaches the disk unverified.

import { RunningDigest } from "../../engine/bytes/digest.ts";
import {
  admissionBytesThroughAll,
  admitThroughAll,
  type Pacer,
} from "../../engine/bytes/pacing.ts";
import { sameBytes, type PieceRow, wireMarkOf } from "../../engine/core/manifest.ts";
import { PieceOutcome } from "../../engine/core/scheduler-events.ts";
import { PIECE_STALL_TIMEOUT_MS } from "../../limits.ts";
import { ConnectionPool } from "./connection-pool.ts";
import type { AnswerHead, PieceExchange } from "./piece-connection.ts";
import { FORM_FIELD, formField, piecePath } from "../wire/piece-api.ts";
import { PROOF_REUSE_MS, type Authorise } from "../wire/ticketed-request.ts";

export interface PieceRequest {
  /** "host:port" of the parent's piece server. */
  address: string;
  contentId: string;
  index: number;
  row: PieceRow;
  /** Of a private content. @defaultValue anybody may have it */
  authorise?: Authorise | undefined;
  /** The limits that every byte passes: those of the host and of the download. */
  pacers: readonly Pacer[];
  /** Stores the verified piece; the buffer is used again afterwards. What it throws, `fetch` throws. */
  store: (piece: Uint8Array) => Promise<void>;
}

export interface PieceResult {
  outcome: PieceOutcome;
  /** Body bytes that arrived by this fetch, whatever became of them. */
  bytes: number;
  /** Time from the first request to the verified piece, without the waits for rates and disk. */
  elapsedMs: number;
  /** How long a busy parent asked to be left alone; 0 without. */
  retryAfterMs: number;
}

/** A piece under way: outlives a broken transfer, so that the next parent only sends the rest. */
interface PartialPiece {
  buffer: Uint8Array;
  receivedBytes: number;
  digest: RunningDigest;
  /** Whom the bytes came from. Blame needs a single sender. */
  senders: Set<string>;
}

type RangeEnd =
  | { kind: "complete" }
  | { kind: "refused"; outcome: PieceOutcome; retryAfterMs: number };

/** Broken pieces kept for the next parent. Few break at once, and each may be 16 MiB. */
const PARTIALS_MAX = 4;

/** Free buffers kept, in bytes: as much as a few of the largest pieces in flight. */
const FREE_BYTES_MAX = 32 << 20;

/** A refusal's text is read to keep the connection; a longer one is not worth it. */
const REFUSAL_BYTES_MAX = 4 << 10;

/** A parent that asks for more than this is as good as gone. */
const RETRY_AFTER_MS_MAX = 60_000;

/** A host and a port, and nothing else that could end up in a request. */
const ADDRESS = /^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}$/;

const CONTENT_RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/;

/** The receiving side of the piece API; one per process, for all contents and parents. */
export class PieceClient {
  readonly #partials = new Map<string, PartialPiece>();
  #freeBuffers: Uint8Array[] = [];
  readonly #pool: ConnectionPool;

  /** @param options.stallTimeoutMs a parent that delivers nothing for this long is given up */
  constructor(options: { stallTimeoutMs?: number } = {}) {
    this.#pool = new ConnectionPool(options.stallTimeoutMs ?? PIECE_STALL_TIMEOUT_MS);
  }

  /**
   * Fetches one piece; resolves with how that went, whatever the parent did.
   * @throws what `request.store` throws: a failure of this host, not of the parent
   */
  async fetch(request: PieceRequest, signal: AbortSignal): Promise<PieceResult> {
    const key = partialKey(request);
    const partial = this.#partials.get(key) ?? this.#startPiece(request.row.wireLength);
    this.#partials.delete(key);
    const transfer = new Transfer(request, partial, this.#pool, signal);
    const outcome = await transfer.run();

    if (outcome === PieceOutcome.broken && partial.receivedBytes > 0) this.#keep(key, partial);
    try {
      if (outcome === PieceOutcome.finished) {
        await request.store(partial.buffer.subarray(0, request.row.wireLength));
        this.#drop(key);
      }
    } finally {
      if (this.#partials.get(key) !== partial) this.#free(partial.buffer);
    }
    return {
      outcome,
      bytes: transfer.bytes,
      elapsedMs: Math.round(transfer.elapsedMs),
      retryAfterMs: transfer.retryAfterMs,
    };
  }

  /** Drops what broken transfers left of a content. */
  forget(contentId: string): void {
    for (const key of this.#partials.keys()) if (key.startsWith(contentId)) this.#drop(key);
  }

  #startPiece(length: number): PartialPiece {
    const fitting = this.#freeBuffers.findIndex((buffer) => buffer.length >= length);
    const buffer = fitting < 0 ? new Uint8Array(length) : this.#freeBuffers.splice(fitting, 1)[0]!;
    return { buffer, receivedBytes: 0, digest: new RunningDigest("sha256"), senders: new Set() };
  }

  #keep(key: string, partial: PartialPiece): void {
    this.#drop(key);
    this.#partials.set(key, partial);
    if (this.#partials.size > PARTIALS_MAX) this.#drop(this.#partials.keys().next().value!);
  }

  #drop(key: string): void {
    const partial = this.#partials.get(key);
    if (partial === undefined) return;
    this.#partials.delete(key);
    this.#free(partial.buffer);
  }

  /** Keeps the most recent buffers; older ones of another piece length make room. */
  #free(buffer: Uint8Array): void {
    this.#freeBuffers.unshift(buffer);
    let bytes = 0;
    this.#freeBuffers = this.#freeBuffers.filter(
      (free) => (bytes += free.length) <= FREE_BYTES_MAX,
    );
  }
}

/** One parent sending one piece, range by range. */
class Transfer {
  bytes = 0;
  elapsedMs = 0;
  retryAfterMs = 0;
  readonly #request: PieceRequest;
  readonly #partial: PartialPiece;
  readonly #pool: ConnectionPool;
  readonly #signal: AbortSignal;
  #fields: Record<string, string> = {};
  #provenAtMs = -Infinity;

  constructor(
    request: PieceRequest,
    partial: PartialPiece,
    pool: ConnectionPool,
    signal: AbortSignal,
  ) {
    this.#request = request;
    this.#partial = partial;
    this.#pool = pool;
    this.#signal = signal;
  }

  async run(): Promise<PieceOutcome> {
    const { row, address, pacers } = this.#request;
    const partial = this.#partial;
    if (!ADDRESS.test(address)) return PieceOutcome.broken;
    partial.senders.add(address);
    try {
      while (partial.receivedBytes < row.wireLength) {
        const rangeLength = Math.min(
          admissionBytesThroughAll(pacers),
          row.wireLength - partial.receivedBytes,
        );
        await admitThroughAll(pacers, rangeLength, this.#signal);
        const end = await this.#timedRange(rangeLength);
        if (end.kind === "refused") {
          this.retryAfterMs = end.retryAfterMs;
          return end.outcome;
        }
      }
    } catch {
      // Whatever is thrown means that this parent did not deliver; why is its own affair.
      return this.#signal.aborted ? PieceOutcome.cancelled : PieceOutcome.broken;
    }
    if (sameBytes(partial.digest.finish(), row.wireSha256)) return PieceOutcome.finished;
    // With several senders nobody can say who lied: start over without blame.
    return partial.senders.size === 1 ? PieceOutcome.corrupt : PieceOutcome.cancelled;
  }

  async #timedRange(rangeLength: number): Promise<RangeEnd> {
    const startedAt = performance.now();
    try {
      return await this.#range(rangeLength);
    } finally {
      this.elapsedMs += performance.now() - startedAt;
    }
  }

  async #range(rangeLength: number): Promise<RangeEnd> {
    const { address, contentId, index, row } = this.#request;
    const signal = this.#signal;
    const path = piecePath(contentId, index);
    const first = this.#partial.receivedBytes;
    let refused: RangeEnd | null = null;
    let hasAnswer = false;
    const exchange: PieceExchange = {
      path,
      fields: {
        [FORM_FIELD]: formField(wireMarkOf(row)),
        ...this.#authority(path),
      },
      range: { first, last: first + rangeLength - 1 },
      onHead: (head) => {
        hasAnswer = true;
        const isGood = isAnswerTo(head, { first, rangeLength, wireLength: row.wireLength });
        if (!isGood) refused = refusalOf(head);
        return isGood || head.contentLength <= REFUSAL_BYTES_MAX;
      },
      onBody: (bytes) => {
        if (refused === null) this.#take(bytes);
      },
    };
    for (;;) {
      const reused = this.#pool.take(address);
      const connection = reused ?? (await this.#pool.open(address, signal));
      try {
        await connection.ask(exchange, signal);
        this.#pool.give(connection);
      } catch (error) {
        // The parent may have closed an idle connection just now: that is not its failure.
        const wasClosed = reused !== undefined && !hasAnswer && !connection.hasStalled;
        if (wasClosed && !signal.aborted) continue;
        if (refused === null) throw error;
      }
      return refused ?? { kind: "complete" };
    }
  }

  /** All ranges of the piece show one proof, as long as it is young. */
  #authority(path: string): Record<string, string> {
    const { authorise, address } = this.#request;
    if (authorise === undefined) return {};
    if (performance.now() - this.#provenAtMs < PROOF_REUSE_MS) return this.#fields;
    this.#provenAtMs = performance.now();
    this.#fields = authorise({ path, host: address });
    return this.#fields;
  }

  #take(bytes: Uint8Array): void {
    const partial = this.#partial;
    this.bytes += bytes.length;
    partial.buffer.set(bytes, partial.receivedBytes);
    partial.digest.update(bytes);
    partial.receivedBytes += bytes.length;
  }
}

/** Whether an answer brings bytes of the range that was asked for, or its first part. */
function isAnswerTo(
  { status, contentLength, contentRange }: AnswerHead,
  asked: { first: number; rangeLength: number; wireLength: number },
): boolean {
  const { first, rangeLength, wireLength } = asked;
  if (contentLength < 1 || contentLength > rangeLength) return false;
  if (status === 200) return first === 0 && contentLength === wireLength;
  const range = CONTENT_RANGE.exec(contentRange ?? "");
  if (status !== 206 || range === null) return false;
  const [start, last, total] = range.slice(1).map(Number);
  return start === first && last === first + contentLength - 1 && total === wireLength;
}

function refusalOf({ status, retryAfter }: AnswerHead): RangeEnd {
  switch (status) {
    case 404:
    case 410:
    case 416:
      return { kind: "refused", outcome: PieceOutcome.gone, retryAfterMs: 0 };
    case 429:
    case 503:
      return {
        kind: "refused",
        outcome: PieceOutcome.busy,
        retryAfterMs: retryAfterMsOf(retryAfter),
      };
    default:
      return { kind: "refused", outcome: PieceOutcome.broken, retryAfterMs: 0 };
  }
}

function retryAfterMsOf(retryAfter: string | null): number {
  const seconds = Number(retryAfter ?? "");
  return Number.isFinite(seconds) ? Math.min(RETRY_AFTER_MS_MAX, Math.max(0, seconds * 1_000)) : 0;
}

/** Of one form of the piece: the beginning of another would make an honest parent a liar. */
function partialKey({ contentId, index, row }: PieceRequest): string {
  return `${contentId}/${index}/${formField(wireMarkOf(row))}`;
}
