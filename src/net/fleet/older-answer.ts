// What `df config` says bears the version of the fleet's routes, which only grows: also over a backup that
// is restored. An answer with a smaller one is of a time that is over, whoever plays it back.

import { DfError } from "../../errors.ts";

/** @param what was answered, for the message */
export function olderAnswer(what: string, version: number, knownVersion: number): DfError {
  return new DfError(
    "outdated",
    `ask df config: ${what} of version ${version}, older than the known ${knownVersion}`,
    { hint: "restart df config if its database was brought back by other means than a restore" },
  );
}
