// Digests of a whole content that is here, for when no supernode tells them: every piece of it is
// proven, so these say what the file is; there is nobody to compare them with.

import { RunningDigest } from "../../engine/bytes/digest.ts";
import { RANGE_BYTES_MAX } from "../../limits.ts";
import type { ContentDigests, StoredContent } from "../../store/piece-store.ts";

/**
 * Reads the content once, on this thread in parts of a millisecond or two.
 * @param content complete
 * @throws {DfError} file-unreadable; the signal's reason
 */
export async function digestsOf(
  content: StoredContent,
  wantsSha256: boolean,
  signal: AbortSignal,
): Promise<ContentDigests> {
  const length = content.manifest.layout.length!;
  const md5 = new RunningDigest("md5");
  const sha256 = wantsSha256 ? new RunningDigest("sha256") : null;
  for (let at = 0; at < length; at += RANGE_BYTES_MAX) {
    signal.throwIfAborted();
    const bytes = await content.read(at, Math.min(RANGE_BYTES_MAX, length - at));
    md5.update(bytes);
    sha256?.update(bytes);
  }
  return { md5: md5.finishHex(), sha256: sha256?.finishHex() ?? null };
}
