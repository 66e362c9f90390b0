// The clock of a replica: writes what waits, silences supernodes whose lease is over, looks for changes
// that other replicas made, forgets what is old. Every replica does all of it; nothing needs a leader.

import { forgetCredentials } from "../../store/fleet-database/credentials.ts";
import { messageOf } from "../../errors.ts";
import { type FleetDatabase, withoutQuery } from "../../store/fleet-database/fleet-database.ts";
import { forgetChannels, forgetHosts } from "../../store/fleet-database/hosts.ts";
import {
  saveHeartbeats,
  silenceSupernodes,
  type SupernodeRow,
} from "../../store/fleet-database/supernodes.ts";
import { forgetWorkLeases } from "../../store/fleet-database/work-leases.ts";
import type { FleetView } from "./fleet-view.ts";
import type { HostRegistrations } from "./host-registrations.ts";
import { ReplicaPresence } from "./replica-presence.ts";
import { WriteBatch } from "./write-batch.ts";

/** So often other replicas' changes are seen and leases end. */
const ROUND_MS = 1_000;

/** News of a supernode that came, moved or leaves do not wait for the round, only for company. */
const NEWS_DELAY_MS = 50;

const FORGET_EVERY_MS = 3_600_000;
const HOST_FORGOTTEN_AFTER_MS = 30 * 86_400_000;
const CREDENTIAL_FORGOTTEN_AFTER_MS = 86_400_000;

export interface LeaseKeeperOptions {
  database: FleetDatabase;
  view: FleetView;
  hosts: HostRegistrations;
  leaseMs: number;
  /** Told when the database stops answering and when it answers again. */
  onWarning: (message: string) => void;
}

export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  readonly #heartbeats: WriteBatch<SupernodeRow>;
  readonly #presence: ReplicaPresence;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #round: Promise<void> = Promise.resolve();
  /** The round for news, if one is due. */
  #news: Promise<void> | null = null;
  #isStopped = false;
  /** Null: the database answers. */
  #failure: unknown = null;
  /**
   * Until then no lease ends: while this replica or the database was away, heartbeats could not be
   * written, and silence proves nothing.
   */
  #graceUntilMs: number;
  /** When leases were looked at last. */
  #lookedAtMs = Date.now();
  #forgetAtMs = 0;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    this.#graceUntilMs = Date.now() + options.leaseMs;
    this.#presence = new ReplicaPresence(options.database);
    this.#heartbeats = new WriteBatch({
      keyOf: ({ hostId }) => hostId,
      rowsMax: 500,
      write: (rows) => saveHeartbeats(options.database, rows),
    });
  }

  /** Whether the database fails, or keeps a round waiting for longer than a lease. */
  get isDatabaseAway(): boolean {
    return this.#failure !== null || Date.now() - this.#lookedAtMs > this.#options.leaseMs;
  }

  /** When a supernode heard now is silent; a round early, so that lists are right within the lease. */
  leaseEnd(nowMs: number): number {
    return nowMs + this.#options.leaseMs - ROUND_MS;
  }

  /**
   * Notes a heartbeat.
   * @param isNews whether lists change by it: then the promise ends when they have here
   */
  async heard(row: SupernodeRow, isNews: boolean): Promise<void> {
    this.#heartbeats.add(row);
    if (!isNews) return;
    this.#news ??= Bun.sleep(NEWS_DELAY_MS).then(() => {
      this.#news = null;
      return this.#enqueue();
    });
    await this.#news;
  }

  /** Makes the first look now. @throws {Error} the database's */
  async start(): Promise<void> {
    await this.#options.view.refresh();
    this.#schedule();
  }

  /** Writes what waits and ends the rounds. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#news;
    await this.#enqueue();
    // It runs out by itself.
    await this.#presence.leave().catch(() => {});
  }

  #schedule(): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => void this.#enqueue().then(() => this.#schedule()), ROUND_MS);
  }

  /** One round after the other. */
  #enqueue(): Promise<void> {
    this.#round = this.#round.then(() => this.#tick());
    return this.#round;
  }

  async #tick(): Promise<void> {
    const { view, hosts, leaseMs, onWarning } = this.#options;
    try {
      await this.#heartbeats.flush();
      await this.#silence();
      await view.refresh();
      await hosts.flush();
      await this.#presence.show(Date.now());
      await this.#forget();
      if (this.#failure !== null) onWarning("the database answers again");
      this.#failure = null;
    } catch (error) {
      this.#graceUntilMs = Date.now() + leaseMs;
      // Said once: the same cause every second would hide all else.
      if (this.#failure === null) {
        const reason = messageOf(withoutQuery(error));
        onWarning(`the database does not answer; going on with what is known: ${reason}`);
      }
      this.#failure = error;
    }
  }

  async #silence(): Promise<void> {
    const { leaseMs } = this.#options;
    const nowMs = Date.now();
    // A write that hung, a process that was stopped, a clock that was set: nobody was heard meanwhile.
    if (nowMs - this.#lookedAtMs > leaseMs / 2) this.#graceUntilMs = nowMs + leaseMs;
    this.#lookedAtMs = nowMs;
    if (nowMs < this.#graceUntilMs) return;
    const silent = await silenceSupernodes(this.#options.database, nowMs);
    await forgetChannels(this.#options.database, silent);
    for (const hostId of silent) this.#options.onWarning(`supernode ${hostId} is silent`);
  }

  async #forget(): Promise<void> {
    const { database } = this.#options;
    const nowMs = Date.now();
    if (nowMs < this.#forgetAtMs) return;
    this.#forgetAtMs = nowMs + FORGET_EVERY_MS;
    await forgetHosts(database, nowMs - HOST_FORGOTTEN_AFTER_MS);
    await forgetWorkLeases(database, nowMs);
    await forgetCredentials(database, nowMs - CREDENTIAL_FORGOTTEN_AFTER_MS);
  }
}
