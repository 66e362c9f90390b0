// What goes into and comes out of the supernode's scheduler. Hosts and contents are dense indices
// that the caller hands out and may reuse after hostGone / contentDropped.

export type HostIndex = number;
/** Stands for the parent in a report of a piece that came from no parent, e.g. from the source. */
export const NO_PARENT: HostIndex = 0xffff_ffff;
export type ContentIndex = number;

/** Outcome of one piece a child asked of a parent. */
export const PieceOutcome = {
  finished: 0,
  /** The parent answered 503: its slots were full. */
  busy: 1,
  /** The parent was unreachable, stalled or broke off. */
  broken: 2,
  /** The bytes did not match the manifest row. */
  corrupt: 3,
  /** The parent said that it does not have the piece. */
  gone: 4,
  /** The child gave it up itself (hedge lost, download stopped): nobody is to blame. */
  cancelled: 5,
} as const;
export type PieceOutcome = (typeof PieceOutcome)[keyof typeof PieceOutcome];

/** What became of one assigned piece, as the child tells it. */
export interface PieceReport {
  piece: number;
  parent: HostIndex;
  outcome: PieceOutcome;
  /** From request to verified, milliseconds; 0: the child had the piece already. */
  elapsedMs: number;
}

/** One child's call for work on one content. */
export interface Pull {
  /**
   * Pieces the child would have assigned at once, those under way included. Not "free slots": both
   * sides count what is assigned and unreported, so an assignment that crosses a pull on the wire
   * is not given twice.
   */
  slots: number;
  reports: PieceReport[];
  /** Pieces in flight for too long, which the child would take from a second parent. */
  overdue: number[];
}

/** Order to a child: pieces `piece` … `piece + count − 1`, one after another, from `parent`. */
export interface Assignment {
  piece: number;
  count: number;
  parent: HostIndex;
}

/** What a probe found: wrong bytes, right ones, or no answer that says either. */
export type ProbeVerdict = "liar" | "honest" | "unknown";

export type SchedulerEvent =
  | {
      kind: "hostArrived";
      host: HostIndex;
      /** A seed is a supernode: it has every piece that was announced with `pieceSeeded`. */
      isSeed: boolean;
      /** Uploads the host allows at once; 0 for a host that only downloads. Seeds: the most they allow, the scheduler adapts below it. */
      uploadSlots: number;
      /** The zone of hosts that reach each other; 0: that of hosts without one. @defaultValue 0 */
      zone?: number;
      /** Further zones whose hosts reach it. @defaultValue none */
      alsoIn?: readonly number[] | "all";
      /** It gave wrong bytes not long ago: it is no parent until it is pardoned. @defaultValue false */
      isQuarantined?: boolean;
    }
  /** What a host that is here may upload, and to which zones, has changed: its addresses were proven. */
  | {
      kind: "hostReachable";
      host: HostIndex;
      uploadSlots: number;
      /** As in hostArrived. */
      zone?: number;
      alsoIn?: readonly number[] | "all";
    }
  /** What came when the supernode fetched a piece from a host that was accused; `accuser` null: gone meanwhile. */
  | { kind: "probed"; host: HostIndex; accuser: HostIndex | null; verdict: ProbeVerdict }
  /** The host's quarantine is over. */
  | { kind: "pardoned"; host: HostIndex }
  | { kind: "hostGone"; host: HostIndex }
  /** `pieceCount` null: the length is not known yet. */
  | { kind: "contentOpened"; content: ContentIndex; pieceCount: number | null; pieceLength: number }
  | { kind: "contentClosed"; content: ContentIndex; pieceCount: number }
  | { kind: "contentDropped"; content: ContentIndex }
  /** A piece rests verified on a seed and may be given out. */
  | { kind: "pieceSeeded"; content: ContentIndex; host: HostIndex; piece: number }
  /** A seed takes what it lacks of a content from its peers, or (false) no more; it pulls like any child. */
  | { kind: "seedWants"; content: ContentIndex; host: HostIndex; wantsPieces: boolean }
  /** A peer takes part; `have` is a bitmap as in PieceSet. A holder with `wantsPieces` false only uploads. */
  | {
      kind: "joined";
      content: ContentIndex;
      host: HostIndex;
      have: Uint32Array;
      wantsPieces: boolean;
      /** It takes pieces from seeds alone. @defaultValue false */
      seedsOnly?: boolean;
    }
  | { kind: "pulled"; content: ContentIndex; host: HostIndex; pull: Pull }
  /** A peer no longer takes part, e.g. it evicted the content. */
  | { kind: "left"; content: ContentIndex; host: HostIndex }
  | { kind: "woke" };

export type SchedulerEffect =
  | { kind: "assign"; content: ContentIndex; child: HostIndex; assignments: Assignment[] }
  /** Fetch this piece from a host that is said to give wrong bytes; answered by `probed`. */
  | {
      kind: "probe";
      content: ContentIndex;
      piece: number;
      host: HostIndex;
      accuser: HostIndex;
    }
  /** The host gave wrong bytes to the supernode itself: it is no parent any more until it is pardoned. */
  | { kind: "quarantined"; host: HostIndex }
  /** Send `woke` at this time; a later wakeAt replaces an earlier one. */
  | { kind: "wakeAt"; atUs: number };
