// The number of a group on this host. Bun knows no getgrnam: /etc/group is read, and for groups of a
// directory service the number itself is taken.

import { readFileSync } from "node:fs";
import { DfError } from "../../errors.ts";

/** @throws {DfError} usage, naming `flag` */
export function groupIdOf(flag: string, group: string, groupFile = "/etc/group"): number {
  const isNumber = /^\d{1,9}$/.test(group);
  const id = isNumber ? group : linesOf(groupFile).find(([name]) => name === group)?.[2];
  if (id !== undefined && /^\d{1,10}$/.test(id)) return Number(id);
  throw new DfError("usage", `read ${flag} ${group}: no such group in ${groupFile}`, {
    hint: "write a group of this host, or its number",
  });
}

/** Lines of "name:password:id:members". */
function linesOf(groupFile: string): string[][] {
  try {
    return readFileSync(groupFile, "utf8")
      .split("\n")
      .map((line) => line.split(":"));
  } catch {
    return [];
  }
}
