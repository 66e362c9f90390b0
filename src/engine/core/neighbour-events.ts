// What goes into and comes out of the machine that stands in for a silent owner.

import type { ReceivedAssignment } from "./download-events.ts";
import type { HostIndex, Pull } from "./scheduler-events.ts";

/**
 * Neighbours have parents' numbers from here on, in the order in which they were named. No
 * supernode has so many hosts, so a report that reaches one later speaks of nobody that it knows.
 */
export const FIRST_NEIGHBOUR: HostIndex = 0xfff0_0000;

export type NeighbourEvent =
  /** The download's call for work, as it would go to the owner. */
  | { kind: "pulled"; pull: Pull }
  /** A neighbour told which pieces it has, as in PieceSet; null: it has none, or does not answer. */
  | { kind: "haveTold"; neighbour: HostIndex; have: Uint32Array | null }
  /** The row of a piece is known now: what a neighbour sends can be checked. */
  | { kind: "rowKnown"; piece: number }
  /** These pieces are being read from the source, and no others; 0: none are. */
  | { kind: "sourceReads"; piece: number; count: number }
  | { kind: "woke" };

export type NeighbourEffect =
  /** Ask a neighbour which pieces it has; answered by `haveTold`. */
  | { kind: "askHave"; neighbour: HostIndex; address: string }
  /** A neighbour has pieces whose rows are not known here: ask it for them. */
  | { kind: "askRows"; neighbour: HostIndex; address: string }
  /** For the download, as the owner would send it. */
  | { kind: "assign"; assignments: ReceivedAssignment[] }
  /** It sent wrong bytes and is asked for nothing any more. */
  | { kind: "dropped"; neighbour: HostIndex; address: string }
  | { kind: "wakeAt"; atUs: number };
