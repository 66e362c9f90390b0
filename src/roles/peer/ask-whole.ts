// Asks neighbours for the digests of a content that is here whole, under the fleet's signature: so
// they need not be computed, which reads all of it.

import { askSigned } from "../../net/piece/ask-neighbour.ts";
import type { ContentDigests } from "../../store/piece-store.ts";
import type { ContentTransfer } from "./content-transfer.ts";
import type { SwarmRead } from "./swarm-read.ts";

/** Neighbours asked; who is as far as this host does not know them either. */
const ASKED_MAX = 8;

/** @returns null: none of them tells digests that bear the signature */
export async function askWhole(
  { content, signatures }: Pick<ContentTransfer, "content" | "signatures">,
  { named, authorise }: Pick<SwarmRead, "named" | "authorise">,
  signal: AbortSignal,
): Promise<ContentDigests | null> {
  const { contentId } = content.facts;
  // Past the last group: what is said of the whole is said with each answer.
  const from = content.manifest.signedGroups.length;
  const answers = named.addresses.slice(0, ASKED_MAX).map(async (address) => {
    const told = await askSigned(address, { contentId, from, authorise }, signal);
    const { whole = null } = told ?? {};
    if (whole === null || whole.length !== content.facts.layout.length) return null;
    const digests = { md5: whole.md5, sha256: whole.sha256 };
    const signature = Uint8Array.fromBase64(whole.signature);
    return signatures.isWholeRight(digests, signature) ? digests : null;
  });
  return (await Promise.all(answers)).find((digests) => digests !== null) ?? null;
}
