// What hosts say of themselves whenever they ask for routes, on its way to the database: in batches,
// and not at all while nothing is new.

import type { RouteRequest } from "../../net/wire/fleet-api.ts";
import type { FleetDatabase } from "../../store/fleet-database/fleet-database.ts";
import { type HostRow, saveHosts } from "../../store/fleet-database/hosts.ts";
import { WriteBatch } from "./write-batch.ts";

/** One SQLite statement blocks for some 3 ms with so many. */
const ROWS_PER_STATEMENT = 200;

/** An unchanged host is written so often. */
const SEEN_PRECISION_MS = 30_000;

/** Hosts remembered as written; all are forgotten at once, which costs one more write each. */
const REMEMBERED_MAX = 200_000;

export class HostRegistrations {
  readonly #batch: WriteBatch<HostRow>;
  /** By host ID: what was noted last, and when. */
  #noted = new Map<string, { text: string; atMs: number }>();

  constructor(database: FleetDatabase) {
    this.#batch = new WriteBatch({
      keyOf: ({ hostId }) => hostId,
      rowsMax: ROWS_PER_STATEMENT,
      write: (rows) => saveHosts(database, rows),
    });
  }

  /** @param cluster of the host's credential; null: it has none */
  note(request: RouteRequest, cluster: string | null): void {
    const nowMs = Date.now();
    const { hostId, hostname, addresses, labels, version } = request;
    const text = JSON.stringify([hostname, addresses, labels, version, cluster]);
    const noted = this.#noted.get(hostId);
    if (noted?.text === text && nowMs - noted.atMs < SEEN_PRECISION_MS) return;
    if (this.#noted.size >= REMEMBERED_MAX) this.#noted = new Map();
    this.#noted.set(hostId, { text, atMs: nowMs });
    this.#batch.add({
      ...{ hostId, hostname, addresses, labels, version, cluster },
      ...{ firstSeenAt: nowMs, seenAt: nowMs },
    });
  }

  /** @throws {Error} the database's; what was noted waits for the next call */
  flush(): Promise<void> {
    return this.#batch.flush();
  }
}
