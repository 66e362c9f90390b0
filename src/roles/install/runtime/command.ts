// `df install runtime`: leads the container engines of this host to the swarm by the least edits of their
// settings, keeps what was there, and says what makes them read it. Restarts nothing unless told to.

import { readFileSync } from "node:fs";
import { type CommandDef, defineCommand } from "citty";
import { DfError, isDfError } from "../../../errors.ts";
import { tryConnect } from "../../../net/fleet/try-connect.ts";
import { PROXY_PORT } from "../../../limits.ts";
import { looksLikeHost, REGISTRY_HOST } from "../../../net/registry/oci-path.ts";
import {
  faultCollector,
  type Flag,
  joinFaults,
  type ParsedFlags,
} from "../../command-line/flags.ts";
import { listItems } from "../../command-line/list-items.ts";
import { parseLoopbackAddress } from "../../command-line/listen-address.ts";
import { reportFiles } from "../file-report.ts";
import { Installation } from "../installation.ts";
import { runCommand } from "../run-command.ts";
import type { EngineName, EnginePlan, RuntimeTarget } from "./engine-plan.ts";
import { type Engine, ENGINES, installedEngines } from "./engines.ts";
import { SystemFiles } from "./system-files.ts";
import { textDiff } from "./text-diff.ts";

export const FLAGS: readonly Flag[] = [
  { name: "docker", help: "Docker (without any of these: all engines that are there)" },
  { name: "containerd", help: "containerd" },
  { name: "podman", help: "podman, buildah and skopeo" },
  { name: "crio", help: "CRI-O" },
  {
    name: "registry",
    value: "HOST[:PORT],…",
    help: "registries of podman, CRI-O and --proxy (default docker.io); repeatable",
  },
  { name: "proxy", help: "Docker: as a proxy for the registries named, not a mirror of docker.io" },
  { name: "ca", value: "FILE", help: "with --proxy: certificate by which the proxy opens TLS" },
  {
    name: "address",
    value: "HOST:PORT",
    help: `where df relay or df peer listens (default 127.0.0.1:${PROXY_PORT})`,
  },
  { name: "root", value: "DIR", help: "settings of the system below DIR; nothing is run" },
  { name: "restart", help: "have the engines read it at once" },
  { name: "dry-run", help: "show what would change" },
  { name: "undo", help: "put back what was there, as far as it is still ours" },
];

const command: CommandDef = defineCommand({
  meta: { name: "install runtime", description: "Lead container engines to the swarm." },
  run: ({ data }) => installRuntime(data as ParsedFlags),
});
export default command;

async function installRuntime(flags: ParsedFlags): Promise<void> {
  const files = new SystemFiles(flags.values.get("root")?.at(-1) ?? "");
  const restarts = flags.values.has("restart");
  if (flags.positionals.length > 0) {
    throw new DfError("usage", `install runtime ${flags.positionals.join(" ")}`, {
      hint: "engines are named by flags: --docker, --containerd, --podman, --crio",
    });
  }
  if (restarts && !files.isThisSystem) {
    throw new DfError("usage", "restart engines of another system", {
      hint: "leave out --restart, or --root",
    });
  }
  if (flags.values.has("undo")) return undo(flags, files, restarts);
  const target = readTarget(flags);
  const faults: DfError[] = [];
  for (const engine of chosenEngines(flags, files)) {
    try {
      await installEngine(engine, { files, target, restarts, isDry: flags.values.has("dry-run") });
    } catch (error) {
      // What cannot be done for one engine is no reason to leave out the others.
      if (!isDfError(error)) throw error;
      faults.push(error);
    }
  }
  if (files.isThisSystem && faults.length === 0) await noteSilence(target);
  if (faults.length > 0) throw faults.length === 1 ? faults[0]! : joinFaults(faults);
}

/** Engines would find it out at their next pull, and tell nobody. */
async function noteSilence({ address, isProxy }: RuntimeTarget): Promise<void> {
  const { hostname, port } = new URL(`http://${address}`);
  const place = { hostname, port: Number(port || 80) };
  if ((await tryConnect(place, new AbortController().signal)) !== null) return;
  const meanwhile = isProxy ? "Docker's pulls fail" : "engines ask registries themselves";
  console.log(`note: nothing listens on ${address}: until df relay or df peer does, ${meanwhile}`);
}

interface EngineInstallation {
  files: SystemFiles;
  target: RuntimeTarget;
  restarts: boolean;
  isDry: boolean;
}

/** @throws {DfError} conflict, file-unreadable, file-unwritable */
async function installEngine(
  engine: Engine,
  { files, target, restarts, isDry }: EngineInstallation,
): Promise<void> {
  if (target.isProxy && engine.name !== "docker") {
    throw new DfError("usage", `set up ${engine.name} with --proxy`, {
      hint: "its mirrors serve every registry: leave out --proxy; or set HTTPS_PROXY for it yourself",
    });
  }
  const plan = engine.plan(files, target);
  const installation = installationOf(engine.name, files);
  for (const { path } of plan.files) {
    if (!installation.wasChanged(path)) continue;
    throw new DfError(
      "conflict",
      `edit ${path}: it was changed since df install runtime wrote it`,
      {
        hint: `take our lines out by hand or run df install runtime --${engine.name} --undo, then try again`,
      },
    );
  }
  const changed = plan.files.filter(({ path, content }) => files.read(path) !== content);
  console.log(`${engine.name}:`);
  if (isDry) {
    for (const { path, content } of changed) {
      console.log(textDiff(path, files.read(path), content as string));
    }
  } else {
    if (changed.length > 0) plan.check?.();
    reportFiles(installation.write(plan.files));
  }
  if (changed.length === 0) {
    console.log(restarts ? "nothing to change, and nothing is restarted" : "nothing to change");
  }
  for (const note of plan.notes) console.log(`note: ${note}`);
  await reload(plan.reload, restarts && !isDry);
}

async function reload(commands: EnginePlan["reload"], isToldTo: boolean): Promise<void> {
  if (commands.length === 0) return;
  if (!isToldTo) {
    console.log(`then run: ${commands.map((words) => words.join(" ")).join(" && ")}`);
    return;
  }
  for (const words of commands) await runCommand(words);
}

/** What makes an engine forget; the plan that wrote the files is not known any more. */
const RELOADS: Record<EngineName, EnginePlan["reload"]> = {
  docker: [
    ["systemctl", "daemon-reload"],
    ["systemctl", "restart", "docker"],
  ],
  containerd: [["systemctl", "restart", "containerd"]],
  podman: [],
  crio: [["systemctl", "reload", "crio"]],
};

async function undo(flags: ParsedFlags, files: SystemFiles, restarts: boolean): Promise<void> {
  const named = namedEngines(flags);
  const engines = named.length > 0 ? named : ENGINES;
  const installed = engines.filter(({ name }) => installationOf(name, files).isInstalled);
  if (installed.length === 0) {
    throw new DfError("usage", "undo df install runtime: nothing was installed", {
      hint: "without engines named, all are undone that are recorded in /etc/dragonfly",
    });
  }
  for (const { name } of installed) {
    console.log(`${name}:`);
    const outcomes = installationOf(name, files).undo();
    reportFiles(outcomes);
    for (const { path, outcome } of outcomes) {
      if (outcome === "kept") console.log(`note: take what is ours out of ${path} by hand`);
    }
    await reload(RELOADS[name], restarts);
  }
}

function installationOf(engine: EngineName, files: SystemFiles): Installation {
  return new Installation(files.root, `/etc/dragonfly/.installed-runtime-${engine}.json`);
}

/** @throws {DfError} usage when none is there */
function chosenEngines(flags: ParsedFlags, files: SystemFiles): readonly Engine[] {
  const named = namedEngines(flags);
  if (named.length > 0) return named;
  const there = installedEngines(files);
  const chosen = flags.values.has("proxy") ? there.filter(({ name }) => name === "docker") : there;
  if (chosen.length > 0) return chosen;
  throw new DfError("usage", "set up container engines: none of those known here was found", {
    hint: "name one with --docker, --containerd, --podman or --crio",
  });
}

function namedEngines({ values }: ParsedFlags): readonly Engine[] {
  return ENGINES.filter(({ name }) => values.get(name)?.at(-1) === "true");
}

/** @throws {DfError} usage, file-unreadable */
function readTarget({ values }: ParsedFlags): RuntimeTarget {
  const faults: DfError[] = [];
  const registries = listItems(values.get("registry") ?? []);
  for (const registry of registries) {
    if (isRegistry(registry)) continue;
    const hint = "write a host as it stands in image names, e.g. registry.example:5000";
    faults.push(new DfError("usage", `read --registry ${registry}: not a registry`, { hint }));
  }
  const address = values.get("address")?.at(-1) ?? `127.0.0.1:${PROXY_PORT}`;
  const hint = "engines speak plain HTTP to it: it must be on this host, as 127.0.0.1:65001";
  faultCollector(faults)(() => parseLoopbackAddress("--address", address, hint));
  const isProxy = values.has("proxy");
  const caPath = values.get("ca")?.at(-1);
  if (isProxy && registries.length > 0 && caPath === undefined) {
    const hint = "write --ca FILE with what df ca shows: Docker must trust what opens their TLS";
    faults.push(new DfError("usage", "set up a proxy for registries without its CA", { hint }));
  }
  if (faults.length > 0) throw joinFaults(faults);
  return { address, registries, isProxy, ca: caPath === undefined ? null : readCa(caPath) };
}

/** As in image names: a host with a dot or a port, or "localhost". */
function isRegistry(text: string): boolean {
  return REGISTRY_HOST.test(text) && looksLikeHost(text) && text === text.toLowerCase();
}

/** @throws {DfError} file-unreadable, usage */
function readCa(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const hint = "name a file that you may read: df ca export FILE writes one";
    throw new DfError("file-unreadable", `read --ca ${path}`, { cause, hint });
  }
  if (text.includes("-----BEGIN CERTIFICATE-----") && !text.includes("PRIVATE KEY")) return text;
  throw new DfError("usage", `read --ca ${path}: not a certificate alone`, {
    hint: "the certificate of df ca, never its key",
  });
}
