// `df status --why URL`: which header and which rule decide whether the URL's content is used
// without asking its source, at the supernode and on this host.

import { formatChecksum, parseChecksum } from "../../engine/bytes/digest.ts";
import type { LocalClient } from "../../net/local-client.ts";
import { redactUrl } from "../../net/task-request.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { FreshnessOnHost } from "../../net/wire/task-freshness.ts";
import type { Flag, ParsedFlags } from "../command-line/flags.ts";

/** As `df get` takes them: they make it another task. */
export const WHY_FLAGS: readonly Flag[] = [
  { name: "why", value: "URL", help: "what decides whether its content is used without asking" },
  { name: "tag", value: "TEXT", help: "with --why: as given to df get" },
  { name: "filter-query", value: "NAMES", help: "with --why: as given to df get" },
  { name: "checksum", value: "ALGO:HEX", help: "with --why: as given to df get" },
];

/** Null when the command line asks no why. @throws {DfError} usage */
export function taskInQuestion({ values }: ParsedFlags): TaskRequest | null {
  const url = values.get("why")?.at(-1);
  if (url === undefined) return null;
  const checksum = values.get("checksum")?.[0];
  return {
    url,
    headers: {},
    tag: values.get("tag")?.at(-1) ?? "",
    filterQuery: values.get("filter-query")?.flatMap((names) => names.split(/[,&]/)) ?? [],
    checksum: checksum === undefined ? "" : formatChecksum(parseChecksum(checksum)),
  };
}

/** @throws {DfError} usage, denied, unavailable */
export async function showWhy(
  peer: LocalClient,
  task: TaskRequest,
  isJson: boolean,
): Promise<void> {
  const freshness = await peer.freshness(task);
  console.log(isJson ? JSON.stringify(freshness) : describeFreshness(task.url, freshness));
}

function describeFreshness(url: string, { here, supernode }: FreshnessOnHost): string {
  const task = `${redactUrl(url)}  task ${here.taskId.slice(0, 12)}`;
  const there =
    supernode === null
      ? "no supernode answers"
      : `supernode ${supernode.address}: ${supernode.why}`;
  return [task, there, `this host: ${here.why}`].join("\n");
}
