// The contract of a source read: one version of a source's bytes, read once, over several range
// connections that take the next missing pieces in order.

import type { KeptAnswer } from "../../engine/core/freshness.ts";
import type { PieceLayout } from "../../engine/core/piece-layout.ts";
import type { PieceSet } from "../../engine/core/piece-set.ts";
import type { RetryPolicy } from "../../engine/core/retry.ts";
import type { EgressGuard } from "../egress/egress-guard.ts";
import type { OutletTrust } from "../egress/outlet.ts";

/** What a source's first answer says of the version that is being read. */
export interface SourceFacts {
  /** Null: the source gave no usable length. */
  length: number | null;
  /** Strong ETag (with quotes), else a Last-Modified at least 60 s older than Date; null: no resume. */
  validator: string | null;
  lastModified: string | null;
  acceptsRanges: boolean;
  contentType: string | null;
  /** Kept as sent: bytes are never decoded. */
  contentEncoding: string | null;
  /** After redirects. Never logged with its query. */
  finalUrl: string;
  /** What says how long the content may be used without asking again. */
  answer: KeptAnswer;
}

export interface SourceTimeouts {
  /** To an open TCP connection. */
  connect: number;
  /** From request to the first header byte. */
  firstByte: number;
  /** Window in which a body must bring 1 KiB for each second of waiting. @defaultValue 30,000 */
  stall?: number;
}

/** How to reach a source, for reads and probes alike. */
export interface SourceAddress {
  url: string;
  /** Sent to the URL's own origin only; over a redirect to another one just the neutral ones go along. */
  headers: Record<string, string>;
  timeoutMs: SourceTimeouts;
  /** Decides where requests may go. */
  egress: EgressGuard;
  /** @defaultValue the system's certificates, verified */
  trust?: OutletTrust;
  /** Where a token of everybody is wanted, and no credentials are here, one is got. @defaultValue false */
  isRegistry?: boolean;
  /** "sha256:hex" that names the version: then validators say nothing, and the whole must have it. */
  digest?: string;
  /** A content of more bytes is a fault, whether or not the source says how many they are. @defaultValue none */
  lengthMax?: number;
}

export interface SourceRequest extends SourceAddress {
  /** The version a resumed read must still find; null: whatever is there. */
  expected: { validator: string; length: number | null } | null;
  /** Offset of the first byte that is missing, a piece boundary; where the first request begins. @defaultValue 0 */
  startAt?: number;
  /** How many bytes are missing from there on without a gap; the first request asks for no more. @defaultValue all */
  startBytes?: number;
  connections: number;
  /** Waits until so many bytes may be read; the rate limit of the source. */
  admit: (bytes: number) => Promise<void>;
  /**
   * Most bytes of one request, which is then admitted before it is sent: what waits in the buffers
   * of a connection has left the source already. Null: as many as suit. @defaultValue null
   */
  requestBytesMax?: () => number | null;
  /** @defaultValue SOURCE_RETRY */
  retry?: RetryPolicy;
}

/** Receives a source's bytes. Calls never overlap for one piece. */
export interface SourceSink {
  /** The first answer arrived: says how to cut the content and what is already there. */
  opened(facts: SourceFacts): Promise<{ layout: PieceLayout; have: PieceSet }>;
  /** Bytes of a piece under way, by offset in the content; the buffer is not touched before the promise settles. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** All bytes of a piece were written; `sha256` is of exactly those bytes. */
  pieceRead(index: number, length: number, sha256: Uint8Array): void;
}

export interface SourceResult {
  length: number;
  /** Body bytes taken from the source by this read. */
  bodyBytes: number;
}

/**
 * Reads what `sink.opened` says is missing.
 * @throws {DfError} network, tls, timeout, protocol, interrupted, source-*: see the fault table in docs/protocol.md
 */
export type ReadSource = (
  request: SourceRequest,
  sink: SourceSink,
  signal: AbortSignal,
) => Promise<SourceResult>;
