// Settings as people write them on a command line, and as they are shown again.
//
//   downloadRate=20M  quota=none  deny=a.org,*.b.org  backToSource=off  cacheRules={"a.org":"force"}

import { DfError } from "../../errors.ts";
import { settingsSchema, type SettingKey, type Settings } from "../../net/wire/fleet-settings.ts";
import { joinFaults, nearestName } from "../command-line/flags.ts";
import { parseRate, parseSize } from "../command-line/quantities.ts";

const KEYS = Object.keys(settingsSchema.shape) as SettingKey[];
const RATES: readonly SettingKey[] = ["downloadRate", "uploadRate", "diskRate", "sourceRate"];
const SIZES: readonly SettingKey[] = ["quota", "pieceLength"];
const LISTS: readonly SettingKey[] = ["deny", "allow", "originAllow"];

/** How settings by pattern are written: JSON in the shell's quotes, which no error of a schema would say. */
const WRITTEN: Partial<Record<SettingKey, string>> = {
  sourceProxy: `write sourceProxy='{"*.example.org":"http://HOST:PORT"}'`,
  cacheRules: `write cacheRules='{"*.example.org":"force"}'`,
  filterQuery: `write filterQuery='{"*.example.org":["NAME"]}'`,
};

/**
 * Reads "KEY=VALUE" each; everything wrong is told at once.
 * @throws {DfError} usage
 */
export function parseSettings(texts: readonly string[]): Settings {
  const settings: Record<string, unknown> = {};
  const faults: DfError[] = [];
  for (const text of texts) {
    try {
      const at = text.indexOf("=");
      const key = parseSettingKey(at < 0 ? text : text.slice(0, at));
      if (at < 0) throw fault(`set ${key}: no value`, `write ${key}=VALUE`);
      settings[key] = parseValue(key, text.slice(at + 1));
    } catch (error) {
      if (!(error instanceof DfError)) throw error;
      faults.push(error);
    }
  }
  if (faults.length > 0) throw joinFaults(faults);
  return settings;
}

/** @throws {DfError} usage, with the nearest key */
export function parseSettingKey(text: string): SettingKey {
  const key = KEYS.find((known) => known === text);
  if (key !== undefined) return key;
  const near = nearestName(text, KEYS);
  throw fault(
    `set ${text}: there is no such setting`,
    near === undefined ? `one of ${KEYS.join(", ")}` : `did you mean ${near}?`,
  );
}

/** One line: bytes stay numbers, so that they can be read back exactly. */
export function formatSetting(value: unknown): string {
  if (value === undefined) return "(not set)";
  if (value === null) return "none";
  if (Array.isArray(value) && value.length > 0) return value.join(",");
  return typeof value === "string" ? value : JSON.stringify(value);
}

function parseValue(key: SettingKey, text: string): unknown {
  const value = valueOf(key, text.trim());
  const checked = settingsSchema.shape[key].safeParse(value);
  if (checked.success) return checked.data;
  const reasons = checked.error.issues.map(({ message }) => message).join("; ");
  const hint = WRITTEN[key] ?? settingsSchema.shape[key].unwrap().description;
  throw fault(`set ${key}=${text}: ${reasons}`, hint);
}

function valueOf(key: SettingKey, text: string): unknown {
  if (/^[[{]/.test(text)) return jsonOf(key, text);
  if (text === "none") return LISTS.includes(key) ? [] : null;
  if (RATES.includes(key)) return parseRate(key, text);
  if (SIZES.includes(key) && /^\d/.test(text)) return parseSize(key, text);
  if (LISTS.includes(key)) return text === "" ? [] : text.split(",").map((item) => item.trim());
  if (key === "backToSource") return { on: true, true: true, off: false, false: false }[text];
  return /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : text;
}

function jsonOf(key: SettingKey, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw fault(`set ${key}=${text}: broken JSON`, "quote it for the shell");
  }
}

function fault(message: string, hint: string | undefined): DfError {
  return new DfError("usage", message, { hint });
}
