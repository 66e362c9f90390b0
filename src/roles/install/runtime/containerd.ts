// containerd's settings: hosts.toml for every registry, and the folder of such files in config.toml, which
// its CRI plugin alone reads. A host that fails is followed by the registry itself.

import { dirname } from "node:path";
import type { InstalledFile } from "../installation.ts";
import { type EnginePlan, refuseEdit, type RuntimeTarget } from "./engine-plan.ts";
import { hostsFile } from "./hosts-file.ts";
import type { SystemFiles } from "./system-files.ts";
import { parseToml, valueAt, withText } from "./toml-edit.ts";

const SETTINGS = "/etc/containerd/config.toml";
const HOSTS_FOLDER = "/etc/containerd/certs.d";

/** The table of registries in each version of the file; without a version it is of the first. */
const REGISTRY_TABLES: Record<number, readonly string[]> = {
  1: ["plugins", "cri", "registry"],
  2: ["plugins", "io.containerd.grpc.v1.cri", "registry"],
  3: ["plugins", "io.containerd.cri.v1.images", "registry"],
};

/** @throws {DfError} conflict */
export function containerdPlan(files: SystemFiles, { address }: RuntimeTarget): EnginePlan {
  const settings = settingsPlan(files);
  const hosts = hostsFile(files, settings.folder, address);
  const changed = settings.file === null ? [] : [settings.file];
  return {
    files: [...(hosts === null ? [] : [hosts]), ...changed],
    reload: settings.file === null ? [] : [["systemctl", "restart", "containerd"]],
    notes: [
      ...settings.notes,
      ...ownHosts(files, settings.folder, address),
      `ctr reads these files with --hosts-dir ${settings.folder}`,
    ],
    ...(settings.file === null ? {} : { check: () => validate(files, settings.file!) }),
  };
}

interface SettingsPlan {
  /** Where hosts.toml files lie. */
  folder: string;
  /** Null: it says so already, or nothing reads it. */
  file: InstalledFile | null;
  notes: string[];
}

function settingsPlan(files: SystemFiles): SettingsPlan {
  const text = files.read(SETTINGS);
  const version = text === null ? newVersion(files) : versionOf(text);
  const table = REGISTRY_TABLES[version];
  const byHand = `[${(table ?? REGISTRY_TABLES[3]!).map((key) => JSON.stringify(key)).join(".")}]\n  config_path = "${HOSTS_FOLDER}"\n`;
  const settings = parseToml(text ?? "");
  if (settings === null || table === undefined) {
    throw refuseEdit(SETTINGS, "not TOML of a version that is understood", byHand);
  }
  const disabled = valueAt(settings, ["disabled_plugins"]);
  const isDisabled =
    Array.isArray(disabled) &&
    ["cri", "io.containerd.grpc.v1.cri"].some((id) => disabled.includes(id));
  if (isDisabled) {
    const note = `${SETTINGS} disables the CRI plugin, which alone would read a folder from it`;
    return { folder: HOSTS_FOLDER, file: null, notes: [note] };
  }
  const given = valueAt(settings, [...table, "config_path"]);
  if (typeof given === "string" && given !== "") {
    return { folder: given.split(":")[0]!, file: null, notes: [] };
  }
  for (const old of ["mirrors", "configs"]) {
    const value = valueAt(settings, [...table, old]);
    if (typeof value !== "object" || value === null || Object.keys(value).length === 0) continue;
    const why = `it sets registry.${old}, with which containerd takes no config_path`;
    throw refuseEdit(
      SETTINGS,
      why,
      `${byHand}# and move what registry.${old} says to ${HOSTS_FOLDER}`,
    );
  }
  const start = text ?? `version = ${version}\n`;
  const content = withText(start, { table, key: "config_path", value: HOSTS_FOLDER });
  if (content === null) throw refuseEdit(SETTINGS, "its tables are not as expected", byHand);
  const file = { path: SETTINGS, mode: files.modeOf(SETTINGS), content };
  return { folder: HOSTS_FOLDER, file, notes: [] };
}

function versionOf(text: string): number {
  const version = valueAt(parseToml(text), ["version"]) ?? 1;
  return typeof version === "number" ? version : 0;
}

/** Every version reads the second; only the second generation of containerd reads the third. */
function newVersion(files: SystemFiles): number {
  return / v?2\.\d/.test(files.output("containerd", ["--version"]) ?? "") ? 3 : 2;
}

/** Registries with a folder of their own do not read the one for all others. */
function ownHosts(files: SystemFiles, folder: string, address: string): string[] {
  const own = files.list(folder).filter((name) => {
    const path = `${folder}/${name}/hosts.toml`;
    return name !== "_default" && files.has(path) && !files.read(path)?.includes(address);
  });
  if (own.length === 0) return [];
  return [
    `not through the swarm, for they have files of their own in ${folder}: ${own.join(", ")}`,
  ];
}

/** Has containerd itself read the file, with what that imports. */
function validate(files: SystemFiles, { content }: InstalledFile): void {
  const text = content as string;
  const trial = files.trial("containerd", (path) => ["--config", path, "config", "dump"], {
    content: withAbsoluteImports(text),
  });
  if (trial === null) return;
  if (trial.fault !== null) {
    throw refuseEdit(SETTINGS, `containerd refuses it: ${trial.fault}`, text);
  }
  const dump = parseToml(trial.stdout);
  const isRead = Object.values(REGISTRY_TABLES).some(
    (table) => valueAt(dump, [...table, "config_path"]) === HOSTS_FOLDER,
  );
  // What cannot be parsed says nothing.
  if (dump === null || isRead) return;
  const why = "a file that it imports sets these tables anew";
  throw refuseEdit(SETTINGS, why, `config_path = "${HOSTS_FOLDER}"`);
}

/** The draft lies elsewhere: what it imports is named from the file's own folder. */
function withAbsoluteImports(text: string): string {
  return text.replace(/^\s*imports\s*=\s*\[[^\]]*\]/m, (list) =>
    list.replaceAll(/"(?!\/)([^"]+)"/g, (_, path: string) => `"${dirname(SETTINGS)}/${path}"`),
  );
}
