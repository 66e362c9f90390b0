// What the database keeps of a preheat's request, and what its digest is of.

import { createHmac } from "node:crypto";
import { z } from "zod";
import { newPreheatSchema, preheatedImageSchema } from "../../../net/wire/preheat-api.ts";
import type { PreheatJobRow } from "../../../store/fleet-database/preheats.ts";
import type { FleetKeys } from "../fleet-keys.ts";

/** No values of headers. */
const keptRequestSchema = z.object({
  ...newPreheatSchema.shape,
  headers: z.never().optional(),
  headerNames: z.array(z.string()),
  /** Null: it is of URLs. */
  image: preheatedImageSchema.nullable().default(null),
  /** Keyed digest of the whole request. */
  digest: z.string(),
});
export type KeptRequest = z.infer<typeof keptRequestSchema>;

export function requestOf({ request }: Pick<PreheatJobRow, "request">): KeptRequest {
  return keptRequestSchema.parse(request);
}

/** Keyed, so that the database does not let a header's value be guessed. */
export function digestOfRequest({ document }: FleetKeys, request: unknown): string {
  const text = JSON.stringify(request, (_, value: unknown) => sortedIfRecord(value));
  return createHmac("sha256", `preheat digest ${document.sealing}`).update(text).digest("hex");
}

function sortedIfRecord(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
