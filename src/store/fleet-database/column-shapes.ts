// What the JSON columns of the fleet's tables hold. The wire has schemas of its own for the same
// things: what arrives is checked there before it is stored here.

export type LabelMap = Record<string, string>;

/** Without port. */
export type HostAddresses = string[];

/** "host:port" and the zone that can use it; all when absent. */
export interface ZonedAddressRow {
  address: string;
  zone?: string | undefined;
}

/** All that are given must hold; of several addresses of a host one is enough. */
export interface RuleConditions {
  /** Blocks of either family, any of which may hold the host's address. */
  cidrs?: string[] | undefined;
  labels?: LabelMap | undefined;
  /** Pattern for the whole host name: `*` any run of characters, `?` one. */
  hostname?: string | undefined;
}

export interface SupernodeReport {
  load: {
    peers: number;
    downloads: number;
    uploadBytesPerSec: number;
    sourceBytesPerSec: number;
  };
  disk: { usedBytes: number; quotaBytes: number | null; freeBytes: number };
  contents: number;
  /** The version of the settings that it has applied. */
  settingsVersion: number;
}
