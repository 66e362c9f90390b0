// Refuses a task whose URL is not what its kind says: see registry-task.ts.

import { DfError } from "../../errors.ts";
import { redactUrl } from "../task-request.ts";
import type { TaskRequest } from "../wire/task.ts";
import { isSha256, type OciResource, parseOciPath } from "./oci-path.ts";

/**
 * A task that is named by a digest must be of the URL that the digest is asked for by: otherwise one
 * URL's bytes could be asked for under another one's name.
 * @throws {DfError} usage
 */
export function checkRegistryTask(
  task: Pick<TaskRequest, "registryKind" | "checksum" | "url">,
): void {
  const { registryKind, checksum, url } = task;
  if (registryKind === undefined) return;
  const path = parseOciPath(new URL(url).pathname);
  const resource = path.kind === "path" ? path.resource : null;
  const isNamed = registryKind === "tag" || (digestIn(resource) === checksum && isSha256(checksum));
  if (resource?.kind === registryKind && isNamed) return;
  const what = registryKind === "tag" ? "a tag" : `a ${registryKind} by its sha256 digest`;
  throw new DfError("usage", `bring ${redactUrl(url)}: it is not asked for as ${what}`);
}

function digestIn(resource: OciResource | null): string | null {
  return resource !== null && "digest" in resource ? resource.digest : null;
}
