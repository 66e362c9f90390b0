// What the fleet's settings say about one source: whether it may be brought, and which query
// parameters do not make its bytes differ. Supernodes and peers ask alike, so both name one task.

import { DfError } from "../../errors.ts";
import { redactUrl } from "../../net/task-request.ts";
import { matchesUrl } from "../../net/url-pattern.ts";
import type { SettingsInForce } from "../../net/wire/fleet-settings.ts";
import type { TaskRequest } from "../../net/wire/task.ts";

export type SourceRules = Pick<SettingsInForce, "allow" | "deny" | "filterQuery">;

/**
 * The task as the fleet sees it.
 * @throws {DfError} denied
 */
export function underSourceRules(task: TaskRequest, rules: SourceRules): TaskRequest {
  if (!URL.canParse(task.url)) return task;
  const url = new URL(task.url);
  const denial = rules.deny.find((pattern) => matchesUrl(pattern, url));
  if (denial !== undefined) throw denied(task, `the setting deny names ${denial}`);
  const isAllowed = rules.allow.length === 0 || rules.allow.some((name) => matchesUrl(name, url));
  if (!isAllowed) throw denied(task, "the setting allow does not name it");
  const filtered = Object.entries(rules.filterQuery).flatMap(([pattern, parameters]) =>
    matchesUrl(pattern, url) ? parameters : [],
  );
  if (filtered.length === 0) return task;
  return { ...task, filterQuery: [...new Set([...task.filterQuery, ...filtered])] };
}

function denied({ url }: TaskRequest, because: string): DfError {
  return new DfError("denied", `bring ${redactUrl(url)}: this fleet does not: ${because}`, {
    hint: "ask who runs df config, or read it from the source yourself",
  });
}
