// The settings file of a service, as `df install systemd ROLE --set KEY=VALUE` leaves it: what the operator
// set before stays, with his comments, and the keys that are set now take the place of their former values.

import { isDeepStrictEqual } from "node:util";
import { DfError } from "../../errors.ts";
import type { Flag } from "../command-line/flags.ts";
import { parseSettings } from "../command-line/settings-file.ts";
import type { ServiceRole } from "./service-role.ts";

export interface SettingsOptions {
  /** "KEY=VALUE" each; a key that stands here twice has both values. */
  given: readonly string[];
  /** What the role's settings may be. */
  flags: readonly Flag[];
  /** The file as it is. @defaultValue there is none */
  before?: string | null;
}

/** @throws {DfError} usage, also for what the service would refuse when it starts; conflict */
export function settingsText(
  role: ServiceRole,
  { given, flags, before = null }: SettingsOptions,
): string {
  const settings = readGiven(given);
  const lines = [...settings].map(([key, values]) => `${key}: ${yamlOf(values)}`);
  const set = parseSettings("--set", lines.join("\n"), flags);
  if (before === null) return [...headOf(role), ...lines, ""].join("\n");
  const kept = withoutKeys(before, new Set(settings.keys()));
  const text = `${[kept.trimEnd(), ...lines].filter((part) => part !== "").join("\n")}\n`;
  const path = `/etc/dragonfly/${role.name}.yaml`;
  const wanted = new Map([...parseSettings(path, before, flags), ...set]);
  if (isDeepStrictEqual(settingsIn(text, flags), wanted)) return text;
  throw new DfError("conflict", `set ${[...settings.keys()].join(", ")} in ${path}`, {
    hint: "it is not written one key a line: edit it by hand, and leave out --set",
  });
}

/** Undefined: what came out is no settings file. */
function settingsIn(
  text: string,
  flags: readonly Flag[],
): ReadonlyMap<string, unknown> | undefined {
  try {
    return parseSettings("--set", text, flags);
  } catch {
    return undefined;
  }
}

/** @throws {DfError} usage */
function readGiven(given: readonly string[]): Map<string, string[]> {
  const settings = new Map<string, string[]>();
  for (const setting of given) {
    const [, key, value] = /^([a-z][a-z0-9-]*)=(.+)$/.exec(setting) ?? [];
    if (key === undefined) {
      throw new DfError("usage", `read --set ${setting}`, {
        hint: "write --set listen=0.0.0.0:8002",
      });
    }
    settings.set(key, [...(settings.get(key) ?? []), value!]);
  }
  return settings;
}

/** Of one value the words as they were given: they may be a list, or quoted. */
function yamlOf(values: readonly string[]): string {
  return values.length === 1
    ? values[0]!
    : `[${values.map((value) => JSON.stringify(value)).join(", ")}]`;
}

/** Leaves out these keys with the lines that belong to them: indented ones, and items of a list. */
function withoutKeys(text: string, keys: ReadonlySet<string>): string {
  let isLeftOut = false;
  const lines = text.split("\n").filter((line) => {
    const key = /^["']?([^\s"'#:]+)["']?\s*:/.exec(line)?.[1];
    if (key !== undefined) isLeftOut = keys.has(key);
    else if (!/^(?:\s|-)/.test(line)) isLeftOut = false;
    return !isLeftOut;
  });
  return lines.join("\n");
}

function headOf({ name, settingsHints }: ServiceRole): string[] {
  return [
    `# Settings of df ${name}: one key for each long flag of df ${name} --help.`,
    ...settingsHints.map((hint) => `# ${hint}`),
  ];
}
