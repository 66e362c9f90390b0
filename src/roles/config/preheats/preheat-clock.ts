// What happens to preheats with time: jobs end, expire and begin anew, and hosts that lost their
// supernode go to another one. One replica at a time does it; when it dies the next one goes on.

import {
  databaseError,
  type FleetDatabase,
  withoutQuery,
} from "../../../store/fleet-database/fleet-database.ts";
import {
  changePreheatTargets,
  countPreheatTargets,
  endCancelling,
  isPreheatLive,
  releasePreheatTargets,
} from "../../../store/fleet-database/preheat-targets.ts";
import {
  changePreheatJob,
  forgetPreheats,
  hasLivePreheats,
  listLivePreheats,
  listPreheatsToRefresh,
  type LivePreheat,
  type PreheatJobRow,
} from "../../../store/fleet-database/preheats.ts";
import { dropWorkLease, takeWorkLease } from "../../../store/fleet-database/work-leases.ts";
import { isDfError, messageOf } from "../../../errors.ts";
import { requestOf } from "./kept-request.ts";
import { ended, nextRunAfter, type PreheatJobs } from "./preheat-jobs.ts";

const ROUND_MS = 1_000;
const LEASE_MS = 10_000;
const LEASE_NAME = "preheats";

/** Who was asked to make a job chooses its machines; when it died meanwhile, the clock does. */
const PLANNING_ABANDONED_AFTER_MS = 30_000;

/** A machine that was cancelled and never comes back need not be told for longer. */
const CANCELLING_MS = 600_000;

/** Jobs that are over are listed for so long. */
const FORGOTTEN_AFTER_MS = 30 * 86_400_000;
const FORGET_EVERY_MS = 3_600_000;

/** Live jobs looked at in one round; more wait for the next. */
const JOBS_PER_ROUND = 1_000;

export interface PreheatClockOptions {
  database: FleetDatabase;
  jobs: PreheatJobs;
  onWarning: (message: string) => void;
}

export class PreheatClock {
  readonly #options: PreheatClockOptions;
  readonly #holder = crypto.randomUUID();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #round: Promise<void> = Promise.resolve();
  #isStopped = false;
  #forgetAtMs = 0;
  #isFailing = false;

  constructor(options: PreheatClockOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#round = this.#tick().then(() => {
        if (!this.#isStopped) this.start();
      });
    }, ROUND_MS);
  }

  /** Lets another replica go on at once. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#round;
    const lease = { name: LEASE_NAME, holder: this.#holder };
    // It runs out by itself.
    await dropWorkLease(this.#options.database, lease).catch(() => {});
  }

  async #tick(): Promise<void> {
    const { database, jobs, onWarning } = this.#options;
    const nowMs = Date.now();
    const lease = { name: LEASE_NAME, holder: this.#holder, expiresAt: nowMs + LEASE_MS };
    try {
      // Each replica for itself: any of them may have opened a job's headers.
      const live = await listLivePreheats(database, JOBS_PER_ROUND);
      jobs.opened.keepOnly(new Set(live.map(({ id }) => id)));
      // Looking costs less than the lease: an idle fleet writes nothing.
      const isDue = nowMs >= this.#forgetAtMs || (await isAnythingDue(database, nowMs));
      if (isDue && (await takeWorkLease(database, lease, nowMs))) await this.#advance(nowMs);
      this.#isFailing = false;
    } catch (error) {
      // Said once: the same cause every second would hide all else.
      if (!this.#isFailing) onWarning(`preheats: ${messageOf(withoutQuery(error))}`);
      this.#isFailing = true;
    }
  }

  async #advance(nowMs: number): Promise<void> {
    const { database } = this.#options;
    for (const job of await listPreheatsToRefresh(database, nowMs)) await this.#renew(job, nowMs);
    if (nowMs >= this.#forgetAtMs) {
      this.#forgetAtMs = nowMs + FORGET_EVERY_MS;
      await forgetPreheats(database, nowMs - FORGOTTEN_AFTER_MS);
    }
    if (!(await hasLivePreheats(database))) return;
    await releasePreheatTargets(database);
    // After the renewals: a round that just began must not expire with the one before.
    const live = await listLivePreheats(database, JOBS_PER_ROUND);
    for (const job of live) {
      if (job.state === "planning") await this.#planAbandoned(job, nowMs);
      else if (job.expiresAt <= nowMs) await this.#expire(job, nowMs);
    }
    await this.#conclude(live, nowMs);
    await endCancelling(database, nowMs - CANCELLING_MS);
  }

  async #planAbandoned(job: LivePreheat, nowMs: number): Promise<void> {
    if (job.createdAt > nowMs - PLANNING_ABANDONED_AFTER_MS) return;
    const { database, jobs } = this.#options;
    await jobs
      .find(job.id)
      .then((whole) => jobs.plan(whole))
      .catch((error: unknown) =>
        changePreheatJob(
          database,
          { id: job.id, from: ["planning"] },
          { ...ended(job, "failed", nowMs), error: errorOf(error) },
        ),
      );
  }

  /** Machines that are still away are not asked any more. */
  async #expire({ id }: LivePreheat, nowMs: number): Promise<void> {
    const error = { code: "timeout", message: "the machine did not finish while it was wanted" };
    await changePreheatTargets(
      this.#options.database,
      { jobId: id, from: ["pending", "sent", "running"] },
      { state: "failed", error, updatedAt: nowMs },
    );
  }

  async #conclude(live: readonly LivePreheat[], nowMs: number): Promise<void> {
    const { database } = this.#options;
    for (const job of live) {
      const { id } = job;
      if (job.state !== "running" || (await isPreheatLive(database, id))) continue;
      const counts = await countPreheatTargets(database, [id]);
      const hasFailed = counts.some((row) => row.state === "failed");
      const end = ended(job, hasFailed ? "failed" : "done", nowMs);
      await changePreheatJob(database, { id, from: ["running"] }, end);
    }
  }

  /** Begins a job's next round: with the same machines, whatever became of the last one. */
  async #renew(job: PreheatJobRow, nowMs: number): Promise<void> {
    const { database } = this.#options;
    const request = requestOf(job);
    // Hosts that are away must not keep the others from the next round. Ended first: else a heartbeat
    // in between would tell machines that are done the last round's command again.
    const over = ended(job, "failed", nowMs);
    await changePreheatJob(database, { id: job.id, from: ["running"] }, over);
    // The targets before the job: a replica that dies in between leaves one that the next renews again.
    await changePreheatTargets(
      database,
      { jobId: job.id, from: ["pending", "sent", "running", "done", "failed"] },
      { state: "pending", attemptCount: 0, doneBytes: 0, error: null, updatedAt: nowMs },
    );
    await changePreheatJob(
      database,
      { id: job.id, from: ["done", "failed"] },
      {
        ...{ state: "running", round: job.round + 1, updatedAt: nowMs },
        expiresAt: nowMs + request.keepSeconds * 1000,
        nextRunAt: nextRunAfter(request, nowMs),
      },
    );
  }
}

async function isAnythingDue(database: FleetDatabase, nowMs: number): Promise<boolean> {
  if (await hasLivePreheats(database)) return true;
  return (await listPreheatsToRefresh(database, nowMs)).length > 0;
}

function errorOf(error: unknown): { code: string; message: string } {
  const known = isDfError(error) ? error : databaseError(error);
  return { code: known?.code ?? "internal", message: messageOf(known ?? error) };
}
