// The copy of a task that this host has whole: what it may be used for when no supernode answers,
// or the source is down. What its source said came with it from the supernode.

import { freshForMs, isUsableIfError, type Freshness } from "../../engine/core/freshness.ts";
import { isDfError } from "../../errors.ts";
import { namedDigestOf } from "../../net/registry/registry-task.ts";
import { isSourceDown } from "../../net/source/source-fault.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { PieceStore, StoredContent } from "../../store/piece-store.ts";
import { freshnessOfContent } from "../freshness/content-freshness.ts";
import type { LiveSettings } from "../settings/live-settings.ts";

export interface KeptVersion {
  readonly content: StoredContent;
  readonly freshness: Freshness;
}

/** Where a host looks for it. */
export interface KeptVersionPlace {
  store: Pick<PieceStore, "findByTask" | "findBySha256">;
  settings: LiveSettings;
}

/** Null: nothing whole is here. */
export function keptVersion(
  { store, settings }: KeptVersionPlace,
  taskId: string,
  task: TaskRequest,
): KeptVersion | null {
  const content = contentFor(store, taskId, task);
  if (content === undefined || content.digests === null || !content.have.isFull) return null;
  const { cacheRules } = settings.current;
  return { content, freshness: freshnessOfContent(content, task, cacheRules) };
}

/** What a public task's digest names is here whatever task it came for. */
function contentFor(
  store: KeptVersionPlace["store"],
  taskId: string,
  task: TaskRequest,
): StoredContent | undefined {
  const digest = task.isSealed === true ? null : namedDigestOf(task);
  if (digest === null) return store.findByTask(taskId);
  return store.findBySha256(digest.slice("sha256:".length));
}

/** Whether it may be used without asking anyone. */
export function isFreshNow({ freshness }: KeptVersion): boolean {
  return freshForMs(freshness, Date.now()) > 0;
}

/** Whether it may be used because asking ended with `error`: nobody could be asked, or the source is down. */
export function outlives({ freshness }: KeptVersion, error: unknown): boolean {
  const isUnasked = isDfError(error, "no-supernode") || isSourceDown(error);
  return isUnasked && isUsableIfError(freshness, Date.now());
}
