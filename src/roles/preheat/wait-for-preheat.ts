// Waits for a preheat and shows how far it is: until it is over, or only machines that are away lack it.

import type { AdminClient } from "../../net/admin-client.ts";
import { isDfError } from "../../errors.ts";
import {
  type Preheat,
  preheatSchema,
  preheatTargetsPageSchema,
} from "../../net/wire/preheat-api.ts";

const LOOK_INTERVAL_MS = 1_000;

/** Machines that were away for so long when nothing else is left are not waited for. */
const AWAY_MS = 30_000;

/** `df config` may restart meanwhile: so many looks may fail in a row. */
const FAILED_LOOKS_MAX = 60;

/** @throws {DfError} as AdminClient.ask */
export async function waitForPreheat(
  client: AdminClient,
  id: string,
  progress: { write(text: string): void; isTTY?: boolean },
): Promise<Preheat> {
  let failedLooks = 0;
  let [shown, changedAtMs] = ["", performance.now()];
  for (;;) {
    try {
      const preheat = await client.ask({ method: "GET", path: `preheats/${id}` }, preheatSchema);
      failedLooks = 0;
      if (preheat.state !== "running" && preheat.state !== "planning") return preheat;
      const { done, failed, pending, sent, running } = preheat.counts;
      const all = done + failed + pending + sent + running;
      const line = `${done} of ${all} done, ${failed} failed, ${preheat.doneBytes} bytes`;
      if (line !== shown) changedAtMs = performance.now();
      if (line !== shown && progress.isTTY === true) progress.write(`\r${line}`);
      shown = line;
      const isQuiet = performance.now() - changedAtMs > AWAY_MS && sent + running === 0;
      if (isQuiet && (await areAllAway(client, id))) {
        progress.write(`${pending} are away: they get it when they are back\n`);
        return preheat;
      }
    } catch (error) {
      const isPassing = isDfError(error) && error.isRetryable;
      if (!isPassing || ++failedLooks > FAILED_LOOKS_MAX) throw error;
    }
    await Bun.sleep(LOOK_INTERVAL_MS);
  }
}

async function areAllAway(client: AdminClient, id: string): Promise<boolean> {
  const path = `preheats/${id}/targets?state=pending&limit=1000`;
  const { targets } = await client.ask({ method: "GET", path }, preheatTargetsPageSchema);
  return targets.every(({ supernodeId }) => supernodeId === null);
}
