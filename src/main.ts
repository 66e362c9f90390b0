#!/usr/bin/env bun
// The command tree: picks a verb, loads only its role, checks its flags strictly, and turns whatever
// it throws into `error:`/`hint:` lines and an exit code.
//
//   dfget URL            is `df get URL`
//   dfly, dragonfly      are the whole tool
//   df with no verb of ours runs the next `df` on PATH (coreutils); `df help` and `df --version` are ours

import { basename } from "node:path";
import type { ArgsDef, CommandDef } from "citty";
import packageJson from "../package.json" with { type: "json" };
import { DfError } from "./errors.ts";
import { exitCodeOf, formatFailure } from "./roles/command-line/failure.ts";
import {
  type Flag,
  flagsOfArgs,
  nearestName,
  parseFlags,
  type ParsedFlags,
} from "./roles/command-line/flags.ts";
import { type CommandHelp, renderHelp } from "./roles/command-line/help.ts";
import { becomeNextDf, isForNextDf } from "./roles/command-line/next-df.ts";

/** What a role's command.ts exports. */
interface CommandModule {
  default: CommandDef;
  /** The flag table, where it says more than citty's `args` can; then `run` gets it parsed as `data`. */
  FLAGS?: readonly Flag[];
}

interface Verb {
  summary: string;
  synopsis: string;
  /** Whether anything but flags may follow. */
  takesArguments: boolean;
  /** Whether its flags may also be set in a file. */
  readsSettings?: boolean;
  examples: string[];
  load: () => Promise<CommandModule>;
}

const VERBS: Record<string, Verb> = {
  get: {
    summary: "download a file, through the swarm where there is one",
    synopsis: "[flags] URL...",
    takesArguments: true,
    readsSettings: true,
    examples: [
      "df get https://example.org/image.iso",
      "df get https://example.org/image.iso -o /tmp/image.iso --checksum sha256:9f86d08…",
      "df get -o - https://example.org/root.tar | tar x",
      "df get --supernode 10.0.0.5:8002 --limit-rate 20M http://files.lan/model.bin",
    ],
    load: () => import("./roles/get/command.ts"),
  },
  peer: {
    summary: "run the host's daemon: bring, keep and share pieces",
    synopsis: "[flags]",
    takesArguments: false,
    readsSettings: true,
    examples: [
      "df peer --supernode 10.0.0.5:8002 --listen 10.0.0.7:65002 --open",
      "df peer --supernode 10.0.0.5:8002 --quota 200G --upload-rate 50M",
      "df peer --join @join.txt --proxy-rule 'files.lan/*.iso=swarm'",
    ],
    load: () => import("./roles/peer/command.ts"),
  },
  relay: {
    summary: "own the port that container engines know, with and without the peer",
    synopsis: "[flags]",
    takesArguments: false,
    readsSettings: true,
    examples: ["df relay", "df relay --socket /run/dragonfly/proxy.sock"],
    load: () => import("./roles/relay/command.ts"),
  },
  ca: {
    summary: "show the CA by which this host's proxy opens TLS, and how to trust it",
    synopsis: "show|path|export [FILE] [flags]",
    takesArguments: true,
    examples: [
      "df ca show --for registry.example,'*.pythonhosted.org'",
      "df ca export /usr/local/share/ca-certificates/df.crt",
      "curl --cacert $(df ca path) --proxy http://127.0.0.1:65001 https://registry.example/v2/",
    ],
    load: () => import("./roles/ca/command.ts"),
  },
  supernode: {
    summary: "run the swarm's head: read each source once, seed and schedule",
    synopsis: "[flags]",
    takesArguments: false,
    readsSettings: true,
    examples: [
      "df supernode --data-dir /var/lib/dragonfly/supernode",
      "df supernode --listen 10.0.0.5:8002 --open --source-rate 200M --quota 500G",
    ],
    load: () => import("./roles/supernode/command.ts"),
  },
  config: {
    summary: "run the fleet's registry: who belongs to it, who serves whom, what is set",
    synopsis: "[backup FILE | restore FILE | settings …] [flags]",
    takesArguments: true,
    readsSettings: true,
    examples: [
      "df config --listen 10.0.0.2:8000",
      "df config --database @/etc/dragonfly/database-url --keys /etc/dragonfly/keys.json",
      "df config backup /root/fleet.backup",
      "df config settings --help",
    ],
    load: () => import("./roles/config/command.ts"),
  },
  "config settings": {
    summary: "read and change the settings of a running fleet",
    synopsis: "get|set|unset|history|diff|rollback [flags]",
    takesArguments: true,
    examples: [
      "df config settings set downloadRate=50M uploadRate=20M",
      "df config settings set quota=200G --label role=peer --comment 'small disks'",
      "df config settings get --resolved --cluster hangzhou --label rack=r1",
      "df config settings history",
      "df config settings rollback 12",
    ],
    load: () => import("./roles/settings/command.ts"),
  },
  preheat: {
    summary: "bring contents to supernodes or hosts before anyone asks",
    synopsis: "URL... | image NAME | list | show ID | cancel ID [flags]",
    takesArguments: true,
    examples: [
      "df preheat http://files.lan/model.bin",
      "df preheat -i urls.txt --scope 25% --wait",
      "df preheat image ghcr.io/team/app:1.2 --platform linux/amd64,linux/arm64 --user @FILE",
      "df preheat http://files.lan/app.tar --scope idc=eu --refresh 6h --keep 2d",
      "df preheat cancel 019c0b1f2a3d4e5f6071",
    ],
    load: () => import("./roles/preheat/command.ts"),
  },
  token: {
    summary: "make, list and revoke the tokens of a fleet",
    synopsis: "create|list|revoke [flags] [ID]",
    takesArguments: true,
    examples: [
      "df token create --cluster hangzhou --uses 1 --expires 1h",
      "df token create --role viewer --comment grafana",
      "df token revoke 0123456789abcdef --credentials",
    ],
    load: () => import("./roles/token/command.ts"),
  },
  status: {
    summary: "show what this host, a supernode or the fleet is doing",
    synopsis: "[flags]",
    takesArguments: false,
    examples: [
      "df status",
      "df status --supernode 10.0.0.5:8002",
      "df status --fleet",
      "df status --why http://files.lan/image.iso",
      "df status --json",
    ],
    load: () => import("./roles/status/command.ts"),
  },
  up: {
    summary: "run a whole fleet on this host: config service, supernode and peer",
    synopsis: "[flags]",
    takesArguments: false,
    examples: ["df up", "df up --data-dir /tmp/fleet"],
    load: () => import("./roles/up/command.ts"),
  },
  install: {
    summary: "run a role as a hardened systemd service",
    synopsis: "systemd config|supernode|peer|relay [flags]",
    takesArguments: true,
    examples: [
      "df install runtime --help",
      "df install systemd peer --join @join.txt --set listen=0.0.0.0:65002",
      "df install systemd supernode --dry-run",
      "df install systemd peer --undo",
    ],
    load: () => import("./roles/install/command.ts"),
  },
  "install runtime": {
    summary: "lead the container engines of this host to the swarm",
    synopsis: "[--docker] [--containerd] [--podman] [--crio] [flags]",
    takesArguments: true,
    examples: [
      "df install runtime --dry-run",
      "df install runtime --podman --registry docker.io,registry.example:5000",
      "df install runtime --docker --proxy --registry ghcr.io --ca ca.pem",
      "df install runtime --undo",
    ],
    load: () => import("./roles/install/runtime/command.ts"),
  },
  completion: {
    summary: "print a completion script",
    synopsis: "bash|zsh|fish",
    takesArguments: true,
    examples: ['eval "$(df completion bash)"', "df completion fish | source"],
    load: loadCompletion,
  },
};

const CONFIG: Flag = { name: "config", value: "FILE", help: "settings (YAML), one key a flag" };
const HELP: Flag = { name: "help", aliases: ["h"], help: "show this text" };
const VERSION: Flag = { name: "version", aliases: ["V"], help: "show the version" };

async function main(args: string[]): Promise<void> {
  const [name, ...rest] = args;
  if (name === "--version" || name === "-V" || name === "version") {
    console.log(`df ${packageJson.version}`);
    return;
  }
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    if (rest[0] !== undefined && Object.hasOwn(VERBS, rest[0])) return main([...rest, "--help"]);
    console.log(renderHelp(overview()));
    if (name === undefined) process.exitCode = 2;
    return;
  }
  const [longName, others] = [`${name} ${rest[0] ?? ""}`, rest.slice(1)];
  if (Object.hasOwn(VERBS, longName)) return runVerb(longName, VERBS[longName]!, others);
  const verb = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined;
  if (verb === undefined) throw unknownVerb(name);
  await runVerb(name, verb, rest);
}

async function runVerb(name: string, verb: Verb, args: string[]): Promise<void> {
  const module = await verb.load();
  const flags = await flagsOf(module, verb);
  const parsed = parseFlags(args, flags);
  if (parsed.values.has("help")) {
    console.log(renderHelp({ ...verb, command: `df ${name}`, flags }));
    return;
  }
  if (parsed.values.has("version")) return main(["--version"]);
  if (parsed.positionals.length > 0 && !verb.takesArguments) {
    throw new DfError("usage", `df ${name} takes no argument ${parsed.positionals[0]!}`, {
      hint: `df ${name} --help lists its flags`,
    });
  }
  const data = verb.readsSettings ? await settled(name, parsed, flags) : parsed;
  const { runCommand } = await import("citty");
  await runCommand(module.default, { rawArgs: args, data });
}

async function settled(name: string, parsed: ParsedFlags, flags: Flag[]): Promise<ParsedFlags> {
  const { settingsPaths, withSettings } = await import("./roles/command-line/settings-file.ts");
  const { env } = process;
  const readAgain = (): ParsedFlags =>
    withSettings(parsed, flags, { env, paths: settingsPaths(name, env) });
  return { ...readAgain(), readAgain };
}

async function flagsOf(module: CommandModule, { readsSettings }: Partial<Verb>): Promise<Flag[]> {
  const declared = module.FLAGS ?? flagsOfArgs(await resolveArgs(module.default));
  if (!readsSettings) return [...declared, HELP, VERSION];
  // `df get -c` goes on with an output, as wget does.
  const isTaken = declared.some(({ aliases }) => aliases?.includes("c"));
  return [...declared, isTaken ? CONFIG : { ...CONFIG, aliases: ["c"] }, HELP, VERSION];
}

/** Completion is the one command that knows all others. */
async function loadCompletion(): Promise<CommandModule> {
  const { renderCompletion } = await import("./roles/command-line/completion.ts");
  const run = async ({ data }: { data?: unknown }): Promise<void> => {
    // Shells complete the first word; what follows it in a longer name is the user's.
    const oneWord = Object.entries(VERBS).filter(([name]) => !name.includes(" "));
    const verbs = oneWord.map(async ([name, verb]) => ({
      name,
      summary: verb.summary,
      flags: await flagsOf(
        name === "completion" ? { default: {}, FLAGS: [] } : await verb.load(),
        verb,
      ),
    }));
    const [shell] = (data as ParsedFlags).positionals;
    console.log(renderCompletion(shell, await Promise.all(verbs)));
  };
  return { default: { run }, FLAGS: [] };
}

async function resolveArgs(command: CommandDef): Promise<ArgsDef> {
  const args = await (typeof command.args === "function" ? command.args() : command.args);
  return args ?? {};
}

function unknownVerb(name: string): DfError {
  const near = nearestName(name, Object.keys(VERBS));
  const hint = near === undefined ? "df help lists the commands" : `did you mean df ${near}?`;
  return new DfError("usage", `unknown command ${name}`, { hint });
}

function overview(): CommandHelp {
  return {
    command: "df",
    summary: packageJson.description,
    synopsis: "COMMAND [flags]",
    commands: Object.entries(VERBS).map(([name, { summary }]) => [name, summary] as const),
    flags: [HELP, VERSION],
    examples: [
      "df get https://example.org/image.iso",
      "df help get",
      "df -h /data    (no command of ours: runs the next df on PATH, disk usage)",
    ],
  };
}

async function start(): Promise<void> {
  const args = process.argv.slice(2);
  const invokedAs = process.argv0;
  if (basename(invokedAs) === "dfget") return main(["get", ...args]);
  if (
    Bun.isStandaloneExecutable &&
    isForNextDf(invokedAs, args, [...Object.keys(VERBS), "help", "version"])
  ) {
    becomeNextDf(args);
  }
  return main(args);
}

try {
  await start();
  // Kept-alive connections would hold the process for seconds.
  process.exit();
} catch (error) {
  console.error(formatFailure(error, process.env["DEBUG"] === "1"));
  process.exit(exitCodeOf(error));
}
