// The strict flag parser of every command: knows each flag or refuses it with the nearest name.
// citty's own parser accepts anything; here a mistyped --no-origin must not load the source.

import type { ArgsDef } from "citty";
import { DfError } from "../../errors.ts";

export interface Flag {
  /** Long name without dashes. */
  readonly name: string;
  /** One letter stands for `-x`, may be bundled; longer ones for `--alias` and, as in wget, `-nc`. */
  readonly aliases?: readonly string[];
  /** What the value is called in the help; absent for a switch. */
  readonly value?: string;
  /** `--no-name` switches it off. */
  readonly isNegatable?: boolean;
  /** Environment variable that stands for the flag where it is not given. */
  readonly variable?: string;
  /** Absent: accepted for the sake of old scripts, not listed in the help. */
  readonly help?: string;
}

export interface ParsedFlags {
  /** Every value of a flag in order; a switch has "true" or "false". */
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly positionals: readonly string[];
  /** Reads the settings files again, for a verb that has some. @throws {DfError} as they did at first */
  readonly readAgain?: () => ParsedFlags;
}

/**
 * Parses arguments against a table. Everything wrong is reported at once.
 * @throws {DfError} usage
 */
export function parseFlags(args: readonly string[], flags: readonly Flag[]): ParsedFlags {
  const byName = new Map<string, Flag>();
  for (const flag of flags) {
    for (const name of [flag.name, ...(flag.aliases ?? [])]) byName.set(name, flag);
  }
  const values = new Map<string, string[]>();
  const positionals: string[] = [];
  const faults: DfError[] = [];
  const set = (flag: Flag, value: string) => {
    const known = values.get(flag.name);
    if (known === undefined) values.set(flag.name, [value]);
    else known.push(value);
  };

  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "--") {
      positionals.push(...args.slice(i + 1));
      break;
    }
    if (arg === "-" || !arg.startsWith("-")) {
      positionals.push(arg);
      continue;
    }
    for (const { spelled, flag, value } of readToken(arg, byName)) {
      if (flag === undefined) faults.push(unknownFlag(spelled, byName));
      else if (flag.value === undefined) {
        if (value === undefined || value === "true" || value === "false") {
          set(flag, value ?? "true");
        } else faults.push(new DfError("usage", `flag ${spelled} takes no value`));
      } else if (value !== undefined) set(flag, value);
      else if (i + 1 < args.length && !isKnownFlag(args[i + 1]!, byName)) set(flag, args[++i]!);
      else {
        const hint = `write ${spelled} ${flag.value}`;
        faults.push(new DfError("usage", `flag ${spelled} needs a value`, { hint }));
      }
    }
  }
  if (faults.length > 0) throw joinFaults(faults);
  return { values, positionals };
}

interface Token {
  /** As the user wrote it, for messages. */
  spelled: string;
  flag: Flag | undefined;
  value: string | undefined;
}

function readToken(arg: string, byName: ReadonlyMap<string, Flag>): Token[] {
  const equals = arg.indexOf("=");
  const spelled = equals === -1 ? arg : arg.slice(0, equals);
  const value = equals === -1 ? undefined : arg.slice(equals + 1);
  const name = spelled.replace(/^--?/, "");
  const isLong = arg.startsWith("--");
  // "-nc" and "-nv" are one flag each in wget, not bundles.
  if (isLong || (name.length > 1 && byName.has(name) && name.length <= 2)) {
    const flag = byName.get(name);
    if (flag !== undefined) return [{ spelled, flag, value }];
    const negated = name.startsWith("no-") ? byName.get(name.slice(3)) : undefined;
    if (negated?.isNegatable) return [{ spelled, flag: negated, value: value ?? "false" }];
    return [{ spelled, flag: undefined, value }];
  }
  return readBundle(arg, byName);
}

/** Reads "-qo FILE", "-oFILE": switches until a letter that takes the rest as its value. */
function readBundle(arg: string, byName: ReadonlyMap<string, Flag>): Token[] {
  const tokens: Token[] = [];
  for (let at = 1; at < arg.length; at++) {
    const flag = byName.get(arg[at]!);
    const spelled = `-${arg[at]!}`;
    if (flag?.value !== undefined) {
      const rest = arg.slice(at + 1).replace(/^=/, "");
      return [...tokens, { spelled, flag, value: rest === "" ? undefined : rest }];
    }
    if (flag === undefined) return [{ spelled: at === 1 ? arg : spelled, flag, value: undefined }];
    tokens.push({ spelled, flag, value: undefined });
  }
  return tokens;
}

/** A flag where a value should be: the value was forgotten. "-" and "-5" may be values. */
function isKnownFlag(arg: string, byName: ReadonlyMap<string, Flag>): boolean {
  return arg.startsWith("--") && byName.has(arg.slice(2).split("=", 1)[0]!);
}

function unknownFlag(spelled: string, byName: ReadonlyMap<string, Flag>): DfError {
  const names = [...byName].flatMap(([name, flag]) =>
    flag.help === undefined || name.length === 1
      ? []
      : [`--${name}`, ...(flag.isNegatable ? [`--no-${name}`] : [])],
  );
  const near = nearestName(`--${spelled.replace(/^-+/, "")}`, names);
  const hint = near === undefined ? "--help lists the flags" : `did you mean ${near}?`;
  return new DfError("usage", `unknown flag ${spelled}`, { hint });
}

/** Runs readers of flags; what they throw is added to `faults`, and undefined returned. */
export function faultCollector(faults: DfError[]): <T>(read: () => T) => T | undefined {
  return (read) => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof DfError)) throw error;
      faults.push(error);
      return undefined;
    }
  };
}

/** One error that tells everything that is wrong with a command line. */
export function joinFaults(faults: readonly DfError[]): DfError {
  const [first, ...others] = faults;
  if (first !== undefined && others.length === 0) return first;
  const messages = faults.map(({ message }) => message).join("; ");
  const hints = [...new Set(faults.flatMap(({ hint }) => hint ?? []))].join("; ");
  return new DfError("usage", messages, hints === "" ? {} : { hint: hints });
}

/** The name with the fewest edits from `wrong`, if few enough to be a slip. */
export function nearestName(wrong: string, names: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestEdits = Math.min(4, Math.ceil(wrong.length / 2));
  for (const name of names) {
    const edits = name.startsWith(wrong) && wrong.length > 3 ? 1 : editDistance(wrong, name);
    if (edits < bestEdits) {
      best = name;
      bestEdits = edits;
    }
  }
  return best;
}

/** Levenshtein distance: insertions, deletions and substitutions cost one each. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, substitution));
    }
    row = next;
  }
  return row[b.length]!;
}

/** The same table for a command whose flags are declared for citty. */
export function flagsOfArgs(args: ArgsDef): Flag[] {
  return Object.entries(args)
    .filter(([, arg]) => arg.type !== "positional")
    .map(([name, arg]) => {
      const aliases = "alias" in arg && arg.alias !== undefined ? [arg.alias].flat() : [];
      const hint = "valueHint" in arg ? arg.valueHint : undefined;
      const isSwitch = arg.type === "boolean" || arg.type === undefined;
      return {
        name: kebabCase(name),
        aliases: kebabCase(name) === name ? aliases : [...aliases, name],
        ...(isSwitch ? { isNegatable: true } : { value: hint ?? name.toUpperCase() }),
        ...(arg.description === undefined ? {} : { help: arg.description }),
      };
    });
}

function kebabCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
