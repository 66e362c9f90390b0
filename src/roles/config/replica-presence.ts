// That this replica serves a database which it shares: `df config restore` asks. SQLite's folder is
// locked instead.

import type { FleetDatabase } from "../../store/fleet-database/fleet-database.ts";
import { dropWorkLease, takeWorkLease } from "../../store/fleet-database/work-leases.ts";

/** A replica that was killed is taken for a living one so long. */
const SHOWN_FOR_MS = 15_000;

export class ReplicaPresence {
  readonly #database: FleetDatabase;
  readonly #holder = crypto.randomUUID();
  #shownUntilMs = 0;

  constructor(database: FleetDatabase) {
    this.#database = database;
  }

  /** Called every second or so. @throws {Error} the database's */
  async show(nowMs: number): Promise<void> {
    if (this.#database.dialect === "sqlite") return;
    if (nowMs < this.#shownUntilMs - SHOWN_FOR_MS / 2) return;
    const expiresAt = nowMs + SHOWN_FOR_MS;
    await takeWorkLease(this.#database, { ...this.#lease, expiresAt }, nowMs);
    this.#shownUntilMs = expiresAt;
  }

  /** @throws {Error} the database's */
  async leave(): Promise<void> {
    if (this.#shownUntilMs > 0) await dropWorkLease(this.#database, this.#lease);
  }

  get #lease(): { name: string; holder: string } {
    return { name: `replica ${this.#holder}`, holder: this.#holder };
  }
}
