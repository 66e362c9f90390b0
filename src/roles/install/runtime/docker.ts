// Docker's settings. As a mirror the port serves docker.io alone: Docker asks mirrors for nothing else,
// and goes to docker.io itself when the mirror fails. As a proxy it serves every registry, but Docker has
// no way around a proxy: then the relay must own the port.

import { isDeepStrictEqual } from "node:util";
import type { InstalledFile } from "../installation.ts";
import { type EnginePlan, refuseEdit, type RuntimeTarget } from "./engine-plan.ts";
import { hostsFile } from "./hosts-file.ts";
import { parseObject, withFirstItem, withMember } from "./json-edit.ts";
import type { SystemFiles } from "./system-files.ts";

const SETTINGS = "/etc/docker/daemon.json";
const HOSTS_FOLDER = "/etc/docker/certs.d";
const SERVICE_LINES = "/etc/systemd/system/docker.service.d";
const PROXY_LINES = `${SERVICE_LINES}/50-dragonfly.conf`;

/** Go's proxy rules leave loopback out by themselves; the rest of its own network is the operator's to add. */
const NO_PROXY = "localhost,127.0.0.0/8,::1";

/** The first version that reads proxies from daemon.json; an older one does not start with them there. */
const PROXIES_SINCE = 23;

/** @throws {DfError} conflict */
export function dockerPlan(files: SystemFiles, target: RuntimeTarget): EnginePlan {
  return target.isProxy ? proxyPlan(files, target) : mirrorPlan(files, target.address);
}

function mirrorPlan(files: SystemFiles, address: string): EnginePlan {
  const key = "registry-mirrors";
  const url = `http://${address}`;
  const text = files.read(SETTINGS) ?? "";
  const mirrors = parseObject(text)?.[key];
  const hosts = usesContainerdStore(text) ? hostsFile(files, HOSTS_FOLDER, address) : null;
  const hostsFiles = hosts === null ? [] : [hosts];
  const notes = usesContainerdStore(text)
    ? []
    : [
        "docker asks mirrors for docker.io alone; --docker --proxy --registry HOST --ca FILE serves others",
      ];
  if (Array.isArray(mirrors) && mirrors.includes(url)) {
    return { files: hostsFiles, reload: [], notes };
  }
  const byHand = JSON.stringify({ [key]: [url] }, null, 2);
  requireNoFlag(files, `--${key.slice(0, -1)}`, byHand);
  const content =
    mirrors === undefined ? withMember(text, key, [url]) : withFirstItem(text, key, url);
  if (content === null) throw refuseEdit(SETTINGS, "not a JSON object that is understood", byHand);
  return {
    files: [{ path: SETTINGS, mode: files.modeOf(SETTINGS), content }, ...hostsFiles],
    reload: [["systemctl", "reload", "docker"]],
    notes,
    check: () => validate(files, content, byHand),
  };
}

/** Its images then lie in containerd's store, and every registry may have a file of hosts. */
function usesContainerdStore(text: string): boolean {
  const features = parseObject(text)?.["features"];
  return (features as Record<string, unknown> | undefined)?.["containerd-snapshotter"] === true;
}

function proxyPlan(files: SystemFiles, target: RuntimeTarget): EnginePlan {
  const { address, ca, registries } = target;
  const settings = majorVersion(files) >= PROXIES_SINCE;
  const file = settings ? proxiesInSettings(files, address) : proxiesInService(files, address);
  const cas = ca === null ? [] : registries.map((registry) => caFile(registry, ca));
  const changed = cas.filter(({ path, content }) => files.read(path) !== content);
  const missing = files.has("/etc/systemd/system/dragonfly-relay.service")
    ? []
    : ["docker knows no way around a proxy that is down: df install systemd relay keeps its port"];
  return {
    files: [...(file === null ? [] : [file]), ...changed],
    reload:
      file === null
        ? []
        : [
            ...(settings ? [] : [["systemctl", "daemon-reload"]]),
            ["systemctl", "restart", "docker"],
          ],
    notes: [
      ...missing,
      ...(ca === null ? ["the proxy opens no TLS: name registries with --registry and --ca"] : []),
    ],
    ...(file?.path === SETTINGS
      ? { check: () => validate(files, file.content as string, "") }
      : {}),
  };
}

function proxiesInSettings(files: SystemFiles, address: string): InstalledFile | null {
  const proxies = proxiesOf(address);
  const text = files.read(SETTINGS) ?? "";
  const present = parseObject(text)?.["proxies"];
  if (isDeepStrictEqual(present, proxies)) return null;
  const byHand = JSON.stringify({ proxies }, null, 2);
  if (present !== undefined) throw otherProxy(SETTINGS, byHand);
  const content = withMember(text, "proxies", proxies);
  if (content === null) throw refuseEdit(SETTINGS, "not a JSON object that is understood", byHand);
  return { path: SETTINGS, mode: files.modeOf(SETTINGS), content };
}

function proxiesInService(files: SystemFiles, address: string): InstalledFile | null {
  const variables = Object.entries(proxiesOf(address)).map(
    ([name, value]) => `Environment=${name.toUpperCase().replace("-", "_")}=${value}`,
  );
  const content = ["# Pulls go through the swarm.", "[Service]", ...variables, ""].join("\n");
  if (files.read(PROXY_LINES) === content) return null;
  for (const name of files.list(SERVICE_LINES)) {
    const path = `${SERVICE_LINES}/${name}`;
    const isOther =
      path !== PROXY_LINES && /^Environment=.*https?_proxy=/im.test(files.read(path) ?? "");
    if (isOther) throw otherProxy(path, content);
  }
  return { path: PROXY_LINES, mode: 0o644, content };
}

function proxiesOf(address: string): Record<string, string> {
  const url = `http://${address}`;
  return { "http-proxy": url, "https-proxy": url, "no-proxy": NO_PROXY };
}

function otherProxy(path: string, byHand: string): Error {
  const why = "it names another proxy, which df peer should use instead (--source-proxy)";
  return refuseEdit(path, why, byHand);
}

/** Beside what the operator keeps there: every *.crt of the folder counts, and the system's CAs too. */
function caFile(registry: string, content: string): InstalledFile {
  return { path: `/etc/docker/certs.d/${registry}/dragonfly.crt`, mode: 0o644, content };
}

/** The same directive as flag and in the file keeps dockerd from starting. */
function requireNoFlag(files: SystemFiles, flag: string, byHand: string): void {
  const places = [
    "/etc/default/docker",
    "/etc/systemd/system/docker.service",
    ...files.list(SERVICE_LINES).map((name) => `${SERVICE_LINES}/${name}`),
  ];
  const place = places.find((path) => files.has(path) && files.read(path)?.includes(flag));
  if (place === undefined) return;
  throw refuseEdit(SETTINGS, `${place} gives dockerd ${flag}, and it takes one of both`, byHand);
}

/** 0 where it cannot be asked. */
function majorVersion(files: SystemFiles): number {
  const words = files.output("dockerd", ["--version"]) ?? "";
  return Number(/version (\d+)\./.exec(words)?.[1] ?? 0);
}

function validate(files: SystemFiles, content: string, byHand: string): void {
  // Versions before 23 cannot say.
  if (files.output("dockerd", ["--help"])?.includes("--validate") !== true) return;
  const trial = files.trial("dockerd", (path) => ["--validate", "--config-file", path], {
    content,
  });
  if (trial === null || trial.fault === null) return;
  throw refuseEdit(SETTINGS, `dockerd refuses it: ${trial.fault}`, byHand);
}
