// The end of a download in the store: every piece is here, and now it is kept.

import { messageOf } from "../../errors.ts";
import type { ContentDigests } from "../../store/piece-store.ts";
import type { ContentTransfer } from "./content-transfer.ts";
import type { DownloadSurroundings } from "./download-parts.ts";

/** A reader that was just told `done` comes for the last bytes within this time. */
const DONE_LEASE_MS = 1_000;

/** Syncs and records what is complete; readers need not wait for it. Never rejects. */
export async function sealContent(
  transfer: ContentTransfer,
  digests: ContentDigests,
  { shared, onWarning }: Pick<DownloadSurroundings, "shared" | "onWarning">,
): Promise<void> {
  const { content } = transfer;
  try {
    await shared.ending(async () => {
      if (content.digests === null) await shared.complete(content, digests);
      await Bun.sleep(DONE_LEASE_MS);
      transfer.stop();
    });
  } catch (error) {
    transfer.stop();
    onWarning(`keep ${content.facts.url}: ${messageOf(error)}`);
  }
}
