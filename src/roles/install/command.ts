// `df install systemd ROLE`: copies this executable to its place, writes the role's unit and settings,
// and starts it. `--dry-run` only shows it, `--undo` takes it back.

import { readFileSync } from "node:fs";
import { type CommandDef, defineCommand } from "citty";
import { DfError } from "../../errors.ts";
import type { Flag, ParsedFlags } from "../command-line/flags.ts";
import { parseJoinString } from "../../net/fleet/join-string.ts";
import { readSecret } from "../command-line/secret.ts";
import { reportFiles } from "./file-report.ts";
import { Installation, type InstalledFile } from "./installation.ts";
import { runCommand } from "./run-command.ts";
import { SERVICE_ROLES, type ServiceRole } from "./service-role.ts";
import { settingsText } from "./settings-text.ts";
import { systemdUnit } from "./systemd-unit.ts";

export const FLAGS: readonly Flag[] = [
  { name: "join", value: "TEXT|@FILE", help: "join line of the fleet, kept in a 0600 file" },
  {
    name: "set",
    value: "KEY=VALUE",
    help: "a key of the role's settings file, the others stay; repeatable",
  },
  { name: "binary-dir", value: "DIR", help: "where the executable goes (default /usr/local/bin)" },
  { name: "user", value: "NAME", help: "whom the service runs as (default dragonfly)" },
  { name: "root", value: "DIR", help: "install into the system below DIR, and start nothing" },
  { name: "no-start", help: "write the files, start nothing" },
  { name: "dry-run", help: "show what would be written and run" },
  { name: "undo", help: "stop the service and put everything back as it was" },
];

const JOIN_FILE = "/etc/dragonfly/join";

const command: CommandDef = defineCommand({
  meta: { name: "install", description: "Install a role as a systemd service." },
  run: ({ data }) => install(data as ParsedFlags),
});
export default command;

async function install(flags: ParsedFlags): Promise<void> {
  const role = roleOf(flags.positionals);
  const root = flags.values.get("root")?.at(-1) ?? "";
  const startsServices = root === "" && !flags.values.has("no-start");
  const unit = `dragonfly-${role.name}.service`;
  // A service that is told of this one learns it before this one starts.
  const reloads = [
    ["systemctl", "daemon-reload"],
    ...(role.dropIn === undefined
      ? []
      : [["systemctl", "try-restart", `dragonfly-${role.dropIn.role}.service`]]),
  ];
  const installation = new Installation(root, `/etc/dragonfly/.installed-${role.name}.json`);

  if (flags.values.has("undo")) {
    if (startsServices) await runCommand(["systemctl", "disable", "--now", unit]);
    reportFiles(installation.undo());
    for (const words of startsServices ? reloads : []) await runCommand(words);
    return;
  }
  const settings = settingsText(role, {
    ...{ given: flags.values.get("set") ?? [], flags: await role.flags() },
    before: installation.textOf(`/etc/dragonfly/${role.name}.yaml`),
  });
  const files = filesOf(role, flags, { settings, installation });
  const commands = [
    ["systemd-sysusers", "/etc/sysusers.d/dragonfly.conf"],
    ...reloads,
    ["systemctl", "enable", unit],
    // Also where it runs already: it is to read what was written.
    ["systemctl", "restart", unit],
  ];
  if (flags.values.has("dry-run")) {
    console.log([...files.map(describe), ...commands.map((words) => words.join(" "))].join("\n"));
    return;
  }
  reportFiles(installation.write(files));
  if (!startsServices) {
    console.log(`then run: ${commands.map((words) => words.join(" ")).join(" && ")}`);
    return;
  }
  for (const words of commands) await runCommand(words);
  console.log(`${unit} runs; journalctl -u ${unit} shows its log`);
}

/** @throws {DfError} usage */
function roleOf([how, name, ...rest]: readonly string[]): ServiceRole {
  const role = SERVICE_ROLES.find((role) => role.name === name);
  if (how === "systemd" && role !== undefined && rest.length === 0) return role;
  throw new DfError("usage", `install ${[how, name, ...rest].join(" ").trim() || "nothing"}`, {
    hint: "write df install systemd, then config, supernode, peer or relay; or df install runtime",
  });
}

/** @throws {DfError} usage, file-unreadable */
function filesOf(
  role: ServiceRole,
  flags: ParsedFlags,
  { settings, installation }: { settings: string; installation: Installation },
): InstalledFile[] {
  if (!Bun.isStandaloneExecutable) {
    throw new DfError("usage", "install this executable: it runs from its sources", {
      hint: "npm run build makes dist/df, which installs itself",
    });
  }
  const text = (name: string): string | undefined => flags.values.get(name)?.at(-1);
  const binary = `${text("binary-dir") ?? "/usr/local/bin"}/dragonfly`;
  const user = text("user") ?? "dragonfly";
  const join = text("join");
  // Who sets something else later does not leave the fleet by that.
  const joinFile = join !== undefined || installation.wrote(JOIN_FILE) ? JOIN_FILE : null;
  return [
    { path: binary, mode: 0o755, content: readFileSync(process.execPath) },
    {
      path: "/etc/sysusers.d/dragonfly.conf",
      mode: 0o644,
      content: `u ${user} - "Dragonfly" /var/lib/dragonfly\n`,
    },
    ...(join === undefined ? [] : [{ path: JOIN_FILE, mode: 0o600, content: joinText(join) }]),
    {
      path: `/etc/dragonfly/${role.name}.yaml`,
      mode: 0o644,
      content: settings,
      keepsExisting: !flags.values.has("set"),
    },
    {
      path: `/etc/systemd/system/dragonfly-${role.name}.service`,
      mode: 0o644,
      content: systemdUnit({ role, binary, user, joinFile }),
    },
    ...(role.dropIn === undefined ? [] : [dropInFile(role.dropIn)]),
  ];
}

function dropInFile({ role, name, lines }: NonNullable<ServiceRole["dropIn"]>): InstalledFile {
  return {
    path: `/etc/systemd/system/dragonfly-${role}.service.d/${name}`,
    mode: 0o644,
    content: `${lines.join("\n")}\n`,
  };
}

/** @throws {DfError} file-unreadable; usage: a service with a damaged line would never start */
function joinText(join: string): string {
  const text = readSecret("--join", join).reveal().trim();
  parseJoinString(text);
  return `${text}\n`;
}

function describe({ path, mode, content, keepsExisting }: InstalledFile): string {
  const note = keepsExisting === true ? ", unless it exists" : "";
  const head = `── ${path} (${mode.toString(8)}${note})`;
  if (typeof content !== "string") return `${head}\nthis executable, ${content.length} bytes\n`;
  return `${head}\n${mode === 0o600 ? "(secret)\n" : content}`;
}
