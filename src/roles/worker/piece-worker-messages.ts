// What the main thread and the piece worker tell each other.

import type { ServedContent } from "../../net/piece/piece-server.ts";

export type PieceWorkerOrder =
  /** The first message, once. */
  | {
      kind: "listen";
      hostname: string;
      port: number;
      limits: UploadLimits;
      identity: HostKeys | null;
    }
  /** Whose tickets open private contents: Ed25519 SPKI, base64; null: nobody's. */
  | { kind: "trust"; clusterKey: string | null }
  /** Offers a content or replaces it; `content.words` lies on a SharedArrayBuffer. */
  | { kind: "serve"; contentId: string; content: ServedContent }
  | { kind: "remove"; contentId: string }
  | { kind: "limit"; limits: UploadLimits }
  /** The answer to `asked`; null: nothing of it is told. */
  | { kind: "tell"; question: number; bytes: Uint8Array | null }
  | { kind: "stop" };

export type PieceWorkerReport =
  | { kind: "listening"; port: number }
  /** The address could not be bound; `code` as the system names it, e.g. EADDRINUSE. */
  | { kind: "refused"; code: string; message: string }
  | ({ kind: "uploads" } & UploadCounts)
  /** A neighbour asks for rows or signatures of a content, from the `from`-th on that are told. */
  | { kind: "asked"; question: number; what: ToldOfContent; contentId: string; from: number }
  /** A bug of ours, that the worker outlived. */
  | { kind: "fault"; message: string }
  | { kind: "stopped" };

/** What neighbours are told of a content besides its bytes. */
export type ToldOfContent = "rows" | "signatures";

/** By which a host proves that an address is its own; the key is PKCS #8 in base64. */
export interface HostKeys {
  hostId: string;
  privateKey: string;
}

export interface UploadLimits {
  /** Uploads at once; 0 refuses all. */
  uploadSlots: number;
  /** Bytes per second of all uploads; null: no limit. */
  uploadRateBytesPerSec: number | null;
  /** Bytes per second read from disk for uploads; null: no limit. */
  diskRateBytesPerSec: number | null;
}

export interface UploadCounts {
  /** Bytes and pieces (or parts of pieces) since the start. */
  uploadedBytes: number;
  uploadCount: number;
  /** Uploads under way when the report was made. */
  activeUploads: number;
  /** Contents uploaded from since the last report. */
  usedContentIds: string[];
}
