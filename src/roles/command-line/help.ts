// The help text of a command, from the same table that parses its flags.

import type { Flag } from "./flags.ts";

export interface CommandHelp {
  /** As the user types it, e.g. "df get". */
  readonly command: string;
  readonly summary: string;
  /** What follows the command, e.g. "[flags] URL...". */
  readonly synopsis: string;
  readonly flags: readonly Flag[];
  /** Name and summary of what comes next on the line, for a command that has sub-commands. */
  readonly commands?: readonly (readonly [name: string, summary: string])[];
  /** Whole command lines, without the prompt. */
  readonly examples: readonly string[];
}

export function renderHelp(help: CommandHelp): string {
  const rows = help.flags
    .filter((flag) => flag.help !== undefined)
    .map((flag) => [spell(flag), flag.help!] as const);
  const width = Math.min(30, Math.max(0, ...rows.map(([left]) => left.length)));
  const nameWidth = Math.max(0, ...(help.commands ?? []).map(([name]) => name.length));
  const lines = [
    `${help.command}: ${help.summary}`,
    "",
    `Usage: ${help.command} ${help.synopsis}`,
    ...(help.commands === undefined ? [] : ["", "Commands:"]),
    ...(help.commands ?? []).map(([name, summary]) => `  ${name.padEnd(nameWidth)}  ${summary}`),
    ...(rows.length > 0 ? ["", "Flags:"] : []),
    ...rows.map(([left, text]) =>
      left.length > width
        ? `  ${left}\n  ${" ".repeat(width)}  ${text}`
        : `  ${left.padEnd(width)}  ${text}`,
    ),
    ...(help.examples.length > 0 ? ["", "Examples:"] : []),
    ...help.examples.map((example) => `  ${example}`),
  ];
  return lines.join("\n");
}

function spell(flag: Flag): string {
  const short = (flag.aliases ?? []).find((alias) => alias.length === 1);
  const value = flag.value === undefined ? "" : ` ${flag.value}`;
  return `${short === undefined ? "    " : `-${short}, `}--${flag.name}${value}`;
}
