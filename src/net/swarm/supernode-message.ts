// Reads what a supernode says on a swarm channel: text to a checked message.

import { jsonOrUndefined } from "../json-or-undefined.ts";
import { supernodeMessageSchema, type SupernodeMessage } from "../wire/swarm-messages.ts";

const KNOWN_TYPES = new Set<unknown>(
  supernodeMessageSchema.options.map((option) => option.shape.type.value),
);

/** Null for what no version of the protocol says; a type that this one does not know is no fault. */
export function parseSupernodeMessage(
  text: string,
): SupernodeMessage | "of-a-later-version" | null {
  const json = jsonOrUndefined(text);
  const parsed = supernodeMessageSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  return isUnknownType(json) ? "of-a-later-version" : null;
}

function isUnknownType(json: unknown): boolean {
  if (typeof json !== "object" || json === null || !("type" in json)) return false;
  return typeof json.type === "string" && !KNOWN_TYPES.has(json.type);
}
