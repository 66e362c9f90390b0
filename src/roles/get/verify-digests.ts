// The last question before a file gets its name: are these the bytes that were asked for?

import type { Checksum, DigestAlgorithm } from "../../engine/bytes/digest.ts";
import { DfError } from "../../errors.ts";

/**
 * Compares digests of what was written with what is expected.
 * Invariant: every expected algorithm was computed.
 * @throws {DfError} checksum
 */
export function verifyDigests(
  digests: ReadonlyMap<DigestAlgorithm, string>,
  expected: readonly Checksum[],
): void {
  for (const { algorithm, hex } of expected) {
    const found = digests.get(algorithm);
    if (found === hex) continue;
    throw new DfError("checksum", `check the ${algorithm} of the file: ${found}, expected ${hex}`, {
      hint: "the file is not what the checksum was made of: ask where both come from",
    });
  }
}
