// `df config settings get|set|unset|history|diff|rollback`: a thin client of the settings' API.

import { type CommandDef, defineCommand } from "citty";
import { DfError } from "../../errors.ts";
import type { AdminClient } from "../../net/admin-client.ts";
import type { Settings } from "../../net/wire/fleet-settings.ts";
import {
  resolvedSettingsSchema,
  type SettingDifference,
  settingsDiffSchema,
  settingsDocumentSchema,
  settingsHistorySchema,
  settingsLayerSchema,
} from "../../net/wire/settings-api.ts";
import { ADMIN_FLAGS, adminClientOf } from "../command-line/admin-flags.ts";
import type { Flag, ParsedFlags } from "../command-line/flags.ts";
import { formatSetting, parseSettingKey, parseSettings } from "./setting-values.ts";

export const FLAGS: readonly Flag[] = [
  { name: "cluster", value: "NAME", help: "the layer of one cluster instead of the fleet's" },
  {
    name: "label",
    value: "KEY=VALUE",
    help: "the layer of machines with these labels; repeatable; role=peer, role=supernode",
  },
  { name: "resolved", help: "get: what counts for a machine of --cluster with each --label" },
  { name: "comment", value: "TEXT", help: "why, for the history" },
  { name: "expect", value: "VERSION", help: "change nothing if the present version is another" },
  { name: "limit", value: "N", help: "history: so many versions (20)" },
  { name: "json", help: "the answer as JSON" },
  ...ADMIN_FLAGS,
];

const command: CommandDef = defineCommand({
  meta: { name: "settings", description: "read and change the settings of a running fleet" },
  async run({ data }) {
    const flags = data as ParsedFlags;
    const [verb, ...rest] = flags.positionals;
    const ask = { flags, client: adminClientOf(flags) };
    if (verb === "get") return get(ask, rest);
    if (verb === "set" && rest.length > 0) return change(ask, { set: parseSettings(rest) });
    if (verb === "unset" && rest.length > 0)
      return change(ask, { unset: rest.map(parseSettingKey) });
    if (verb === "history" && rest.length === 0) return history(ask);
    if (verb === "diff" && rest.length >= 1 && rest.length <= 2) return diff(ask, rest);
    if (verb === "rollback" && rest.length === 1) return rollback(ask, rest[0]!);
    throw new DfError(
      "usage",
      `read df config ${["settings", ...flags.positionals].join(" ")}: not a whole command`,
      {
        hint: "write get [KEY…], set KEY=VALUE…, unset KEY…, history, diff FROM [TO] or rollback VERSION",
      },
    );
  },
});
export default command;

interface Ask {
  flags: ParsedFlags;
  client: AdminClient;
}

async function get(ask: Ask, keys: readonly string[]): Promise<void> {
  const wanted = keys.map(parseSettingKey);
  const show = (settings: Settings): void => {
    const shown = Object.entries(settings).filter(
      ([key]) => wanted.length === 0 || wanted.some((name) => name === key),
    );
    print(ask, Object.fromEntries(shown), settingLines(shown));
  };
  if (ask.flags.values.has("resolved")) return getResolved(ask, show);
  if (isOneLayer(ask)) {
    const answer = await ask.client.ask(
      { method: "GET", path: layerPath(ask) },
      settingsLayerSchema,
    );
    return show(answer.settings);
  }
  const document = await ask.client.ask(
    { method: "GET", path: "settings" },
    settingsDocumentSchema,
  );
  if (wanted.length > 0) return show(document.fleet);
  const layers: [string, Settings][] = [
    ["fleet", document.fleet],
    ...Object.entries(document.clusters).map(([name, settings]): [string, Settings] => [
      `cluster ${name}`,
      settings,
    ]),
    ...document.labels.map(({ selector, settings }): [string, Settings] => [
      `label ${Object.entries(selector)
        .map(([key, value]) => `${key}=${value}`)
        .join(" ")}`,
      settings,
    ]),
  ];
  const lines = layers.flatMap(([name, settings]) => [
    name,
    ...settingLines(Object.entries(settings)).map((line) => `  ${line}`),
  ]);
  print(ask, document, [`version ${document.version}`, ...lines]);
}

async function getResolved(ask: Ask, show: (settings: Settings) => void): Promise<void> {
  const query = new URLSearchParams();
  const cluster = textOf(ask, "cluster");
  if (cluster !== undefined) query.set("cluster", cluster);
  for (const label of ask.flags.values.get("label") ?? []) {
    if (label.startsWith("role=")) query.set("role", label.slice(5));
    else query.append("label", label);
  }
  const path = `settings/resolved?${query.toString()}`;
  show((await ask.client.ask({ method: "GET", path }, resolvedSettingsSchema)).settings);
}

async function change(
  ask: Ask,
  { set = {}, unset = [] }: { set?: Settings; unset?: readonly string[] },
): Promise<void> {
  const body = { set, unset, comment: textOf(ask, "comment") ?? "" };
  const request = {
    method: "PATCH",
    path: layerPath(ask),
    body,
    headers: precondition(ask),
  } as const;
  const { version, layer, settings } = await ask.client.ask(request, settingsLayerSchema);
  print(ask, { version, layer, settings }, [
    `version ${version}: ${layer}`,
    ...settingLines(Object.entries(settings)).map((line) => `  ${line}`),
  ]);
}

async function history(ask: Ask): Promise<void> {
  const limit = textOf(ask, "limit") ?? "20";
  const path = `settings/history?${new URLSearchParams({ limit }).toString()}`;
  const { versions } = await ask.client.ask({ method: "GET", path }, settingsHistorySchema);
  const lines = versions.flatMap(({ version, author, comment, createdAt, changes }) => [
    [`version ${version}`, new Date(createdAt).toISOString(), `by ${author}`, comment]
      .filter((part) => part !== "")
      .join("  "),
    ...differenceLines(changes),
  ]);
  print(ask, versions, lines);
}

async function diff(ask: Ask, [from, to]: readonly string[]): Promise<void> {
  const query = new URLSearchParams({ from: from!, ...(to === undefined ? {} : { to }) });
  const path = `settings/diff?${query.toString()}`;
  const answer = await ask.client.ask({ method: "GET", path }, settingsDiffSchema);
  print(ask, answer, differenceLines(answer.changes));
}

async function rollback(ask: Ask, text: string): Promise<void> {
  const version = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (Number.isNaN(version)) {
    throw new DfError("usage", `go back to ${text}: no version`, {
      hint: "df config settings history lists them",
    });
  }
  const body = { version, comment: textOf(ask, "comment") ?? "" };
  const document = await ask.client.ask(
    { method: "POST", path: "settings/rollback", body, headers: precondition(ask) },
    settingsDocumentSchema,
  );
  print(ask, document, [`version ${document.version}: as version ${version} was`]);
}

function precondition(ask: Ask): Record<string, string> {
  const expected = textOf(ask, "expect");
  return expected === undefined ? {} : { "if-match": `"${expected}"` };
}

function isOneLayer({ flags }: Ask): boolean {
  return flags.values.has("cluster") || flags.values.has("label");
}

/** @throws {DfError} usage */
function layerPath(ask: Ask): string {
  const labels = ask.flags.values.get("label");
  const cluster = textOf(ask, "cluster");
  if (labels !== undefined && cluster !== undefined) {
    throw new DfError("usage", "name a layer: --cluster and --label are two", {
      hint: "a layer of labels counts in every cluster",
    });
  }
  if (labels !== undefined) return `settings/labels/${encodeURIComponent(labels.join(","))}`;
  return cluster === undefined
    ? "settings/fleet"
    : `settings/clusters/${encodeURIComponent(cluster)}`;
}

function settingLines(entries: readonly [string, unknown][]): string[] {
  return entries.map(([key, value]) => `${key}=${formatSetting(value)}`);
}

function differenceLines(changes: readonly SettingDifference[]): string[] {
  return changes.map(
    ({ layer, key, before, after }) =>
      `  ${layer}  ${key}: ${formatSetting(before)} → ${formatSetting(after)}`,
  );
}

function print({ flags }: Ask, json: unknown, lines: readonly string[]): void {
  if (flags.values.has("json")) console.log(JSON.stringify(json));
  else if (lines.length > 0) console.log(lines.join("\n"));
}

function textOf({ flags }: Ask, name: string): string | undefined {
  return flags.values.get(name)?.at(-1);
}
