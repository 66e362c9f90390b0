// A peer brings a task because the fleet ordered it: a download whose reader wants no bytes.

import { DfError } from "../../errors.ts";
import { redactUrl } from "../../net/task-request.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { PieceStore, StoredContent } from "../../store/piece-store.ts";
import type { PreheatProgress } from "../commands/own-preheats.ts";
import type { Downloads } from "./downloads.ts";

/**
 * Returns when every piece is here. The source is left to those whom somebody waits for.
 * @throws {DfError} as Downloads.read
 */
export async function bringTask(
  { downloads, store }: { downloads: Downloads; store: PieceStore },
  task: TaskRequest,
  told: (progress: PreheatProgress) => void,
  signal: AbortSignal,
): Promise<StoredContent> {
  let contentId = "";
  let length: number | null = null;
  for await (const event of downloads.read({ ...task, noOrigin: true }, signal)) {
    if (event.event === "content") ({ contentId, length } = event);
    else if (event.event === "progress") told({ doneBytes: event.doneBytes, length });
  }
  const content = store.get(contentId);
  if (content !== undefined) return content;
  throw new DfError("no-space", `preheat ${redactUrl(task.url)}: it was evicted at once`, {
    hint: "the quota is too small for it, or the disk is full",
  });
}
