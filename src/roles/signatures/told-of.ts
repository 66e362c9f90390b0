// What this host tells of a content under the fleet's signature, to anyone who may ask for it.

import { rowsOfGroup } from "../../net/wire/signed-rows.ts";
import { encodeTold, TOLD_GROUPS_MAX, type ToldWhole } from "../../net/wire/signatures-api.ts";
import { FrameEncoder } from "../../net/wire/swarm-frames.ts";
import type { StoredContent } from "../../store/piece-store.ts";

const encoder = new FrameEncoder();

/** One answer, with the signed groups from the `from`-th on; null: nothing here is signed. */
export function toldOf(content: StoredContent, from: number): Uint8Array | null {
  const { manifest } = content;
  const groups = manifest.signedGroups.slice(from, from + TOLD_GROUPS_MAX).map((group) => {
    return { group, signature: manifest.signature(group)!, rows: rowsOfGroup(manifest, group)! };
  });
  const whole = wholeOf(content);
  if (groups.length === 0 && whole === null) return null;
  const { validator } = content.facts;
  return encodeTold({ validator, ...manifest.layout, groups, whole }, encoder);
}

function wholeOf({ facts, digests, wholeSignature }: StoredContent): ToldWhole | null {
  const { length } = facts.layout;
  if (digests === null || wholeSignature === null || length === null) return null;
  return { length, ...digests, signature: wholeSignature.toBase64() };
}
