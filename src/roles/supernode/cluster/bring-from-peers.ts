// Brings what this supernode knows rows of, but has no bytes: its peers have them. That is how a
// member that took over, or a supernode that lost some of its disk, saves the source a second read.

import { pieceCountOf } from "../../../engine/core/piece-layout.ts";
import type { ReceivedAssignment } from "../../../engine/core/download-events.ts";
import type { Pull } from "../../../engine/core/scheduler-events.ts";
import type { StoredContent } from "../../../store/piece-store.ts";
import { ContentTransfer } from "../../peer/content-transfer.ts";
import type { ContentSink } from "../suppliers.ts";
import { SUPERNODE_FETCH_SLOTS, type SwarmSurroundings } from "./bring-from-swarm.ts";

/** Peers that came back after their owner's death have said what they have within this time. */
export const GATHER_MS = 1_500;

/** When nothing came for so long, the peers that are here have no more. */
const IDLE_MS = 1_000;

const LOOK_INTERVAL_MS = 100;

/** This supernode's own part as a child in the swarm that it schedules. */
export interface OwnPart {
  pull(pull: Pull): void;
  end(): void;
}

export interface OwnSwarm {
  /** Begins to give this supernode what its peers have; `assigned` is never called within `pull`. */
  take(
    contentId: string,
    assigned: (assignments: ReceivedAssignment[]) => void,
  ): OwnPart | undefined;
}

/** Whether there is a row without its piece. */
export function lacksKnownPieces({ manifest, have }: StoredContent): boolean {
  return manifest.learned.length > have.count;
}

/**
 * Takes what the peers have; returns when nothing came for a while.
 * @throws {DfError} why this supernode cannot store it; the signal's reason
 */
export async function bringFromPeers(
  content: StoredContent,
  sink: ContentSink,
  around: { swarm: OwnSwarm } & Pick<SwarmSurroundings, "client" | "pacer" | "authorise">,
): Promise<void> {
  const { length, pieceLength } = content.manifest.layout;
  const failure = Promise.withResolvers<never>();
  failure.promise.catch(() => {});
  let cameAtMs = performance.now() + GATHER_MS - IDLE_MS;
  const part = around.swarm.take(content.facts.contentId, (assignments) =>
    transfer.step({ kind: "assigned", assignments }),
  );
  if (part === undefined) return;
  const transfer = new ContentTransfer(content, {
    client: around.client,
    authorise: around.authorise(content.facts),
    shared: { share: () => {} },
    slots: SUPERNODE_FETCH_SLOTS,
    pacers: [around.pacer],
    isSupernode: () => false,
    pull: (pull) => part.pull(pull),
    onPiece: (piece) => {
      cameAtMs = Math.max(cameAtMs, performance.now());
      sink.pieceStored(piece, 0);
    },
    onProgress: () => {},
    onComplete: () => {},
    onFailure: (error) => failure.reject(error),
  });
  try {
    const pieceCount = length === null ? null : pieceCountOf(length, pieceLength);
    transfer.step({ kind: "joined", pieceCount, known: content.have.words });
    const isIdle = (): boolean => performance.now() - cameAtMs > IDLE_MS && transfer.parents === 0;
    while (lacksKnownPieces(content) && !isIdle()) {
      sink.signal.throwIfAborted();
      await Promise.race([Bun.sleep(LOOK_INTERVAL_MS), failure.promise]);
    }
  } finally {
    transfer.stop();
    part.end();
  }
}
