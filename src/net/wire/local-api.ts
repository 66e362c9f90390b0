// The HTTP API between `df get` and the peer on the same host, over a unix socket. No request
// carries a path: the client opens, fills and renames its output with its own rights.
//
//   POST /v1/downloads            DownloadRequest → 200, application/x-ndjson of DownloadEvents;
//                                 the connection is the reader: closing it leaves the download
//   GET  /v1/contents/<id>        bytes, also while they arrive; one Range. Private ones are given to who
//                                 shows the `access` of the content event, and are not there to others
//   GET  /v1/status               PeerStatus
//   POST /v1/freshness            TaskRequest → FreshnessOnHost
//
// Errors before the stream starts: { "error": WireError } with the code's status.

import type { WireError } from "../../errors.ts";
import type { Credentials, RegistryKind } from "./task.ts";

/** Carries the `access` of a private content's event. */
export const ACCESS_HEADER = "df-access";

/** Where bytes may come from. */
export type SourcePolicy = "p2p" | "supernode" | "origin";

export interface DownloadRequest {
  /** Without user info and signature. */
  url: string;
  /** Neutral headers and those the user declared public; never a credential. */
  headers?: Record<string, string>;
  /** Makes the request private. */
  credentials?: Credentials | undefined;
  /** Pieces travel and rest sealed though the request is public. */
  isSealed?: boolean | undefined;
  /**
   * The URL is of a registry's pull API; `checksum` is the digest in its path, if it has one (else: usage).
   * Where the registry wants a token of everybody, one is got. What fails says what the registry said to
   * this reader: source-unauthorized (401), -forbidden (403), -not-found (404, 410), source-busy (429, 503),
   * each with `refusal.status`; source-error (other 5xx), network, timeout, tls where it is in trouble;
   * checksum: it names or sent other bytes than the digest's, and nothing of them was kept.
   */
  registryKind?: RegistryKind | undefined;
  tag?: string;
  /** Query parameters that do not make the bytes differ. */
  filterQuery?: string[];
  /** "algorithm:hex" the whole content must have. */
  checksum?: string;
  /**
   * Where bytes may come from. Readers of one task share one download, and the one that allows most
   * decides; bytes that are on this host already count for all.
   */
  source?: SourcePolicy;
  noOrigin?: boolean;
  /** Bytes per second for this download. */
  limitRate?: number;
}

/** Plain bytes of one download by where they came from. */
export interface BytesBySource {
  source: number;
  supernode: number;
  peers: number;
  /** Already on this host. */
  cache: number;
}

export type DownloadStreamEvent =
  | { event: "notice"; message: string }
  | {
      event: "content";
      contentId: string;
      taskId: string;
      length: number | null;
      pieceLength: number;
      /** ETag or Last-Modified; null when the source gave none. */
      validator: string | null;
      lastModified: string | null;
      /** What the source said with the bytes, aged to now: type, lifetime, entity tag. @defaultValue nothing */
      fields?: Readonly<Record<string, string>>;
      /**
       * Path of the store's data file; only for reading, and only a hint. It holds the content's own
       * bytes as far as `plainPrefixBytes` says, and no further.
       */
      dataPath: string | null;
      /** Why the version may be out of date: the source could not be asked; absent: it was. */
      stale?: string;
      /** The same version again, of whose data file other bytes may have been read than it now holds. */
      isAnew?: boolean;
      /** Of a private content: what `GET /v1/contents/<id>` wants to see in `DF-Access`. */
      access?: string;
    }
  | {
      event: "progress";
      /** Bytes from offset 0 that are verified and readable without a gap. */
      prefixBytes: number;
      /** Those of them that may be read from `dataPath`. */
      plainPrefixBytes: number;
      doneBytes: number;
      bytes: BytesBySource;
      /** Bytes that travelled to this host for what was not here: compressed ones as they came. */
      wireBytes: number;
      /** Parents with a transfer under way. */
      parents: number;
    }
  | {
      event: "done";
      length: number;
      /** Hex MD5 of the whole content as the supernode (or the own source read) computed it. */
      md5: string;
      sha256: string | null;
      bytes: BytesBySource;
      wireBytes: number;
      /** Base64 of the whole content when it is at most 8 KiB. */
      inline?: string;
    }
  | { event: "failed"; error: WireError };

/** What is held, and the disk that holds it. */
export interface StoreStatus {
  contents: number;
  /** Contents that stay whatever the need. */
  pinned: number;
  usedBytes: number;
  quotaBytes: number | null;
  disk: {
    /** By everything on it. */
    usedBytes: number;
    freeBytes: number;
    /** Shares of the disk in use: contents go at the high one, down to the low one. */
    highMark: number;
    lowMark: number;
    /** Above the high mark with nothing left that may go. */
    isTooFull: boolean;
  };
}

export interface PeerStatus {
  version: string;
  peerId: string;
  pid: number;
  listen: string | null;
  supernodes: { address: string; connected: boolean }[];
  /** Where the fleet's `df config` is that names the supernodes; absent where they were given. */
  configService?: string[];
  /** The port for container engines: "host:port" or a socket's path; absent where it is not open. */
  proxy?: {
    listen: string;
    /** Of the registry mirror, since the peer's start. Absent: an earlier version. */
    requests?: Record<"swarm" | "registry" | "mirror" | "failed" | "left", number>;
    /** Of bodies, by who had them. */
    bytes?: Record<"swarm" | "registry", number>;
    /** Of what goes through the port to somewhere else; "missed": the target answered in spite of a rule. */
    forwards?: Record<"swarm" | "missed" | "target" | "failed", number>;
  };
  downloads: {
    contentId: string;
    url: string;
    doneBytes: number;
    length: number | null;
    readers: number;
    bytes: BytesBySource;
    wireBytes: number;
  }[];
  store: StoreStatus;
  uploadedBytes: number;
  /** Plain bytes, of which `savedBytes` did not have to travel. */
  downloadedBytes: number;
  savedBytes: number;
}
