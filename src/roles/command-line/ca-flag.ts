// `--ca FILE`: by which CA a tool of an administrator believes `df config` and supernodes. A fleet makes its
// own, and each `df config` leaves it beside its admin token.

import { readFileSync } from "node:fs";
import { DfError, messageOf } from "../../errors.ts";
import { checkCertificates } from "./certificates-file.ts";
import type { Flag, ParsedFlags } from "./flags.ts";

export const CA_FLAG: Flag = {
  name: "ca",
  variable: "DRAGONFLY_CA",
  value: "FILE",
  help: "the fleet's CA: ca.pem beside the admin token (that of a df config here; DRAGONFLY_CA)",
};

/** What to do about a certificate that is not believed. */
export const CA_HINT =
  "copy ca.pem from the data directory of df config and name it with --ca FILE or DRAGONFLY_CA";

/**
 * PEM; undefined: none was named.
 * @throws {DfError} file-unreadable
 */
export function readCa(flags: ParsedFlags): string | undefined {
  const path = flags.values.get("ca")?.at(-1) ?? (process.env["DRAGONFLY_CA"] || undefined);
  if (path === undefined) return undefined;
  return checkCertificates("--ca", path, readCaFile(path));
}

function readCaFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new DfError("file-unreadable", `read --ca ${path}: ${messageOf(cause)}`, {
      cause,
      hint: CA_HINT,
    });
  }
}
