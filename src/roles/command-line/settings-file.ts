// Settings of a verb from YAML: one key for each of its long flags. Flags win over DRAGONFLY_*
// variables, these over a file, and a user's file over the host's.
//
//   # /etc/dragonfly/peer.yaml
//   supernode: [10.0.0.5:8002, 10.0.0.6:8002]
//   listen: 0.0.0.0:65002
//   open: true
//   upload-rate: 50M

import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { DfError, messageOf } from "../../errors.ts";
import { type Flag, joinFaults, nearestName, type ParsedFlags } from "./flags.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Values by the flag's name, as the command line would give them. */
type Settings = Map<string, readonly string[]>;

/** Where a verb's settings lie if nobody names a file; the later one wins key by key. */
export function settingsPaths(verb: string, env: Environment): [host: string, user: string] {
  const userDir = env["XDG_CONFIG_HOME"] || join(homedir(), ".config");
  return [`/etc/dragonfly/${verb}.yaml`, join(userDir, "dragonfly", `${verb}.yaml`)];
}

/**
 * Adds what the file named by `--config` says, or else those of `paths` that exist.
 * @throws {DfError} file-unreadable; usage, with the line of each key that is wrong
 */
export function withSettings(
  parsed: ParsedFlags,
  flags: readonly Flag[],
  { env, paths }: { env: Environment; paths: readonly string[] },
): ParsedFlags {
  const named = parsed.values.get("config")?.at(-1);
  const values = new Map<string, readonly string[]>();
  for (const path of named === undefined ? paths.filter((path) => existsSync(path)) : [named]) {
    for (const [name, texts] of parseSettings(path, read(path), flags)) values.set(name, texts);
  }
  for (const { name, variable } of flags) {
    if (variable !== undefined && env[variable]) values.delete(name);
  }
  for (const [name, texts] of parsed.values) values.set(name, texts);
  return { ...parsed, values };
}

/**
 * Reads the text of a settings file; everything wrong is told at once.
 * @param path for messages
 * @throws {DfError} usage
 */
export function parseSettings(path: string, text: string, flags: readonly Flag[]): Settings {
  const document = parseYaml(path, text);
  const settings: Settings = new Map();
  const faults: DfError[] = [];
  for (const [key, value] of Object.entries(document)) {
    const fault = (problem: string, hint: string): void => {
      const at = `${path} line ${lineOf(key, text)}`;
      faults.push(new DfError("usage", `read ${at}: ${problem}`, { hint }));
    };
    const flag = flags.find(({ name }) => name === key);
    if (flag?.help === undefined || NOT_IN_FILES.has(key)) {
      fault(`unknown key ${key}`, hintFor(key, flags));
      continue;
    }
    const texts = textsOf(flag, value);
    if (texts !== null) settings.set(key, texts);
    else if (flag.value === undefined) fault(`${key} is a switch`, "write true or false");
    else fault(`${key} needs a value`, `write ${key}: ${flag.value}`);
  }
  if (faults.length > 0) throw joinFaults(faults);
  return settings;
}

/** They are about one command line. */
const NOT_IN_FILES = new Set(["config", "help", "version"]);

/** Null for what is no value of the flag. */
function textsOf(flag: Flag, value: unknown): string[] | null {
  if (flag.value === undefined) return typeof value === "boolean" ? [String(value)] : null;
  const items: unknown[] = Array.isArray(value) ? value : [value];
  const isText = (item: unknown) => typeof item === "string" || typeof item === "number";
  return items.length > 0 && items.every(isText) ? items.map(String) : null;
}

function parseYaml(path: string, text: string): Record<string, unknown> {
  let document: unknown;
  try {
    document = Bun.YAML.parse(text);
  } catch (cause) {
    const at = `${path} line ${firstBrokenLine(text)}`;
    throw new DfError("usage", `read ${at}: ${messageOf(cause)}`, { cause });
  }
  if (document === null) return {};
  if (typeof document === "object" && !Array.isArray(document))
    return document as Record<string, unknown>;
  throw new DfError("usage", `read ${path}: not a list of settings`, {
    hint: "write one key: value a line",
  });
}

/** Bun's parser does not say where it stopped: the line after the longest beginning that it takes. */
function firstBrokenLine(text: string): number {
  const lines = text.split("\n");
  for (let count = lines.length - 1; count > 0; count--) {
    try {
      Bun.YAML.parse(lines.slice(0, count).join("\n"));
      return count + 1;
    } catch {
      // Still broken: one line less.
    }
  }
  return 1;
}

function lineOf(key: string, text: string): number {
  const at = text
    .split("\n")
    .findIndex((line) => /^["']?([^"':]+)["']?\s*:/.exec(line)?.[1] === key);
  return Math.max(0, at) + 1;
}

function hintFor(key: string, flags: readonly Flag[]): string {
  const names = flags.flatMap(({ name, help }) =>
    help === undefined || NOT_IN_FILES.has(name) ? [] : [name],
  );
  const near = nearestName(key, names);
  return near === undefined ? "keys are the names of the long flags" : `did you mean ${near}?`;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new DfError("file-unreadable", `read the settings ${path}`, {
      cause,
      hint: "write --config FILE with the path of a YAML file that you may read",
    });
  }
}
