// A supernode brings a task because the fleet ordered it: as if a peer had asked, without one.

import { DfError } from "../../errors.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { StoredContent } from "../../store/piece-store.ts";
import type { PreheatProgress } from "../commands/own-preheats.ts";
import type { Seeding } from "./seeding.ts";

/** How often it is looked how far the content has come. */
const LOOK_INTERVAL_MS = 500;

/**
 * Returns when every piece is here.
 * @throws {DfError} as TaskRegistry.resolve; not-shareable for what must not be kept; the signal's reason
 */
export async function bringTask(
  resolve: (task: TaskRequest) => Promise<Seeding>,
  task: TaskRequest,
  told: (progress: PreheatProgress) => void,
  signal: AbortSignal,
): Promise<StoredContent> {
  const seeding = await resolve(task);
  const { stored } = seeding;
  if (!seeding.freshness.isKept) throw notKept(stored.facts.url);
  const release = stored.lease();
  const look = setInterval(() => told(progressOf(seeding)), LOOK_INTERVAL_MS);
  const gaveUp = Promise.withResolvers<never>();
  const giveUp = (): void => gaveUp.reject(signal.reason as Error);
  try {
    signal.throwIfAborted();
    signal.addEventListener("abort", giveUp, { once: true });
    await Promise.race([seeding.settled, gaveUp.promise]);
    if (seeding.state.kind === "failed") throw seeding.state.error;
    return stored;
  } finally {
    signal.removeEventListener("abort", giveUp);
    clearInterval(look);
    release();
  }
}

function notKept(url: string): DfError {
  return new DfError("not-shareable", `preheat ${url}: its source does not let it be kept`, {
    hint: "the setting cacheRules can say force for it",
  });
}

function progressOf({ stored }: Seeding): PreheatProgress {
  const { length, pieceLength } = stored.manifest.layout;
  return { doneBytes: Math.min(stored.have.count * pieceLength, length ?? Infinity), length };
}
