// Preheat jobs as administrators make, see and end them. What makes them go on is the clock's and the
// heartbeats' affair: see preheat-clock.ts and preheat-part.ts.

import { createHmac, randomBytes } from "node:crypto";
import { z } from "zod";
import { DfError } from "../../../errors.ts";
import { redactUrl, visibilityOf } from "../../../net/task-request.ts";
import {
  newPreheatSchema,
  parsePreheatScope,
  type Preheat,
  PREHEAT_TARGETS_MAX,
  type PreheatRequest,
  type PreheatState,
  type PreheatTarget,
  type PreheatTargetState,
} from "../../../net/wire/preheat-api.ts";
import type { TaskRequest } from "../../../net/wire/task.ts";
import type { FleetDatabase } from "../../../store/fleet-database/fleet-database.ts";
import {
  changePreheatTargets,
  countPreheatTargets,
  insertPreheatTargets,
  type PreheatTargetRow,
} from "../../../store/fleet-database/preheat-targets.ts";
import {
  changePreheatJob,
  findPreheatJob,
  insertPreheatJob,
  type PreheatJobRow,
} from "../../../store/fleet-database/preheats.ts";
import type { FleetKeys } from "../fleet-keys.ts";
import { type ChosenMachine, chooseMachines } from "./choose-targets.ts";

/** Keys of requests that named none: they count until their job is over. */
const CONTENT_KEY_PREFIX = "content ";

/** What the database keeps of a request: no values of headers. */
const keptRequestSchema = z.object({
  ...newPreheatSchema.shape,
  headers: z.never().optional(),
  headerNames: z.array(z.string()),
  /** Keyed digest of the whole request. */
  digest: z.string(),
});
type KeptRequest = z.infer<typeof keptRequestSchema>;

export interface PreheatAuthor {
  author: string;
  /** The header; null: none. */
  idempotencyKey: string | null;
}

export class PreheatJobs {
  readonly #database: FleetDatabase;
  readonly #keys: FleetKeys;
  /** Tasks of jobs that are under way here, so that headers are not opened for every heartbeat. */
  readonly #tasks = new Map<string, Promise<readonly TaskRequest[]>>();

  constructor(database: FleetDatabase, keys: FleetKeys) {
    this.#database = database;
    this.#keys = keys;
  }

  /**
   * Makes a job and chooses its machines; the same request finds the job that it made.
   * @throws {DfError} not-shareable, usage (no machine, or too many), conflict (the key's request was another)
   */
  async create(
    request: PreheatRequest,
    by: PreheatAuthor,
  ): Promise<{ job: PreheatJobRow; isNew: boolean }> {
    refusePrivate(request);
    const row = await this.#newRow(request, by);
    const before = await this.#madeBefore(row);
    if (before !== undefined) return { job: before, isNew: false };
    // Before anything is written: what cannot be done leaves no trace.
    const machines = await this.#machinesFor(row);
    if (!(await insertPreheatJob(this.#database, row))) return this.create(request, by);
    await this.#begin(row, machines);
    return { job: await this.find(row.id), isNew: true };
  }

  /**
   * Chooses the machines of a job whose replica died before it had, and lets it begin.
   * @throws {DfError} usage
   */
  async plan(job: PreheatJobRow): Promise<void> {
    await this.#begin(job, await this.#machinesFor(job));
  }

  /** @throws {DfError} not-found */
  async find(id: string): Promise<PreheatJobRow> {
    const job = await findPreheatJob(this.#database, { id });
    if (job !== undefined) return job;
    throw new DfError("not-found", `find preheat ${id}: there is none`);
  }

  /** Ends a job: what runs is stopped, what was brought is no longer kept from eviction. */
  async cancel(id: string): Promise<PreheatJobRow> {
    const job = await this.find(id);
    const updatedAt = Date.now();
    const from = ["planning", "running", "done", "failed"];
    const cancelled = ended({ ...job, nextRunAt: null }, "cancelled", updatedAt);
    const isEnded = await changePreheatJob(this.#database, { id, from }, cancelled);
    if (!isEnded) return job;
    const target = { jobId: id };
    await changePreheatTargets(
      this.#database,
      { ...target, from: ["pending", "failed"] },
      { state: "cancelled", updatedAt },
    );
    // Machines hear of it as they heard of the command, at once: nothing was sent since.
    await changePreheatTargets(
      this.#database,
      { ...target, from: ["sent", "running", "done"] },
      { state: "cancelling", updatedAt: 0 },
    );
    return this.find(id);
  }

  /** What each URL of a job is as a task; the headers are opened once. */
  tasksOf(job: PreheatJobRow): Promise<readonly TaskRequest[]> {
    const known = this.#tasks.get(job.id);
    if (known !== undefined) return known;
    const opening = this.#openTasks(job);
    this.#tasks.set(job.id, opening);
    opening.catch(() => this.#tasks.delete(job.id));
    return opening;
  }

  /** Forgets the opened headers of jobs that are not among these. */
  keepOnly(jobIds: ReadonlySet<string>): void {
    for (const id of this.#tasks.keys()) if (!jobIds.has(id)) this.#tasks.delete(id);
  }

  async describe(jobs: readonly PreheatJobRow[]): Promise<Preheat[]> {
    const counts = await countPreheatTargets(
      this.#database,
      jobs.map(({ id }) => id),
    );
    return jobs.map((job) => {
      const { urls, headerNames, scope, clusters, keepSeconds, refreshSeconds } = requestOf(job);
      const own = counts.filter(({ jobId }) => jobId === job.id);
      const countOf = (state: PreheatTargetState): number =>
        own.find((row) => row.state === state)?.count ?? 0;
      return {
        ...{ id: job.id, state: job.state as PreheatState, urls, headerNames, scope, clusters },
        ...{ author: job.author, createdAt: job.createdAt, updatedAt: job.updatedAt },
        ...{ expiresAt: job.expiresAt, keepSeconds, refreshSeconds },
        ...{ round: job.round, nextRunAt: job.nextRunAt },
        counts: {
          ...{ pending: countOf("pending"), sent: countOf("sent"), running: countOf("running") },
          ...{ done: countOf("done"), failed: countOf("failed") },
          ...{ cancelling: countOf("cancelling"), cancelled: countOf("cancelled") },
        },
        doneBytes: own.reduce((sum, { doneBytes }) => sum + doneBytes, 0),
        error: job.error as Preheat["error"],
      };
    });
  }

  async #newRow(
    request: PreheatRequest,
    { author, idempotencyKey }: PreheatAuthor,
  ): Promise<PreheatJobRow> {
    const { headers, ...rest } = request;
    const digest = await this.#digestOf(request);
    const kept: KeptRequest = { ...rest, headerNames: Object.keys(headers), digest };
    const nowMs = Date.now();
    const isHeaderless = kept.headerNames.length === 0;
    return {
      id: newJobId(nowMs),
      idempotencyKey:
        idempotencyKey === null
          ? `${CONTENT_KEY_PREFIX}${digest}`
          : `given ${author} ${idempotencyKey}`,
      request: kept,
      sealedHeaders: isHeaderless ? null : await this.#keys.seal(JSON.stringify(headers)),
      ...{ state: "planning", author, createdAt: nowMs, updatedAt: nowMs, round: 1, error: null },
      expiresAt: nowMs + request.keepSeconds * 1000,
      nextRunAt: nextRunAfter(request, nowMs),
    };
  }

  /** Keyed, so that the database does not let a header's value be guessed. */
  async #digestOf(request: PreheatRequest): Promise<string> {
    const key = this.#keys.document.sealing;
    const text = JSON.stringify(request, (_, value: unknown) => sortedIfRecord(value));
    return createHmac("sha256", `preheat digest ${key}`).update(text).digest("hex");
  }

  async #madeBefore({
    idempotencyKey,
    request,
  }: PreheatJobRow): Promise<PreheatJobRow | undefined> {
    const job = await findPreheatJob(this.#database, { idempotencyKey: idempotencyKey! });
    if (job === undefined) return undefined;
    if (requestOf(job).digest === (request as KeptRequest).digest) return job;
    throw new DfError("conflict", "make a preheat: its idempotency key has another request's job", {
      hint: "use a new key for a new request",
    });
  }

  /** @throws {DfError} usage: none, or too many */
  async #machinesFor(job: PreheatJobRow): Promise<ChosenMachine[]> {
    const request = requestOf(job);
    const machines = await chooseMachines(this.#database, {
      scope: parsePreheatScope(request.scope)!,
      clusters: request.clusters,
      seed: request.digest,
    });
    const count = machines.length * request.urls.length;
    if (count === 0) throw noMachine(request);
    if (count > PREHEAT_TARGETS_MAX) throw tooManyTargets(count);
    return machines;
  }

  async #begin(job: PreheatJobRow, machines: readonly ChosenMachine[]): Promise<void> {
    const updatedAt = Date.now();
    const rows = requestOf(job).urls.flatMap((_, itemIndex) =>
      machines.map(({ hostId, role }): PreheatTargetRow => ({
        ...{ jobId: job.id, itemIndex, hostId, role, updatedAt },
        ...{ commandId: "", state: "pending", attemptCount: 0 },
        ...{ doneBytes: 0, length: null, error: null },
        supernodeId: role === "supernode" ? hostId : null,
      })),
    );
    await insertPreheatTargets(this.#database, rows);
    const begun = { state: "running", updatedAt };
    await changePreheatJob(this.#database, { id: job.id, from: ["planning"] }, begun);
  }

  async #openTasks(job: PreheatJobRow): Promise<TaskRequest[]> {
    const { urls, tag, filterQuery, isSealed } = requestOf(job);
    const text = job.sealedHeaders === null ? "{}" : await this.#keys.unseal(job.sealedHeaders);
    const headers = z.record(z.string(), z.string()).parse(JSON.parse(text));
    const sealed = isSealed === true ? { isSealed } : {};
    return urls.map((url) => ({ url, headers, tag, filterQuery, checksum: "", ...sealed }));
  }
}

export function requestOf({ request }: PreheatJobRow): KeptRequest {
  return keptRequestSchema.parse(request);
}

/** What a job becomes when a round is over; with its last one the same request makes a new job. */
export function ended(
  { idempotencyKey, nextRunAt }: Pick<PreheatJobRow, "idempotencyKey" | "nextRunAt">,
  state: PreheatState,
  updatedAt: number,
): Partial<PreheatJobRow> {
  const isKeyFree = nextRunAt === null && idempotencyKey?.startsWith(CONTENT_KEY_PREFIX) === true;
  return { state, updatedAt, nextRunAt, ...(isKeyFree ? { idempotencyKey: null } : {}) };
}

/** When a job is done again after a round that begins now; null: never. */
export function nextRunAfter(
  { refreshSeconds }: Pick<PreheatRequest, "refreshSeconds">,
  nowMs: number,
): number | null {
  return refreshSeconds === null ? null : nowMs + refreshSeconds * 1000;
}

export function describeTarget(row: PreheatTargetRow, urls: readonly string[]): PreheatTarget {
  const { itemIndex, hostId, role, supernodeId, doneBytes, length, updatedAt } = row;
  return {
    ...{ url: urls[itemIndex] ?? "", hostId, role, supernodeId, doneBytes, length, updatedAt },
    state: row.state as PreheatTargetState,
    attempts: row.attemptCount,
    error: row.error as PreheatTarget["error"],
  };
}

/** Grows with time, so that lists are in order: 12 digits of milliseconds, 8 of chance. */
function newJobId(nowMs: number): string {
  return nowMs.toString(16).padStart(12, "0") + randomBytes(4).toString("hex");
}

/**
 * An order outlives the right of who gave it, and would carry his credentials to every machine: private
 * contents are brought by those who may have them.
 * @throws {DfError} not-shareable, naming every URL's reason
 */
function refusePrivate({ urls, headers, publicHeaders }: PreheatRequest): void {
  const reasons = urls.flatMap((url) => {
    const visibility = visibilityOf({ url, headers }, publicHeaders);
    return visibility.kind === "private" ? [`${redactUrl(url)}: ${visibility.because}`] : [];
  });
  if (reasons.length === 0) return;
  const shown = reasons.slice(0, 10).join("; ");
  const more = reasons.length > 10 ? ` and ${reasons.length - 10} more` : "";
  throw new DfError("not-shareable", `preheat what only its sender may have (${shown}${more})`, {
    hint: "credentials go to a source with the one who holds them: df get on one host brings it for all who may have it; a header whose value is no secret is named in publicHeaders (--header-public NAME)",
  });
}

function noMachine({ scope, clusters }: KeptRequest): DfError {
  const where = clusters.length === 0 ? "in the fleet" : `in ${clusters.join(", ")}`;
  return new DfError("usage", `preheat for ${scope} ${where}: no machine is registered there`, {
    hint: "GET /api/v1/supernodes and GET /api/v1/hosts list what is",
  });
}

function tooManyTargets(count: number): DfError {
  return new DfError("usage", `preheat: URLs times machines are ${count} targets`, {
    hint: `ask for at most ${PREHEAT_TARGETS_MAX} with one request, e.g. for a share of the hosts`,
  });
}

function sortedIfRecord(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
