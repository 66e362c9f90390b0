// What a supernode asks a source for, and what its first answer makes of a task.

import { randomBytes } from "node:crypto";
import { contentIdOf } from "../../engine/bytes/task-id.ts";
import { firstGap } from "../../engine/core/first-gap.ts";
import { pieceLengthFor } from "../../engine/core/piece-layout.ts";
import { SOURCE_TIMEOUTS_MS } from "../../limits.ts";
import { pieceLengthMinOf } from "../../net/registry/registry-task.ts";
import type { SourceAddress, SourceFacts, SourceRequest } from "../../net/source/source-read.ts";
import { redactUrl, wholeRequestOf } from "../../net/task-request.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { ContentFacts, StoredContent } from "../../store/piece-store.ts";

/** The content that a source's first answer speaks of. Without a validator each read is a version of its own. */
export function contentFactsOf(
  wanted: { taskId: string; request: TaskRequest; pieceLength: number | "auto" },
  { length, validator, lastModified, answer }: SourceFacts,
): ContentFacts {
  const { taskId, request, pieceLength } = wanted;
  const version = validator ?? randomBytes(16).toString("hex");
  return {
    contentId: contentIdOf(taskId, version, length),
    taskId,
    url: redactUrl(request.url),
    layout: { length, pieceLength: pieceLengthFor(length, pieceLength, pieceLengthMinOf(request)) },
    validator,
    lastModified,
    answer,
    ...(request.credentials === undefined ? {} : { isPrivate: true }),
  };
}

/** How to reach a task's source. */
export function addressOf(task: TaskRequest): Omit<SourceAddress, "egress"> {
  return { ...wholeRequestOf(task), timeoutMs: SOURCE_TIMEOUTS_MS };
}

/** Where a read goes on: at the first gap, for as long as it is. */
export function resumePoint(
  partial: StoredContent | null,
): Pick<SourceRequest, "expected" | "startAt" | "startBytes"> {
  const validator = partial?.facts.validator ?? null;
  if (partial === null || validator === null) return { expected: null };
  const { have, manifest } = partial;
  const { layout } = manifest;
  const expected = { validator, length: layout.length };
  // A full content that lost only its digests: the first answer's headers are all that is needed.
  return { expected, ...(firstGap(have, layout) ?? { startBytes: 1 }) };
}
