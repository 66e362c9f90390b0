// What a task of a registry's pull API is named by: a blob, and a manifest asked for by digest, by that
// digest; a tag by its URL, and never by what it meant a moment ago. And how finely its content is cut.

import { LAYER_PIECE_LENGTH_MIN, PIECE_LENGTH_MIN } from "../../engine/core/piece-layout.ts";
import type { TaskRequest } from "../wire/task.ts";

type RegistryTask = Pick<TaskRequest, "registryKind" | "checksum">;

/** "sha256:hex" that names the task's bytes; null: nothing but its URL does. */
export function namedDigestOf({ registryKind, checksum }: RegistryTask): string | null {
  return registryKind === "blob" || registryKind === "manifest" ? checksum : null;
}

/** Whether only the registry can say what the task's bytes are now. */
export function isTag({ registryKind }: Pick<TaskRequest, "registryKind">): boolean {
  return registryKind === "tag";
}

/** Smallest piece that its content is cut into where nobody says otherwise. */
export function pieceLengthMinOf({ registryKind }: Pick<TaskRequest, "registryKind">): number {
  return registryKind === "blob" ? LAYER_PIECE_LENGTH_MIN : PIECE_LENGTH_MIN;
}
