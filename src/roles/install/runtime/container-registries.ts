// Registries as podman, buildah, skopeo and CRI-O know them (containers-registries.conf(5)): each named one
// gets a mirror whose path says which it is. A mirror that fails is followed by the registry itself.

import { prefixOfRegistry } from "../../../net/registry/oci-path.ts";
import { DOCKER_HUB } from "../../../net/registry/upstream-choice.ts";
import type { InstalledFile } from "../installation.ts";
import { type EnginePlan, refuseEdit, type RuntimeTarget } from "./engine-plan.ts";
import type { SystemFiles } from "./system-files.ts";
import { headersOf, parseToml, withBlock } from "./toml-edit.ts";

const SETTINGS = "/etc/containers/registries.conf";
const DROP_INS = "/etc/containers/registries.conf.d";
const OWN = `${DROP_INS}/50-dragonfly.conf`;
const DEFAULT_REGISTRIES = [DOCKER_HUB];

interface RegistryEntry {
  prefix?: string;
  location?: string;
  mirror?: { location?: string }[];
}

/** @param reload what makes a daemon read the files again */
export function containerRegistriesPlan(
  files: SystemFiles,
  { registries, address }: RuntimeTarget,
  reload: EnginePlan["reload"],
): EnginePlan {
  const namesIn = (path: string): string[] => entriesIn(files, path, address).map(nameOf);
  const own = namesIn(OWN);
  const named = new Set([...own, ...registries]);
  const all = named.size === 0 ? DEFAULT_REGISTRIES : [...named];
  const needed = new Map<string, InstalledFile>();
  const ours: string[] = [];
  for (const registry of all) {
    const path = placesOf(files).find((path) => namesIn(path).includes(registry));
    if (path === undefined) ours.push(registry);
    else {
      const text = (needed.get(path)?.content as string | undefined) ?? files.read(path)!;
      const content = withMirror(text, registry, `${address}/${prefixOfRegistry(registry)}`, path);
      if (content !== text) needed.set(path, { path, mode: files.modeOf(path), content });
    }
  }
  if (ours.length > 0) {
    needed.set(OWN, { path: OWN, mode: 0o644, content: ownFile(ours, address) });
  }
  return {
    files: [...needed.values()],
    // Another engine may have had the file written just now.
    reload,
    notes: [`through the swarm: ${all.join(", ")}; name others with --registry HOST`],
  };
}

function ownFile(registries: readonly string[], address: string): string {
  const entries = registries.map((registry) =>
    [
      "[[registry]]",
      `prefix = "${registry}"`,
      `location = "${registry}"`,
      mirrorBlock(`${address}/${prefixOfRegistry(registry)}`),
    ].join("\n"),
  );
  return `# Written by df install runtime: the swarm first, then the registry.\n${entries.join("\n\n")}\n`;
}

function mirrorBlock(location: string): string {
  return `[[registry.mirror]]\nlocation = "${location}"\ninsecure = true`;
}

/** Files of the operator that may say something about a registry; a later one replaces what an earlier says. */
function placesOf(files: SystemFiles): string[] {
  const dropIns = files.list(DROP_INS).filter((name) => name.endsWith(".conf"));
  const paths = [SETTINGS, ...dropIns.map((name) => `${DROP_INS}/${name}`)];
  return paths.filter((path) => path !== OWN).toReversed();
}

/** @throws {DfError} conflict */
function entriesIn(files: SystemFiles, path: string, address: string): RegistryEntry[] {
  const text = files.read(path);
  const settings = text === null ? {} : parseToml(text);
  if (settings === null || "registries" in settings) {
    const why = settings === null ? "not TOML" : "it has the first version's [registries.…] tables";
    throw refuseEdit(path, why, ownFile(DEFAULT_REGISTRIES, address));
  }
  return (settings["registry"] ?? []) as RegistryEntry[];
}

function nameOf({ prefix, location }: RegistryEntry): string {
  return prefix ?? location ?? "";
}

/** Puts our mirror before the others of an entry that the operator wrote: its other words go on to count. */
function withMirror(text: string, registry: string, location: string, path: string): string {
  const settings = parseToml(text)!;
  const entries = settings["registry"] as RegistryEntry[];
  const at = entries.findIndex((entry) => nameOf(entry) === registry);
  const entry = entries[at]!;
  if (entry.mirror?.some((mirror) => mirror.location === location) === true) return text;
  const mirror = [{ location, insecure: true }, ...(entry.mirror ?? [])];
  const wanted = { ...settings, registry: entries.with(at, { ...entry, mirror }) };
  const headers = headersOf(text.split("\n"));
  const own = headers.flatMap(({ path, isArray }, i) =>
    isArray && path.length === 1 && path[0] === "registry" ? [i] : [],
  )[at];
  const block = mirrorBlock(location);
  const content =
    own === undefined ? null : withBlock(text, block, (_path, index) => index > own, wanted);
  if (content === null)
    throw refuseEdit(path, `its entry of ${registry} is not as expected`, block);
  return content;
}
