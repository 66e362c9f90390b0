// What a source said of a content's use, as one of our caches tells it to the next: the header
// fields, aged to the moment of sending as RFC 9111 §5.1 does it, so that no two clocks must agree.

import { z } from "zod";
import type { KeptAnswer, UnixMs } from "../../engine/core/freshness.ts";
import { forwardedAnswer } from "../source/cache-terms.ts";

export const keptAnswerSchema = z.object({
  fields: z.record(z.string().max(32), z.string().max(1024)),
  redirectSeconds: z.int().min(0).nullable(),
});
export type SentAnswer = z.infer<typeof keptAnswerSchema>;

export function sentAnswer(kept: KeptAnswer | null, nowAt: UnixMs): SentAnswer | null {
  if (kept === null) return null;
  const { fields, redirectSeconds } = forwardedAnswer(kept, nowAt);
  return { fields: { ...fields }, redirectSeconds };
}

export function receivedAnswer(sent: SentAnswer | null, nowAt: UnixMs): KeptAnswer | null {
  return sent === null ? null : { ...sent, requestedAt: nowAt, receivedAt: nowAt };
}
