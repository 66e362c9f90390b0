// The content that an owner named, in this host's store: what is there already, if it is cut as the
// owner says.

import { redactUrl } from "../../net/task-request.ts";
import { receivedAnswer } from "../../net/wire/kept-answer.ts";
import type { Joined } from "../../net/wire/swarm-messages.ts";
import type { PieceStore, StoredContent } from "../../store/piece-store.ts";

/** @throws {DfError} as PieceStore.create */
export async function openContent(
  store: Pick<PieceStore, "get" | "create" | "delete">,
  url: string,
  joined: Joined,
): Promise<StoredContent> {
  const { contentId, taskId, length, pieceLength, validator, lastModified } = joined;
  const layout = { length, pieceLength };
  const known = store.get(contentId);
  if (known !== undefined && !isCutAs(known, layout)) await store.delete(contentId);
  const content = await store.create({
    ...{ contentId, taskId, url: redactUrl(url), layout, validator, lastModified },
    answer: receivedAnswer(joined.answer ?? null, Date.now()),
    isPrivate: joined.isPrivate ?? false,
  });
  if (joined.key !== undefined) content.unlock(Uint8Array.fromBase64(joined.key));
  if (length !== null && content.manifest.layout.length === null) content.setLength(length);
  return content;
}

function isCutAs(
  { manifest }: StoredContent,
  { length, pieceLength }: Pick<Joined, "length" | "pieceLength">,
): boolean {
  const { layout } = manifest;
  const isSameLength = layout.length === null || length === null || layout.length === length;
  return isSameLength && layout.pieceLength === pieceLength;
}
