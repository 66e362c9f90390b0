// How a failure looks to a person: `error:`, `hint:`, then each cause, one line each on stderr.

import { DfError, messageOf } from "../../errors.ts";

/** Causes deeper than this are noise: the first ones name the system call. */
const CAUSES_SHOWN_MAX = 5;

/** The lines to print for anything that was thrown, without a trailing line feed. */
export function formatFailure(error: unknown, withStacks: boolean): string {
  const lines = [`error: ${oneLine(messageOf(error))}`];
  if (error instanceof DfError && error.hint !== undefined) lines.push(`hint: ${error.hint}`);
  if (!(error instanceof DfError)) {
    lines.push("hint: this is a bug of df; DEBUG=1 shows where, please report it");
  }
  let cause = error instanceof Error ? error.cause : undefined;
  for (let depth = 0; cause !== undefined && depth < CAUSES_SHOWN_MAX; depth++) {
    const text = oneLine(messageOf(cause));
    if (text !== "" && !lines[0]!.endsWith(text)) lines.push(`cause: ${text}`);
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  if (withStacks && error instanceof Error) lines.push(error.stack ?? "");
  return lines.join("\n");
}

/** The exit code that belongs to anything that was thrown. */
export function exitCodeOf(error: unknown): number {
  return error instanceof DfError ? error.exitCode : 1;
}

/** Control characters in a server's words must not reach the terminal. */
function oneLine(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return text.replaceAll(/[\u0000-\u001f\u007f]+/g, " ").trim();
}
