// What goes into and comes out of the machine that brings one content to one peer.

import type { Pull, PieceOutcome, HostIndex } from "./scheduler-events.ts";

/** An assignment as it arrives at the child: the parent's address travels with it. */
export interface ReceivedAssignment {
  piece: number;
  count: number;
  /** The scheduler's number for the parent, repeated in reports. */
  parent: HostIndex;
  /** "host:port" of the parent's piece server. */
  address: string;
}

export type DownloadEvent =
  /**
   * The owner answered the join, or neighbours stand in for it. `pieceCount` null: not known yet.
   * `known`: the pieces that whoever gives work from now on knows to be here, as in PieceSet; null: none.
   */
  | { kind: "joined"; pieceCount: number | null; known: Uint32Array | null }
  | { kind: "closed"; pieceCount: number }
  | { kind: "assigned"; assignments: ReceivedAssignment[] }
  /** A fetch ended: `finished` means verified and stored. */
  | {
      kind: "fetched";
      /** The number given by the fetch effect. */
      fetch: number;
      outcome: PieceOutcome;
      bytes: number;
      elapsedMs: number;
      /** Milliseconds the parent asked to wait (503 Retry-After); 0 without. */
      retryAfterMs: number;
    }
  /** A piece that the peer read from the source itself is verified and stored. */
  | { kind: "sourcePieceRead"; piece: number }
  /** How many fetches this download may have in flight now. */
  | { kind: "slotsChanged"; slots: number }
  | { kind: "channelLost" }
  | { kind: "woke" };

export type DownloadEffect =
  /** Fetch one piece from a parent; answered by `fetched` with the same number. */
  | { kind: "fetch"; fetch: number; piece: number; parent: HostIndex; address: string }
  | { kind: "cancel"; fetch: number }
  | { kind: "pull"; pull: Pull }
  /** Every piece is stored and verified. */
  | { kind: "complete" }
  | { kind: "wakeAt"; atUs: number };
