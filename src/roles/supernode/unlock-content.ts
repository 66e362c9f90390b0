// Gives a content of this supernode the key that its pieces are sealed with, or will be.

import { contentKeyOf } from "../../engine/bytes/content-key.ts";
import type { Secret } from "../../engine/bytes/secret.ts";
import type { StoredContent } from "../../store/piece-store.ts";

/**
 * Pieces keep the form they have; those of new contents are sealed as the task or the fleet wants it.
 * @param contentSecret null: nothing is sealed here
 */
export function unlockContent(
  stored: StoredContent,
  { isSealed }: { isSealed: boolean },
  contentSecret: Secret<Uint8Array> | null,
): void {
  const { manifest, facts } = stored;
  const [known] = manifest.learned;
  const hasSeal = known === undefined ? isSealed : manifest.row(known)!.seal !== null;
  if (!hasSeal || contentSecret === null) return;
  stored.unlock(contentKeyOf(contentSecret.reveal(), facts.contentId));
}
