// Why a task's content is, or is not, used without asking its source: the answer to POST
// /v1/freshness with a task, at a supernode and at the peer of this host (`df status --why`).

import { z } from "zod";

export const taskFreshnessSchema = z.object({
  taskId: z.string(),
  /** Null: no version is here. */
  contentId: z.string().nullable(),
  use: z.enum(["unknown", "inFlight", "fresh", "revalidates", "inFlightOnly", "stale", "refused"]),
  /** What decides, e.g. "max-age"; null: nothing does. */
  rule: z.string().nullable(),
  /** The header field that says so, e.g. "cache-control: max-age=300"; null: none does. */
  header: z.string().nullable(),
  /** How long this holds; null: until something happens. */
  forSeconds: z.number().nullable(),
  /** All of it in a sentence. */
  why: z.string(),
});
export type TaskFreshness = z.infer<typeof taskFreshnessSchema>;

/** The answer of a host's peer. */
export interface FreshnessOnHost {
  here: TaskFreshness;
  /** Of the task's owner, or the first supernode in its place that answers; null: none does. */
  supernode: (TaskFreshness & { address: string }) | null;
}
