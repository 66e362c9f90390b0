// What the fleet signs of a content that is here, once it is complete.

import type { WholeContent } from "../../net/wire/signed-rows.ts";
import type { ContentDigests, StoredContent } from "../../store/piece-store.ts";

/** @param content its length must be known */
export function wholeOf({ facts }: StoredContent, { md5, sha256 }: ContentDigests): WholeContent {
  const { contentId, taskId, layout, validator, isPrivate = false } = facts;
  const { length, pieceLength } = layout;
  return { contentId, taskId, length: length!, pieceLength, md5, sha256, isPrivate, validator };
}
