// A manifest as a whole: small enough to be read and judged before anybody sees a byte of it.

import { DfError } from "../../errors.ts";
import { digestOfManifest } from "../../net/registry/image-contents.ts";
import { MANIFEST_BYTES_MAX, manifestTypeOf } from "../../net/registry/media-type.ts";
import { wholeBody } from "../../net/source/whole-body.ts";
import type { BroughtContent } from "./brought-content.ts";

export interface JudgedManifest {
  readonly bytes: Uint8Array;
  /** "sha256:hex" of them. */
  readonly digest: string;
  readonly mediaType: string;
}

/** What a manifest must be. */
export interface ExpectedManifest {
  /** "sha256:hex"; null: whatever it is. */
  readonly digest: string | null;
  /** What it came as; null: the bytes alone tell. */
  readonly contentType: string | null;
  /** Where bytes of another digest came from, so that nothing of them stays. @defaultValue nowhere is told */
  readonly from?: Pick<BroughtContent, "discard">;
}

/**
 * Reads all of it.
 * @throws {DfError} too-large; checksum: the bytes are others, or call themselves what they are not
 */
export async function judgeManifest(
  body: AsyncIterable<Uint8Array>,
  { digest: expected, contentType, from }: ExpectedManifest,
): Promise<JudgedManifest> {
  const bytes = await wholeBody(body, MANIFEST_BYTES_MAX);
  if (bytes === null) {
    throw new DfError("too-large", `read a manifest: it has more than ${MANIFEST_BYTES_MAX} bytes`);
  }
  const digest = digestOfManifest({ bytes });
  if (expected !== null && digest !== expected) {
    await from?.discard();
    throw new DfError("checksum", `read manifest ${expected}: these bytes are ${digest}`);
  }
  const mediaType = manifestTypeOf(bytes, contentType);
  if (mediaType === null) {
    const came = contentType === null ? "" : ` and came as ${contentType}`;
    throw new DfError("checksum", `read manifest ${digest}: it is not what it calls itself${came}`);
  }
  return { bytes, digest, mediaType };
}
