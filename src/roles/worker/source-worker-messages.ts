// What the main thread and the source worker tell each other. `read` numbers one read.
//
//   main ── read ─▶ worker        worker ── facts ─▶ main ── content | cancel ─▶ worker
//                                 worker ── pieceRead* ─▶ ended | failed ─▶ main

import type { PieceLayout } from "../../engine/core/piece-layout.ts";
import type { PieceRow } from "../../engine/core/manifest.ts";
import type { WireError } from "../../errors.ts";
import type { EgressPolicy } from "../../net/egress/egress-policy.ts";
import type { SourceFacts, SourceRequest } from "../../net/source/source-read.ts";
import type { Forming } from "./forming.ts";

/** A source request as it travels between threads: the worker adds the rate limit and its guard. */
export type SourceOrder = Omit<SourceRequest, "admit" | "requestBytesMax" | "egress">;

export type SourceWorkerOrder =
  | {
      kind: "read";
      read: number;
      request: SourceOrder;
      /** Whether the whole content's SHA-256 is wanted beside its MD5. */
      wantsSha256: boolean;
      /** Whether the read is of some pieces: it has no digests of the whole. */
      isPart: boolean;
      /** Bytes per second of this read alone; null: no limit. */
      rateBytesPerSec: number | null;
    }
  /** The answer to `facts`: where the bytes go and what is there already. */
  | {
      kind: "content";
      read: number;
      contentId: string;
      dataPath: string;
      layout: PieceLayout;
      /** Bits of the pieces that are there, as in PieceSet. */
      have: Uint32Array;
      pieceCount: number;
      /** Of every piece that has one, there or not: a piece with a row is made as that says. */
      rows: { index: number; row: PieceRow }[];
      forming: Forming;
    }
  /** Answered by `failed`, unless the read ended first. */
  | { kind: "cancel"; read: number }
  | { kind: "limitRead"; read: number; rateBytesPerSec: number | null }
  | { kind: "limit"; limits: SourceLimits }
  /** Where sources may be; the first order that a worker gets. */
  | { kind: "egress"; policy: EgressPolicy };

export type SourceWorkerReport =
  | { kind: "facts"; read: number; facts: SourceFacts }
  /** The piece is in the data file; `lookMs` were spent to find out whether it shrinks. */
  | { kind: "pieceRead"; read: number; index: number; row: PieceRow; lookMs: number }
  | ({ kind: "ended"; read: number } & SourceReadEnd)
  | { kind: "partEnded"; read: number }
  | { kind: "failed"; read: number; error: WireError };

/** Limits on all reads together, bytes per second; null: none. */
export interface SourceLimits {
  sourceRateBytesPerSec: number | null;
  diskRateBytesPerSec: number | null;
  /** What this machine may send to others: pieces need not be made faster. @defaultValue null */
  uploadRateBytesPerSec: number | null;
}

export interface SourceReadEnd {
  length: number;
  /** Hex digests of the whole content, pieces that were there before included. */
  md5: string;
  sha256: string | null;
  /** Body bytes taken from the source. */
  bodyBytes: number;
}
