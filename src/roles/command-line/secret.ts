// A secret on a command line: "@FILE" keeps it out of the list of processes.

import { readFileSync } from "node:fs";
import { Secret } from "../../engine/bytes/secret.ts";
import { DfError } from "../../errors.ts";

/**
 * The text itself, or what the named file holds; "@-" is standard input.
 * @throws {DfError} file-unreadable
 */
export function readSecret(flag: string, text: string): Secret<string> {
  if (!text.startsWith("@")) return new Secret(text);
  const path = text.slice(1);
  try {
    return new Secret(readFileSync(path === "-" ? 0 : path, "utf8").trim());
  } catch (cause) {
    throw new DfError("file-unreadable", `read ${path} for ${flag}`, {
      cause,
      hint: `write ${flag} @FILE with the path of a file that you may read`,
    });
  }
}
