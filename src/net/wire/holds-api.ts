// What supernodes of a cluster ask each other over HTTP on the control port before one of them turns
// to a source.
//
//   GET /v1/holds/<taskId>     200: Holding; 404: nothing of this task is here, whole or under way

import { z } from "zod";

export function holdsPath(taskId: string): string {
  return `/v1/holds/${taskId}`;
}

export const holdingSchema = z.object({
  contentId: z.string().regex(/^[0-9a-f]{64}$/),
  validator: z.string().max(1024).nullable(),
  /** Whether every piece is there. */
  isComplete: z.boolean(),
  /** Whether it may be used without asking the source for its version. */
  isFresh: z.boolean(),
  /** Whether this supernode schedules it now: it keeps it until the download is over. */
  isOwned: z.boolean(),
});
export type Holding = z.infer<typeof holdingSchema>;
