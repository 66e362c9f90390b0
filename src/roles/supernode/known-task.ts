// A task that somebody asked for: which version of it joins get, and the answer that is under way.

import { ANY_TASK, type UsedTask } from "../freshness/content-freshness.ts";
import type { ProvenVersion } from "../../net/source/source-proof.ts";
import type { SettingsInForce } from "../../net/wire/fleet-settings.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { Seeding } from "./seeding.ts";

export interface KnownTask {
  readonly taskId: string;
  /** Of the request, once someone asked. */
  use: UsedTask;
  /** Whether pieces of new contents are sealed. */
  isSealed: boolean;
  current: Seeding | null;
  /** The answer that all who ask meanwhile will get. */
  resolving: Promise<Seeding> | null;
}

export function newTask(taskId: string): KnownTask {
  return { taskId, use: ANY_TASK, isSealed: false, current: null, resolving: null };
}

/** Whose pieces travel and rest sealed: what the user wants so always is. */
export function isSealed(
  { credentials, isSealed: isWanted }: TaskRequest,
  encryption: SettingsInForce["encryption"],
): boolean {
  if (isWanted === true || encryption === "always") return true;
  return encryption === "private" && credentials !== undefined;
}

/** Whether a version is the one that the source named to a requester. */
export function isNamed({ stored }: Seeding, { validator, length }: ProvenVersion): boolean {
  const own = stored.manifest.layout.length;
  const isAsLong = own === null || length === null || own === length;
  return validator !== null && stored.facts.validator === validator && isAsLong;
}

/** Whether a version may be given to him without another question to the source. */
export function isFor(seeding: Seeding, named: ProvenVersion): boolean {
  if (isNamed(seeding, named)) return seeding.isFresh;
  // Without a name the task is of his credentials alone: what is read with them now is his.
  const isNameless = named.validator === null && seeding.stored.facts.validator === null;
  return isNameless && seeding.state.kind === "reading";
}
