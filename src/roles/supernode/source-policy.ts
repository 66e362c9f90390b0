// Which requests a supernode reads on behalf of its peers. What it refuses with `not-shareable` the
// peer reads itself.

import { DfError } from "../../errors.ts";
import { URL_BYTES_MAX } from "../../limits.ts";
import { isLocalName } from "../../net/source/local-name.ts";
import { redactUrl, visibilityOf } from "../../net/task-request.ts";
import type { TaskRequest } from "../../net/wire/task.ts";

export interface SourcePolicy {
  /** Every listener is on loopback: then "localhost" is the same machine for all peers. */
  allowsLocal: boolean;
  /** "host" or "host:port" of local sources that are allowed nevertheless. */
  allowed: readonly string[];
}

/** @throws {DfError} usage (no http URL), not-shareable */
export function checkRequest(task: TaskRequest, policy: SourcePolicy): void {
  const url = URL.canParse(task.url) ? new URL(task.url) : null;
  const isHttp = url?.protocol === "http:" || url?.protocol === "https:";
  if (url === null || !isHttp || task.url.length > URL_BYTES_MAX) {
    throw new DfError("usage", `join ${redactUrl(task.url)}: not an http or https URL`);
  }
  // Every header that is not neutral was declared public by the user who sent it.
  const visibility = visibilityOf(task, Object.keys(task.headers));
  if (visibility.kind === "private") {
    throw new DfError(
      "not-shareable",
      `join ${redactUrl(task.url)}: private, ${visibility.because}`,
    );
  }
  const isAllowed = policy.allowed.includes(url.host) || policy.allowed.includes(url.hostname);
  if (policy.allowsLocal || isAllowed || !isLocalName(url.hostname)) return;
  throw new DfError(
    "not-shareable",
    `join ${redactUrl(task.url)}: ${url.hostname} is another machine here`,
    { hint: `allow it with --origin-allow ${url.host} on the supernode` },
  );
}
