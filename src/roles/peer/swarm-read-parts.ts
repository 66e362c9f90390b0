// What a swarm read is given and whom it tells.

import type { DfError } from "../../errors.ts";
import type { JoinOptions } from "../../net/swarm/join-message.ts";
import type { NamedSupernode } from "../../net/tls/supernode-endpoint.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { RequestSigner } from "../../net/wire/ticketed-request.ts";
import type { PieceStore, StoredContent } from "../../store/piece-store.ts";
import type { ContentTransfer } from "./content-transfer.ts";

/** What becomes of a swarm read, for who started it. */
export interface SwarmReadEvents {
  /** How the next join is asked. */
  joinOptions(): Omit<JoinOptions, "known">;
  /** The supernode takes this reader in. @param stale why the version is not confirmed by its source */
  joined(stale: string | undefined): void;
  moved(place: NamedSupernode, isDelegated: boolean): void;
  refused(error: DfError): void;
  /** The supernode cannot finish the content; `source-changed` asks for a new join. */
  contentFailed(error: DfError): void;
  /** Nothing comes any more; nothing has come for `silentMs` already. */
  channelLost(silentMs: number): void;
  channelOpened(): void;
  /** Another join is wanted: what is here, or some of it, was thrown away. */
  startedOver(): void;
  /** Makes what brings this content's pieces. @throws {DfError} when this version is not wanted */
  transferOf(content: StoredContent): ContentTransfer;
  /** Every piece may be here and the digests known: see `digests`. */
  advanced(): void;
  /** This host cannot go on. */
  broke(error: unknown): void;
}

export interface SwarmReadOptions {
  taskId: string;
  task: TaskRequest;
  store: Pick<PieceStore, "get" | "findByTask" | "create" | "delete">;
  /** Deletes a content whose rows are not the fleet's, and gives nothing of it any more. */
  discard: (contentId: string) => Promise<void>;
  /** Signs requests for private contents with tickets that come here. @defaultValue none is needed */
  signer?: RequestSigner;
  /** Whether the supernode's forms of pieces take the place of those here. @defaultValue false: it is left then */
  adoptsForms?: boolean;
  events: SwarmReadEvents;
}
