// What a command line says of a flag, as text: its values, or what its environment variable holds.

import type { Flag, ParsedFlags } from "./flags.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads flags of a table by name: all values in their order; where none is given, its variable's, if that is
 * not empty.
 */
export function flagTexts(
  flags: readonly Flag[],
  { values }: ParsedFlags,
  env: Environment,
): (name: string) => readonly string[] {
  return (name) => {
    const variable = flags.find((flag) => flag.name === name)?.variable;
    const set = variable === undefined ? undefined : env[variable] || undefined;
    return values.get(name) ?? (set === undefined ? [] : [set]);
  };
}
