// Refuses a task whose URL is not what its kind says: see registry-task.ts.

import { DfError } from "../../errors.ts";
import { redactUrl } from "../task-request.ts";
import type { TaskRequest } from "../wire/task.ts";

/** What a digest or a tag is asked for by (OCI distribution specification, "Pull"). */
const PULL_PATH = /^\/v2\/(?:[\w.-]+\/)+(?<kind>blobs|manifests)\/(?<reference>[^/]+)$/;

const NAMED_DIGEST = /^sha256:[0-9a-f]{64}$/;
const TAG = /^\w[\w.-]{0,127}$/;

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
  const { kind, reference } = PULL_PATH.exec(new URL(url).pathname)?.groups ?? {};
  const isSame = reference === checksum && NAMED_DIGEST.test(checksum);
  const isRight = {
    blob: kind === "blobs" && isSame,
    manifest: kind === "manifests" && isSame,
    tag: kind === "manifests" && TAG.test(reference ?? ""),
  }[registryKind];
  if (isRight) return;
  const what = registryKind === "tag" ? "a tag" : `a ${registryKind} by its sha256 digest`;
  throw new DfError("usage", `bring ${redactUrl(url)}: it is not asked for as ${what}`);
}
