// This supernode's parts as a child in swarms that it schedules itself: what its scheduler assigns to
// it comes here, and its pulls go there, without a channel between.

import type { ReceivedAssignment } from "../../../engine/core/download-events.ts";
import type {
  Assignment,
  HostIndex,
  SchedulerEvent,
} from "../../../engine/core/scheduler-events.ts";
import type { Seeding } from "../seeding.ts";
import type { OwnPart, OwnSwarm } from "./bring-from-peers.ts";

type Assigned = (assignments: ReceivedAssignment[]) => void;

export interface OwnPartsOptions {
  /** This supernode among the scheduler's hosts. */
  seedHost: HostIndex;
  seeding: (contentId: string) => Seeding | undefined;
  /** "host:port" of a peer's piece server, as this supernode reaches it. */
  pieceAddressOf: (host: HostIndex) => string;
  step: (event: SchedulerEvent) => void;
}

export class OwnParts implements OwnSwarm {
  readonly #options: OwnPartsOptions;
  readonly #parts = new Map<Seeding, Assigned>();

  constructor(options: OwnPartsOptions) {
    this.#options = options;
  }

  take(contentId: string, assigned: Assigned): OwnPart | undefined {
    const { seedHost, step } = this.#options;
    const seeding = this.#options.seeding(contentId);
    if (seeding === undefined) return undefined;
    const part = { content: seeding.index, host: seedHost };
    this.#parts.set(seeding, assigned);
    step({ kind: "seedWants", ...part, wantsPieces: true });
    return {
      pull: (pull) => step({ kind: "pulled", ...part, pull }),
      end: () => {
        if (this.#parts.delete(seeding)) step({ kind: "seedWants", ...part, wantsPieces: false });
      },
    };
  }

  /** The scheduler assigned something to this supernode. */
  assigned(seeding: Seeding | undefined, assignments: readonly Assignment[]): void {
    const tell = seeding === undefined ? undefined : this.#parts.get(seeding);
    if (tell === undefined) return;
    const received = assignments.map(({ piece, count, parent }) => {
      return { piece, count, parent, address: this.#options.pieceAddressOf(parent) };
    });
    // What follows steps the scheduler, which is in the middle of a step; and what the two of them say
    // to each other must never keep this thread from its sockets.
    setImmediate(() => tell(received));
  }

  /** The content is gone: its index may soon be another's. */
  dropped(seeding: Seeding): void {
    this.#parts.delete(seeding);
  }
}
