// Preheat jobs as administrators make, see and end them. What makes them go on is the clock's and the
// heartbeats' affair: see preheat-clock.ts and preheat-part.ts.

import { DfError } from "../../../errors.ts";
import { redactUrl, visibilityOf } from "../../../net/task-request.ts";
import {
  type ImagePreheatRequest,
  parsePreheatScope,
  type Preheat,
  PREHEAT_TARGETS_MAX,
  PREHEAT_URLS_MAX,
  type PreheatRequest,
  type PreheatState,
  type PreheatTarget,
  type PreheatTargetState,
} from "../../../net/wire/preheat-api.ts";
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
  listPreheatJobs,
  type PreheatJobRow,
} from "../../../store/fleet-database/preheats.ts";
import type { FleetKeys } from "../fleet-keys.ts";
import { type ChosenMachine, chooseMachines } from "./choose-targets.ts";
import { newJobId } from "./job-id.ts";
import { digestOfRequest, type KeptRequest, requestOf } from "./kept-request.ts";
import type { OpenedJobs } from "./opened-jobs.ts";
import type { Registries } from "./registries.ts";

/** Keys of requests that named none: they count until their job is over. */
const CONTENT_KEY_PREFIX = "content ";

const LIVE: readonly PreheatState[] = ["planning", "running"];

/** Jobs looked at for one that was done already. */
const DONE_MAX = 100;

export interface PreheatAuthor {
  author: string;
  /** The header; null: none. */
  idempotencyKey: string | null;
}

/** A job that a request made, or had made before. */
export interface MadeJob {
  job: PreheatJobRow;
  isNew: boolean;
}

/** What a job is made of. */
interface Wish {
  kept: Omit<KeptRequest, "digest">;
  /** Kept sealed. */
  headers: Readonly<Record<string, string>>;
  /** What makes it the same request. */
  identity: unknown;
}

export interface PreheatJobsOptions {
  database: FleetDatabase;
  keys: FleetKeys;
  registries: Registries;
  opened: OpenedJobs;
}

export class PreheatJobs {
  readonly opened: OpenedJobs;
  readonly #database: FleetDatabase;
  readonly #keys: FleetKeys;
  readonly #registries: Registries;

  constructor({ database, keys, registries, opened }: PreheatJobsOptions) {
    this.opened = opened;
    this.#database = database;
    this.#keys = keys;
    this.#registries = registries;
  }

  /**
   * Makes a job and chooses its machines; the same request finds the job that it made.
   * @throws {DfError} not-shareable, usage (no machine, or too many), conflict (the key's request was another)
   */
  async create(request: PreheatRequest, by: PreheatAuthor): Promise<MadeJob> {
    refusePrivate(request);
    const { headers, ...rest } = request;
    const kept = { ...rest, image: null, headerNames: Object.keys(headers) };
    return this.#make({ kept, headers, identity: request }, by);
  }

  /**
   * As `create`, for all that a pull of an image brings. Equal to another request is one that means the same
   * manifests and blobs for the same machines, whoever may ask for them.
   * @throws {DfError} as `create` and Registries.resolve
   */
  async createForImage(request: ImagePreheatRequest, by: PreheatAuthor): Promise<MadeJob> {
    const { authorization: _, ...rest } = request;
    const wish = await this.#wishFor(request);
    // Who names a key means one job, also when the tag has moved since.
    const identity = by.idempotencyKey === null ? { ...wish.kept, image: undefined } : rest;
    const made = await this.#make({ ...wish, identity }, by);
    const { job, isNew } = made;
    // His credentials may live longer than those that it has.
    if (!isNew && job.sealedHeaders !== null && Object.keys(wish.headers).length > 0) {
      const sealedHeaders = await this.#seal(wish.headers);
      await changePreheatJob(this.#database, { id: job.id, from: LIVE }, { sealedHeaders });
      this.opened.forget(job.id);
    }
    return made;
  }

  /** A job that brought the same and is not expired; undefined: none of the last ones. */
  async doneBefore(job: PreheatJobRow): Promise<PreheatJobRow | undefined> {
    const { digest } = requestOf(job);
    const done = await listPreheatJobs(this.#database, { states: ["done"], rowsMax: DONE_MAX });
    return done.find((row) => row.expiresAt > Date.now() && requestOf(row).digest === digest);
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

  async describe(jobs: readonly PreheatJobRow[]): Promise<Preheat[]> {
    const counts = await countPreheatTargets(
      this.#database,
      jobs.map(({ id }) => id),
    );
    return jobs.map((job) => {
      const { urls, image, headerNames, scope, clusters, keepSeconds, refreshSeconds } =
        requestOf(job);
      const own = counts.filter(({ jobId }) => jobId === job.id);
      const countOf = (state: PreheatTargetState): number =>
        own.find((row) => row.state === state)?.count ?? 0;
      return {
        ...{ id: job.id, state: job.state as PreheatState, urls, image, headerNames },
        ...{ scope, clusters },
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

  async #make(wish: Wish, by: PreheatAuthor): Promise<MadeJob> {
    const row = await this.#newRow(wish, by);
    const before = await this.#madeBefore(row);
    if (before !== undefined) return { job: before, isNew: false };
    // Before anything is written: what cannot be done leaves no trace.
    const machines = await this.#machinesFor(row);
    if (!(await insertPreheatJob(this.#database, row))) return this.#make(wish, by);
    await this.#begin(row, machines);
    return { job: await this.find(row.id), isNew: true };
  }

  async #wishFor(request: ImagePreheatRequest): Promise<Pick<Wish, "kept" | "headers">> {
    const { scope, clusters, keepSeconds, authorization } = request;
    const { image, urls } = await this.#registries.resolve(request);
    if (image.isPrivate) this.opened.requireConfidence();
    if (urls.length > PREHEAT_URLS_MAX) throw tooManyTargets(urls.length);
    const isSecret = image.isPrivate && authorization !== undefined;
    const headers: Record<string, string> = isSecret ? { authorization } : {};
    const kept = {
      ...{ urls, image, scope, clusters, keepSeconds, refreshSeconds: null },
      ...{ publicHeaders: [], tag: "", filterQuery: [], headerNames: Object.keys(headers) },
    };
    return { kept, headers };
  }

  async #newRow(
    { kept, headers, identity }: Wish,
    { author, idempotencyKey }: PreheatAuthor,
  ): Promise<PreheatJobRow> {
    const digest = digestOfRequest(this.#keys, identity);
    const request: KeptRequest = { ...kept, digest };
    const nowMs = Date.now();
    return {
      id: newJobId(nowMs),
      idempotencyKey:
        idempotencyKey === null
          ? `${CONTENT_KEY_PREFIX}${digest}`
          : `given ${author} ${idempotencyKey}`,
      request,
      sealedHeaders: await this.#seal(headers),
      ...{ state: "planning", author, createdAt: nowMs, updatedAt: nowMs, round: 1, error: null },
      expiresAt: nowMs + kept.keepSeconds * 1000,
      nextRunAt: nextRunAfter(kept, nowMs),
    };
  }

  /** Null: there is nothing to seal. */
  async #seal(headers: Readonly<Record<string, string>>): Promise<string | null> {
    return Object.keys(headers).length === 0 ? null : this.#keys.seal(JSON.stringify(headers));
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
}

/** What a job becomes when a round is over; with its last one its headers go, and the same request makes a new job. */
export function ended(
  { idempotencyKey, nextRunAt }: Pick<PreheatJobRow, "idempotencyKey" | "nextRunAt">,
  state: PreheatState,
  updatedAt: number,
): Partial<PreheatJobRow> {
  const isKeyFree = nextRunAt === null && idempotencyKey?.startsWith(CONTENT_KEY_PREFIX) === true;
  return {
    ...{ state, updatedAt, nextRunAt },
    ...(nextRunAt === null ? { sealedHeaders: null } : {}),
    ...(isKeyFree ? { idempotencyKey: null } : {}),
  };
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
    hint: "df status --fleet shows clusters and supernodes, GET /api/v1/hosts the hosts with their labels",
  });
}

function tooManyTargets(count: number): DfError {
  return new DfError("usage", `preheat: URLs times machines are ${count} targets`, {
    hint: `ask for at most ${PREHEAT_TARGETS_MAX} with one request, e.g. for a share of the hosts`,
  });
}
