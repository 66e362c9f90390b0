// What a download is made of and what can become of it.

import type { Pacer } from "../../engine/bytes/pacing.ts";
import type { DfError } from "../../errors.ts";
import type { PieceClient } from "../../net/piece/piece-client.ts";
import type { RequestSigner } from "../../net/wire/ticketed-request.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { ContentDigests, PieceStore } from "../../store/piece-store.ts";
import type { LiveSettings } from "../settings/live-settings.ts";
import type { ClusterKey } from "../signatures/cluster-key.ts";
import type { SourceService } from "../worker/source-service.ts";
import type { FirstHandRows } from "./first-hand-rows.ts";
import type { SharedContents } from "./shared-contents.ts";
import type { Supernodes } from "./supernodes.ts";

/** What all downloads of a peer share. */
export interface DownloadSurroundings {
  store: PieceStore;
  client: PieceClient;
  /** Signs this host's requests for private contents. */
  signer: RequestSigner;
  shared: SharedContents;
  firstHand: FirstHandRows;
  /** Checks what the fleet signed. */
  clusterKey: ClusterKey;
  sources: SourceService;
  supernodes: Supernodes;
  /** The download rate of the host. */
  hostPacer: Pacer;
  settings: LiveSettings;
  onWarning: (message: string) => void;
}

/** What the readers of a download allow: the one that allows most decides, as it does for the rate. */
export interface DownloadPolicy {
  mayReadSource: boolean;
  /** Other peers' pieces are not wanted. */
  seedsOnly: boolean;
}

export interface DownloadOptions {
  taskId: string;
  task: TaskRequest;
  /** Neither a supernode nor a parent is asked. */
  mustReadSelf: boolean;
  policy: DownloadPolicy;
  /** Whether another download does not bring this content already. */
  mayBring: (contentId: string) => boolean;
  /** The limit of this download; its rate follows the readers. */
  pacer: Pacer;
}

export type DownloadState =
  | { kind: "running" }
  | { kind: "done"; digests: ContentDigests; inline: string | undefined }
  | { kind: "failed"; error: DfError };
