// Why a download cannot go on as it is, and of which tasks no host may have more than a supernode gives it.

import { DfError, messageOf } from "../../errors.ts";
import { namedDigestOf } from "../../net/registry/registry-task.ts";
import { redactUrl } from "../../net/task-request.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { ContentDigests } from "../../store/piece-store.ts";

/** The task of a download. */
interface DownloadedTask {
  readonly taskId: string;
  readonly task: TaskRequest;
}

/** Private, or to be sealed: what the user asks for is to be had from a supernode's swarm alone. */
export function isGuarded({ credentials, isSealed }: TaskRequest): boolean {
  return credentials !== undefined || isSealed === true;
}

export function needsSupernode({ taskId, task }: DownloadedTask): DfError {
  const message = `bring ${redactUrl(task.url)}: private or sealed, and no supernode answers`;
  return new DfError("not-shareable", message, { taskId });
}

/** Two writers in one piece could spoil it. */
export function bringsAnother({ taskId, task }: DownloadedTask): DfError {
  const message = `bring ${redactUrl(task.url)}: another download brings this version already`;
  return new DfError("source-changed", message, { taskId });
}

export function changesTooOften({ taskId, task }: DownloadedTask): DfError {
  return new DfError(
    "source-changed",
    `bring ${redactUrl(task.url)}: it changes while it is read`,
    {
      hint: "try again when the source is quiet",
      taskId,
    },
  );
}

/** Whether what was brought is what the task's digest names; true where it names none. */
export function hasNamedDigest(task: TaskRequest, { sha256 }: ContentDigests): boolean {
  const digest = namedDigestOf(task);
  return digest === null || digest === `sha256:${sha256}`;
}

export function unexpected({ task }: DownloadedTask, cause: unknown): DfError {
  return new DfError("internal", `bring ${redactUrl(task.url)}: ${messageOf(cause)}`, { cause });
}
