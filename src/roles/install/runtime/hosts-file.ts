// The file that leads pulls from every registry to the swarm first: containerd's form, which Docker's
// containerd image store reads too.

import type { InstalledFile } from "../installation.ts";
import { refuseEdit } from "./engine-plan.ts";
import type { SystemFiles } from "./system-files.ts";
import { parseToml, valueAt, withBlock } from "./toml-edit.ts";

/**
 * @param folder where registries have folders
 * @returns null when it says so already
 * @throws {DfError} conflict
 */
export function hostsFile(
  files: SystemFiles,
  folder: string,
  address: string,
): InstalledFile | null {
  const path = `${folder}/_default/hosts.toml`;
  const url = `http://${address}`;
  const block = `[host."${url}"]\n  capabilities = ["pull", "resolve"]`;
  const text = files.read(path);
  const start =
    text ?? "# For every registry without a folder of its own: the swarm, then the registry.\n";
  const before = parseToml(start);
  if (before === null) throw refuseEdit(path, "not TOML", block);
  const hosts = (valueAt(before, ["host"]) ?? {}) as Record<string, unknown>;
  if (url in hosts) return null;
  const wanted = { ...before, host: { ...hosts, [url]: { capabilities: ["pull", "resolve"] } } };
  // Hosts are asked in their order in the file.
  const content = withBlock(start, block, ([first]) => first === "host", wanted);
  if (content === null) throw refuseEdit(path, "its tables are not as expected", block);
  return { path, mode: files.modeOf(path), content };
}
