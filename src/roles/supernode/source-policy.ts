// Which requests a supernode reads on behalf of its peers. What it refuses with `not-shareable` the
// peer reads itself.

import { DfError } from "../../errors.ts";
import { URL_BYTES_MAX } from "../../limits.ts";
import type { EgressPolicy } from "../../net/egress/egress-policy.ts";
import { matchesUrl } from "../../net/url-pattern.ts";
import { checkRegistryTask } from "../../net/registry/check-registry-task.ts";
import { isLocalName } from "../../net/source/local-name.ts";
import { redactUrl, visibilityOf, wholeRequestOf } from "../../net/task-request.ts";
import type { TaskRequest } from "../../net/wire/task.ts";

/**
 * Refuses names that mean another machine to the peer; what they resolve to the egress guard checks.
 * @throws {DfError} usage (no http URL), not-shareable
 */
export function checkRequest(task: TaskRequest, policy: EgressPolicy): void {
  const url = URL.canParse(task.url) ? new URL(task.url) : null;
  const isHttp = url?.protocol === "http:" || url?.protocol === "https:";
  if (url === null || !isHttp || task.url.length > URL_BYTES_MAX) {
    throw new DfError("usage", `join ${redactUrl(task.url)}: not an http or https URL`);
  }
  checkRegistryTask(task);
  // Every header that is not neutral was declared public by the user who sent it.
  const visibility = visibilityOf(task, Object.keys(task.headers));
  if (visibility.kind === "private") {
    throw new DfError(
      "not-shareable",
      `join ${redactUrl(task.url)}: private, ${visibility.because}`,
    );
  }
  checkCredentials(task);
  const isAllowed = policy.allow.some((pattern) => matchesUrl(pattern, url));
  if (policy.reach === "host" || isAllowed || !isLocalName(url.hostname)) return;
  throw new DfError(
    "not-shareable",
    `join ${redactUrl(task.url)}: ${url.hostname} is another machine here`,
    { hint: `allow it with --origin-allow ${url.host} on the supernode` },
  );
}

/** A peer that proves itself at one URL must not be given another one's bytes. */
function checkCredentials(task: TaskRequest): void {
  try {
    wholeRequestOf(task);
  } catch (cause) {
    const message = `join ${redactUrl(task.url)}: its credentials do not belong to it`;
    throw new DfError("usage", message, { cause });
  }
}
