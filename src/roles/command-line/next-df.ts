// The name `df` belongs to coreutils too. Started as `df` with anything but our verbs, this program
// becomes the next `df` on PATH: installing it never breaks `df -h`.

import { accessSync, constants, realpathSync, statSync } from "node:fs";
import { basename, isAbsolute, join } from "node:path";
import { DfError } from "../../errors.ts";

/** Programs that a chain of `df`s on PATH has run already; two copies of us must not call each other forever. */
const TRIED = "DRAGONFLY_DF_TRIED";

/**
 * Whether these arguments are meant for the disk-usage `df`. Verbs win even when a file has their
 * name; `--version` and `-V` are ours, because an installer must be able to tell what it installed.
 */
export function isForNextDf(
  invokedAs: string,
  args: readonly string[],
  verbs: readonly string[],
): boolean {
  if (basename(invokedAs) !== "df") return false;
  const first = args[0];
  if (first === undefined) return true;
  return !verbs.includes(first) && first !== "--version" && first !== "-V";
}

/**
 * Replaces this process by the next `df` on PATH, with the same arguments; returns only by throwing.
 * @throws {DfError} usage when PATH holds no other df
 */
export function becomeNextDf(args: readonly string[]): never {
  const tried = new Set((process.env[TRIED] ?? "").split(":"));
  tried.add(realpathSync(process.execPath));
  const next = findNextDf(process.env["PATH"] ?? "", tried);
  if (next === null) {
    throw new DfError(
      "usage",
      `run the next df on PATH for "df ${args.join(" ")}": there is none`,
      {
        hint: "df help lists the commands of this df",
      },
    );
  }
  tried.add(next.realPath);
  const env = { ...process.env, [TRIED]: [...tried].filter((path) => path !== "").join(":") };
  process.execve!(next.path, ["df", ...args], env);
  throw new DfError("internal", `run ${next.path}: the process was not replaced`);
}

function findNextDf(
  searchPath: string,
  tried: ReadonlySet<string>,
): { path: string; realPath: string } | null {
  for (const folder of searchPath.split(":")) {
    // An empty or relative entry means the current folder: whatever lies there is not run.
    if (!isAbsolute(folder)) continue;
    const path = join(folder, "df");
    try {
      accessSync(path, constants.X_OK);
      const realPath = realpathSync(path);
      if (statSync(realPath).isFile() && !tried.has(realPath)) return { path, realPath };
    } catch {
      // Not here: the next folder.
    }
  }
  return null;
}
