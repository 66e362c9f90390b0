// What of preheats travels with heartbeats: results in, commands out. A command is sent until a result
// says that it is over, so a lost answer, a restarted supernode or host costs some seconds and no
// more; machines do each once by (command, host).
//
//   pending ──heartbeat of its supernode──▶ sent ──results──▶ running … done
//      ▲                                                         └──▶ failed
//      └── failed in a way that may pass, fewer than ATTEMPTS_MAX times

import type { Command, CommandResult } from "../../../net/wire/command.ts";
import { isDfError, isRetryableCode } from "../../../errors.ts";
import type { FleetDatabase } from "../../../store/fleet-database/fleet-database.ts";
import {
  claimPreheatTargets,
  duePreheatTargets,
  type PreheatTargetRow,
  preheatTargetsOf,
  savePreheatTargets,
} from "../../../store/fleet-database/preheat-targets.ts";
import {
  findPreheatJob,
  hasLivePreheats,
  type PreheatJobRow,
} from "../../../store/fleet-database/preheats.ts";
import type { HeartbeatPart } from "../config-parts.ts";
import { requestOf } from "./kept-request.ts";
import type { PreheatJobs } from "./preheat-jobs.ts";

/** Targets told in one answer: each is a row to write, 60 µs of this process. */
const TARGETS_PER_ANSWER = 2_000;

/** As many as an answer may have. */
const COMMANDS_PER_ANSWER = 1_000;

/** Machines that were told and say nothing are told again: they, or who passes it on, began anew. */
const RESEND_AFTER_MS = 15_000;

/** Failures that may pass are tried again after so long, times the attempts made. */
const RETRY_AFTER_MS = 5_000;
const ATTEMPTS_MAX = 3;

/** A token that ended in the midst of a large layer costs an attempt, and what came is there. */
const TOKEN_ATTEMPTS_MAX = 20;

/** While no job was live, another replica may have made one so long ago. */
const LOOK_INTERVAL_MS = 1_000;

export interface PreheatPartOptions {
  database: FleetDatabase;
  jobs: PreheatJobs;
}

export function preheatPart({ database, jobs }: PreheatPartOptions): HeartbeatPart {
  const isAnythingLive = lookNowAndThen(() => hasLivePreheats(database));
  return {
    async answer({ results, isLeaving }, { hostId }) {
      if (results.length > 0) await takeResults(database, results);
      if (isLeaving === true || !(await isAnythingLive())) return {};
      await claimPreheatTargets(database, hostId);
      return { commands: await commandsFor(hostId, { database, jobs }) };
    },
  };
}

/** The first answer of several that may be out of date. */
function lookNowAndThen(look: () => Promise<boolean>): () => Promise<boolean> {
  let [isLive, lookedAtMs] = [false, -Infinity];
  return async () => {
    if (!isLive && performance.now() - lookedAtMs < LOOK_INTERVAL_MS) return false;
    lookedAtMs = performance.now();
    isLive = await look();
    return isLive;
  };
}

async function takeResults(
  database: FleetDatabase,
  results: readonly CommandResult[],
): Promise<void> {
  const byTarget = new Map(results.map((result) => [`${result.id} ${result.hostId}`, result]));
  const ids = [...new Set(results.map(({ id }) => id))];
  const changed: PreheatTargetRow[] = [];
  for (const target of await preheatTargetsOf(database, ids)) {
    const result = byTarget.get(`${target.commandId} ${target.hostId}`);
    if (result === undefined) continue;
    const isUnauthorized = result.error?.code === "source-unauthorized";
    const isPrivate = isUnauthorized && (await isOfPrivateImage(database, target));
    const next = withResult(target, result, isPrivate ? TOKEN_ATTEMPTS_MAX : ATTEMPTS_MAX);
    if (next !== undefined) changed.push(next);
  }
  await savePreheatTargets(database, changed);
}

async function isOfPrivateImage(
  database: FleetDatabase,
  { jobId }: PreheatTargetRow,
): Promise<boolean> {
  const job = await findPreheatJob(database, { id: jobId });
  return job !== undefined && requestOf(job).image?.isPrivate === true;
}

/**
 * Undefined: it says nothing new.
 * @param attemptsMax how often that is tried; more than ATTEMPTS_MAX: whatever the failure is
 */
function withResult(
  target: PreheatTargetRow,
  { state, doneBytes, length, error }: CommandResult,
  attemptsMax: number,
): PreheatTargetRow | undefined {
  const updatedAt = Date.now();
  const told = {
    ...target,
    updatedAt,
    doneBytes: doneBytes ?? target.doneBytes,
    length: length ?? target.length,
  };
  switch (target.state) {
    case "cancelling":
      return state === "running" ? undefined : { ...target, state: "cancelled", updatedAt };
    case "pending":
    case "done":
    case "failed":
    case "cancelled":
      return undefined;
  }
  switch (state) {
    case "running":
      return { ...told, state: "running" };
    case "done":
      return { ...told, state: "done", error: null };
    case "failed": {
      const failure = error ?? { code: "internal", message: "it failed without saying why" };
      const mayPass = attemptsMax > ATTEMPTS_MAX || isRetryableCode(failure.code);
      const isAgain = mayPass && target.attemptCount < attemptsMax;
      return { ...told, state: isAgain ? "pending" : "failed", error: failure };
    }
  }
}

async function commandsFor(
  supernodeId: string,
  { database, jobs }: PreheatPartOptions,
): Promise<Command[]> {
  const due = await duePreheatTargets(
    database,
    supernodeId,
    { nowMs: Date.now(), resendAfterMs: RESEND_AFTER_MS, retryAfterMs: RETRY_AFTER_MS },
    TARGETS_PER_ANSWER,
  );
  const rows = new Map<string, PreheatJobRow | undefined>();
  const commands = new Map<string, Command>();
  const sent: PreheatTargetRow[] = [];
  for (const target of due) {
    const { jobId } = target;
    if (!rows.has(jobId)) rows.set(jobId, await findPreheatJob(database, { id: jobId }));
    const job = rows.get(jobId);
    if (job === undefined || isOutOfTime(job, target)) continue;
    const next = asSent(target, job);
    const key = `${next.state} ${next.commandId} ${next.role}`;
    if (!commands.has(key) && commands.size === COMMANDS_PER_ANSWER) continue;
    try {
      const command = await withTarget(commands.get(key), next, { job, jobs });
      if (command === null) continue;
      commands.set(key, command);
      sent.push(next);
    } catch (error) {
      sent.push(unsent(next, error));
    }
  }
  await savePreheatTargets(database, sent);
  return [...commands.values()];
}

/** The clock ends it. A cancelled job's machines are told nevertheless. */
function isOutOfTime(job: PreheatJobRow, { state }: PreheatTargetRow): boolean {
  return state !== "cancelling" && (job.state !== "running" || job.expiresAt <= Date.now());
}

/** A new attempt is a new command: a machine that failed the former one would only repeat its result. */
function asSent(target: PreheatTargetRow, { round }: PreheatJobRow): PreheatTargetRow {
  const updatedAt = Date.now();
  if (target.state !== "pending") return { ...target, updatedAt };
  const attemptCount = target.attemptCount + 1;
  const commandId = `${target.jobId}-${target.itemIndex}-${round}-${attemptCount}`;
  return { ...target, state: "sent", attemptCount, commandId, updatedAt };
}

/** Its registry does not let the job's user in: as if the machine had said so. */
function unsent(next: PreheatTargetRow, error: unknown): PreheatTargetRow {
  if (!isDfError(error)) throw error;
  const { code, message } = error;
  const isAgain = error.isRetryable && next.attemptCount < ATTEMPTS_MAX;
  return { ...next, state: isAgain ? "pending" : "failed", error: { code, message } };
}

/** Null: not now, what its registry wants to see is not at hand. @throws {DfError} as OpenedJobs.taskOf */
async function withTarget(
  command: Command | undefined,
  { role, hostId, state, commandId, itemIndex }: PreheatTargetRow,
  { job, jobs }: { job: PreheatJobRow; jobs: PreheatJobs },
): Promise<Command | null> {
  const hosts = role === "supernode" ? null : [...(command?.hosts ?? []), hostId];
  const expiresAt = Math.ceil(job.expiresAt / 1000);
  if (state === "cancelling") return { kind: "cancel", id: commandId, hosts, expiresAt };
  const task = await jobs.opened.taskOf(job, itemIndex);
  return task === null ? null : { kind: "preheat", id: commandId, task, hosts, expiresAt };
}
