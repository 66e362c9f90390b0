// Asks a source whether a version is still its own: one request with headers only, for everyone who
// waits for the answer.

import type { KeptAnswer } from "../../engine/core/freshness.ts";
import type { RetryPolicy } from "../../engine/core/retry.ts";
import type { EgressGuard } from "../../net/egress/egress-guard.ts";
import { probeSource } from "../../net/source/probe-source.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { Seeding } from "./seeding.ts";
import { addressOf } from "./source-order.ts";

/** For a probe whose failure has a way out. */
const QUICK_RETRY: RetryPolicy = {
  ...{ attemptsMax: 2, baseDelayMs: 250, delayMsMax: 1_000, retryAfterMsMax: 0 },
};

/**
 * Whether a complete version is still the source's own; notes on which terms from now on.
 * @throws {DfError} as probeSource
 */
export async function isConfirmed(
  { state, freshness }: Seeding,
  request: TaskRequest,
  egress: EgressGuard,
  signal: AbortSignal,
): Promise<boolean> {
  const { revalidator } = freshness;
  if (state.kind !== "complete" || revalidator === null) return false;
  // Who would get the last version anyway need not wait for a source that is down.
  const retry = freshness.isUsableIfError ? { retry: QUICK_RETRY } : {};
  const outcome = await probeSource(
    { ...addressOf(request), egress, ...retry, revalidator },
    signal,
  );
  if (outcome.kind === "changed") return false;
  freshness.confirm(outcome.answer);
  return true;
}

/** What the source says of the version that `validator` names; null: it has another one. @throws {DfError} as probeSource */
export async function isStill(
  validator: string,
  request: TaskRequest,
  egress: EgressGuard,
  signal: AbortSignal,
): Promise<KeptAnswer | null> {
  const probe = { ...addressOf(request), egress, revalidator: validator };
  const outcome = await probeSource(probe, signal);
  return outcome.kind === "unchanged" ? outcome.answer : null;
}
