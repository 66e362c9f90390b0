// What follows when a content comes, grows or goes: the piece worker, the scheduler, the cluster and
// the log hear of it.

import type { PieceService } from "../worker/piece-service.ts";
import type { Cluster } from "./cluster/cluster.ts";
import type { Seeding, SeedingEvents } from "./seeding.ts";
import type { SupernodeOptions } from "./supernode-options.ts";
import type { SwarmDesk } from "./swarm-desk.ts";

/** What happens to a content is told to the piece worker first: no one is sent to a piece that is not served. */
export function seedingEvents(
  { onWarning, onNotice }: Pick<SupernodeOptions, "onWarning" | "onNotice">,
  pieces: PieceService,
  { desk, cluster }: { desk: () => SwarmDesk; cluster: () => Cluster },
): SeedingEvents {
  /** Each content's bitmap as last shown to the piece worker. */
  const served = new WeakMap<Seeding, Uint32Array>();
  const serve = (seeding: Seeding): void => {
    served.set(seeding, seeding.stored.have.words);
    pieces.serve(seeding.stored);
  };
  return {
    opened(seeding) {
      const { contentId, url, layout } = seeding.stored.facts;
      onNotice?.(`content ${contentId}: ${url}, ${layout.length ?? "unknown"} bytes`);
      serve(seeding);
      desk().seedingOpened(seeding);
    },
    pieceSeeded(seeding, piece) {
      if (served.get(seeding) !== seeding.stored.have.words) serve(seeding);
      desk().pieceSeeded(seeding, piece);
    },
    lengthKnown(seeding) {
      serve(seeding);
      desk().lengthKnown(seeding);
    },
    dropped(seeding) {
      const { contentId } = seeding.stored.facts;
      onNotice?.(`content ${contentId}: no longer shared`);
      pieces.remove(contentId);
      desk().seedingDropped(seeding);
      cluster().dropped(seeding);
    },
    warned: onWarning,
  };
}
