// Preheats as Harbor's drivers see them: what they ask for, in our words, and our jobs in theirs.

import { DfError } from "../../../errors.ts";
import { basicOf } from "../../../net/basic-authorization.ts";
import type {
  HarborJob,
  HarborJobRequest,
  HarborJobState,
  HarborPreheat,
  HarborTask,
} from "../../../net/wire/harbor-api.ts";
import {
  newImagePreheatSchema,
  newPreheatSchema,
  type Preheat,
  type PreheatTarget,
} from "../../../net/wire/preheat-api.ts";
import { readRequest } from "../../../net/schema-fault.ts";
import type { FleetDatabase } from "../../../store/fleet-database/fleet-database.ts";
import { findHost } from "../../../store/fleet-database/hosts.ts";
import { listPreheatTargets } from "../../../store/fleet-database/preheat-targets.ts";
import type { PreheatJobRow } from "../../../store/fleet-database/preheats.ts";
import { listSupernodes } from "../../../store/fleet-database/supernodes.ts";
import { numberOfJob } from "./job-id.ts";
import { requestOf } from "./kept-request.ts";
import {
  describeTarget,
  type MadeJob,
  type PreheatAuthor,
  type PreheatJobs,
} from "./preheat-jobs.ts";

/** Targets of one state that an answer names: Harbor prints them as a table. */
const TASKS_MAX = 200;

/** Harbor names clusters by numbers, this fleet by names: all are asked, and told as the first. */
const CLUSTER_ID = 1;

/** @throws {DfError} usage; as PreheatJobs.create and createForImage */
export async function orderOfHarbor(
  jobs: PreheatJobs,
  { args }: Pick<HarborJobRequest, "args">,
  by: PreheatAuthor,
): Promise<MadeJob> {
  const { headers, tag, platform } = args;
  const urls = [...(args.url === "" ? [] : [args.url]), ...(args.urls ?? [])];
  const scope = scopeOf(args);
  if (args.type === "file") {
    const filterQuery = args.filtered_query_params.split("&").filter((name) => name !== "");
    return jobs.create(
      readRequest(newPreheatSchema, { urls, headers, tag, filterQuery, scope }),
      by,
    );
  }
  const [image, ...others] = urls;
  if (others.length > 0) throw new DfError("usage", "preheat images: name one with each request");
  const authorization = authorizationOf(args);
  const request = {
    ...{ image, scope },
    ...(platform === "" ? {} : { platforms: platform }),
    ...(authorization === undefined ? {} : { authorization }),
  };
  return jobs.createForImage(readRequest(newImagePreheatSchema, request), by);
}

/** A job for the driver of Harbor's present versions. */
export async function harborJobOf(
  database: FleetDatabase,
  job: PreheatJobRow,
  described: Preheat,
): Promise<HarborJob> {
  const state = stateOf(described);
  const { urls } = requestOf(job);
  const tasksIn = (wanted: string): Promise<PreheatTarget[]> =>
    listPreheatTargets(database, job.id, {
      state: wanted,
      after: undefined,
      rowsMax: TASKS_MAX,
    }).then((rows) => rows.map((row) => describeTarget(row, urls)));
  const machines = new Machines(database);
  const [done, failed] = [await tasksIn("done"), await tasksIn("failed")];
  const success_tasks = await Promise.all(done.map((target) => machines.taskOf(target)));
  const failure_tasks = await Promise.all(
    failed.map(async (target) => ({
      ...(await machines.taskOf(target)),
      description: target.error?.message ?? "no reason is known",
    })),
  );
  return {
    ...{ id: numberOfJob(job.id), type: "preheat", state },
    ...{ created_at: textOf(job.createdAt), updated_at: textOf(job.updatedAt) },
    args: {
      type: described.image === null ? "file" : "image",
      url: described.image?.name ?? described.urls[0]!,
      scope: described.scope,
    },
    result: {
      job_states: [
        {
          ...{ task_uuid: job.id, state, error: errorOf(described, failure_tasks) },
          results: [{ success_tasks, failure_tasks, scheduler_cluster_id: CLUSTER_ID }],
        },
      ],
    },
  };
}

/** A job for the driver of its older versions. */
export async function harborPreheatOf(
  database: FleetDatabase,
  job: PreheatJobRow,
  described: Preheat,
): Promise<HarborPreheat> {
  const state = stateOf(described);
  const hasBegun = described.counts.pending !== totalOf(described);
  return {
    ...{ ID: job.id, startTime: textOf(job.createdAt) },
    finishTime: state === "PENDING" ? "" : textOf(job.updatedAt),
    errorMsg: state === "FAILURE" ? await failureOf(database, job, described) : "",
    status: { PENDING: hasBegun ? "RUNNING" : "WAITING", SUCCESS: "SUCCESS", FAILURE: "FAILED" }[
      state
    ] as HarborPreheat["status"],
  };
}

async function failureOf(...job: Parameters<typeof harborJobOf>): Promise<string> {
  return (await harborJobOf(...job)).result.job_states[0]!.error;
}

function totalOf({ counts }: Preheat): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function stateOf({ state }: Preheat): HarborJobState {
  switch (state) {
    case "planning":
    case "running":
      return "PENDING";
    case "done":
      return "SUCCESS";
    case "failed":
    case "cancelled":
      return "FAILURE";
  }
}

/** What Harbor shows of a failure. */
function errorOf({ state, error }: Preheat, failures: readonly HarborTask[]): string {
  if (state === "cancelled") return "cancelled";
  if (state !== "failed") return "";
  const reasons = new Set(failures.map(({ url, description }) => `${url}: ${description}`));
  return error?.message ?? [...reasons].slice(0, 10).join("; ");
}

/** Scopes of all versions; "": seeds, as ever. @throws {DfError} usage */
function scopeOf({ scope, percentage }: HarborJobRequest["args"]): string {
  switch (scope) {
    case "":
    case "single_peer":
    case "single_seed_peer":
    case "all_seed_peers":
      return "supernodes";
    case "all_peers":
      return percentage === undefined || percentage === null ? "peers" : `${percentage}%`;
    default:
      throw new DfError("usage", `preheat for ${scope}: no such scope`, {
        hint: "one of single_peer, single_seed_peer, all_seed_peers, all_peers",
      });
  }
}

function authorizationOf({
  headers,
  username,
  password,
}: HarborJobRequest["args"]): string | undefined {
  const given = Object.entries(headers).find(([name]) => name.toLowerCase() === "authorization");
  if (given !== undefined) return given[1];
  if (username === "") return undefined;
  return basicOf(`${username}:${password}`);
}

/** What machines are called. */
class Machines {
  readonly #database: FleetDatabase;
  readonly #supernodes: ReturnType<typeof listSupernodes>;
  readonly #hosts = new Map<string, ReturnType<typeof findHost>>();

  constructor(database: FleetDatabase) {
    this.#database = database;
    this.#supernodes = listSupernodes(database);
  }

  async taskOf({ url, hostId, role }: PreheatTarget): Promise<HarborTask> {
    if (role === "supernode") {
      const row = (await this.#supernodes).find((supernode) => supernode.hostId === hostId);
      const address = row?.addresses[0]?.address ?? "";
      return { url, hostname: row?.hostname ?? hostId, ip: address.replace(/:\d+$/, "") };
    }
    const asking = this.#hosts.get(hostId) ?? findHost(this.#database, hostId);
    this.#hosts.set(hostId, asking);
    const row = await asking;
    return { url, hostname: row?.hostname ?? hostId, ip: row?.addresses[0] ?? "" };
  }
}

function textOf(instantMs: number): string {
  return new Date(instantMs).toISOString();
}
