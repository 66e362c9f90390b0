// What would be written for each engine, over settings as they are found on hosts.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import type {
  EngineName,
  EnginePlan,
  RuntimeTarget,
} from "../../../../src/roles/install/runtime/engine-plan.ts";
import { ENGINES, installedEngines } from "../../../../src/roles/install/runtime/engines.ts";
import { SystemFiles } from "../../../../src/roles/install/runtime/system-files.ts";
import { systemFixture, type SystemFixture } from "./system-fixture.ts";

const CONFIG = "/etc/containerd/config.toml";
const DEFAULT_HOSTS = "/etc/containerd/certs.d/_default/hosts.toml";
const DAEMON = "/etc/docker/daemon.json";
const REGISTRIES = "/etc/containers/registries.conf.d/50-dragonfly.conf";
const MIRROR = `[[registry.mirror]]
location = "127.0.0.1:65001/registry.example_5000"
insecure = true
`;

let system: SystemFixture;
beforeEach(() => {
  system = systemFixture();
});
afterEach(() => system.remove());

function plan(engine: EngineName, target: Partial<RuntimeTarget> = {}): EnginePlan {
  const whole = { address: "127.0.0.1:65001", registries: [], isProxy: false, ca: null, ...target };
  return ENGINES.find(({ name }) => name === engine)!.plan(new SystemFiles(system.root), whole);
}

function contentOf({ files }: EnginePlan, path: string): string | undefined {
  return files.find((file) => file.path === path)?.content as string | undefined;
}

/** Message and what is told to be done by hand. */
function refusalOf(work: () => EnginePlan): { message: string; hint: string } {
  try {
    work();
  } catch (error) {
    const { message, hint } = error as { message: string; hint: string };
    return { message, hint };
  }
  throw new Error("nothing was refused");
}

test("engines are known by their programs", () => {
  system.place("/usr/bin/podman", "");
  system.place("/usr/sbin/dockerd", "");

  const found = installedEngines(new SystemFiles(system.root));

  expect(found.map(({ name }) => name)).toEqual(["docker", "podman"]);
});

test("docker without settings gets the mirror alone, and is told to read again", () => {
  const { files, reload } = plan("docker");

  expect(files).toEqual([
    {
      path: DAEMON,
      mode: 0o644,
      content: '{\n  "registry-mirrors": [\n    "http://127.0.0.1:65001"\n  ]\n}\n',
    },
  ]);
  expect(reload).toEqual([["systemctl", "reload", "docker"]]);
});

test("docker's other mirrors come after ours, and nothing else changes", () => {
  system.place(DAEMON, '{"debug":true,\n "registry-mirrors": ["https://other.example"] }');

  const text = contentOf(plan("docker"), DAEMON);

  expect(text).toBe(
    '{"debug":true,\n "registry-mirrors": ["http://127.0.0.1:65001", "https://other.example"] }',
  );
});

test("docker that has the mirror already needs nothing", () => {
  system.place(DAEMON, '{"registry-mirrors":["http://127.0.0.1:65001"]}');

  expect(plan("docker")).toMatchObject({ files: [], reload: [] });
});

test("docker with containerd's image store gets the file for every registry too", () => {
  system.place(DAEMON, '{"features":{"containerd-snapshotter":true}}');

  const made = plan("docker");

  expect(contentOf(made, "/etc/docker/certs.d/_default/hosts.toml")).toContain(
    '[host."http://127.0.0.1:65001"]',
  );
  expect(contentOf(made, DAEMON)).toContain("registry-mirrors");
  expect(made.notes).toEqual([]);
});

test("docker's settings that are no JSON are left alone, and what belongs there is told", () => {
  system.place(DAEMON, '{"debug": true,}');

  const { message, hint } = refusalOf(() => plan("docker"));

  expect(message).toBe(`edit ${DAEMON}: not a JSON object that is understood`);
  expect(hint).toContain('"http://127.0.0.1:65001"');
});

test("a mirror that dockerd is started with is not set twice: it would not start", () => {
  system.place("/etc/default/docker", 'DOCKER_OPTS="--registry-mirror=https://other.example"\n');

  expect(refusalOf(() => plan("docker")).message).toContain("/etc/default/docker gives dockerd");
});

test("a link is not followed: who made it manages what it leads to", () => {
  system.place("/etc/docker/managed.json", "{}");
  symlinkSync("managed.json", join(system.root, DAEMON));

  expect(refusalOf(() => plan("docker")).message).toBe(`edit ${DAEMON}: not a plain file`);
});

test("docker of a version that cannot be asked gets its proxy from its unit, and the CA by registry", () => {
  const target = { isProxy: true, registries: ["registry.example:5000"], ca: "a certificate\n" };
  const { files, reload, notes } = plan("docker", target);

  expect(files.map(({ path }) => path)).toEqual([
    "/etc/systemd/system/docker.service.d/50-dragonfly.conf",
    "/etc/docker/certs.d/registry.example:5000/dragonfly.crt",
  ]);
  expect(files[0]!.content).toContain("Environment=HTTPS_PROXY=http://127.0.0.1:65001\n");
  expect(files[0]!.content).toContain("Environment=NO_PROXY=localhost,127.0.0.0/8,::1\n");
  expect(reload.at(-1)).toEqual(["systemctl", "restart", "docker"]);
  expect(notes.join()).toContain("df install systemd relay");
});

test("docker that has another proxy keeps it: df should use that one", () => {
  const path = "/etc/systemd/system/docker.service.d/proxy.conf";
  system.place(path, "[Service]\nEnvironment=HTTP_PROXY=http://proxy.lan:3128\n");

  const { message } = refusalOf(() => plan("docker", { isProxy: true }));

  expect(message).toContain(`edit ${path}: it names another proxy`);
});

const DEBIANS = `version = 2

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni" # Debian's
`;

test("containerd gets the folder of its hosts files by lines at the end, and the file for all registries", () => {
  system.place(CONFIG, DEBIANS);

  const made = plan("containerd");

  expect(contentOf(made, CONFIG)).toBe(
    `${DEBIANS}\n[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "/etc/containerd/certs.d"\n`,
  );
  expect(contentOf(made, DEFAULT_HOSTS)).toEndWith(
    '\n[host."http://127.0.0.1:65001"]\n  capabilities = ["pull", "resolve"]\n',
  );
  expect(made.reload).toEqual([["systemctl", "restart", "containerd"]]);
});

test.each([
  ["1.x, first version", "[plugins.cri]\n", "[plugins.cri.registry]"],
  ["2.x", "version = 3\n", '[plugins."io.containerd.cri.v1.images".registry]'],
])("containerd's settings of %s have their own table", (_which, text, header) => {
  system.place(CONFIG, text);

  expect(contentOf(plan("containerd"), CONFIG)).toBe(
    `${text}\n${header}\n  config_path = "/etc/containerd/certs.d"\n`,
  );
});

test("containerd whose settings name a folder gets our file there, and no other change", () => {
  system.place(
    CONFIG,
    'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/srv/hosts:/etc/docker/certs.d"\n',
  );

  const { files, reload } = plan("containerd");

  expect(files.map(({ path }) => path)).toEqual(["/srv/hosts/_default/hosts.toml"]);
  expect(reload).toEqual([]);
});

test("containerd as Docker brings it, without CRI, has its settings left alone", () => {
  system.place(CONFIG, 'disabled_plugins = ["cri"]\n');

  const { files, notes } = plan("containerd");

  expect(files.map(({ path }) => path)).toEqual([DEFAULT_HOSTS]);
  expect(notes.join()).toContain("disables the CRI plugin");
});

test("containerd's old mirrors exclude the folder: it is told what to move", () => {
  system.place(
    CONFIG,
    'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]\nendpoint = ["https://a.example"]\n',
  );

  const { message, hint } = refusalOf(() => plan("containerd"));

  expect(message).toContain("registry.mirrors");
  expect(hint).toContain('config_path = "/etc/containerd/certs.d"');
});

test("hosts that are asked for every registry already come after ours", () => {
  const own = '# ours\n[host."https://other.example"]\n  capabilities = ["pull"]\n';
  system.place(DEFAULT_HOSTS, own);

  expect(contentOf(plan("containerd"), DEFAULT_HOSTS)).toBe(
    '# ours\n[host."http://127.0.0.1:65001"]\n  capabilities = ["pull", "resolve"]\n\n[host."https://other.example"]\n  capabilities = ["pull"]\n',
  );
});

test("registries with a file of their own are told: they do not read the one for all", () => {
  system.place("/etc/containerd/certs.d/docker.io/hosts.toml", 'server = "https://a.example"\n');

  expect(plan("containerd").notes.join("\n")).toContain("files of their own");
});

test("podman and CRI-O get the same file, each registry with a mirror that names it", () => {
  const target = { registries: ["docker.io", "registry.example:5000"] };

  const text = contentOf(plan("podman", target), REGISTRIES);

  expect(text).toContain('location = "127.0.0.1:65001/docker.io"\n');
  expect(text).toEndWith(MIRROR);
  expect(contentOf(plan("crio", target), REGISTRIES)).toEqual(text);
  expect(plan("crio", target).reload).toEqual([["systemctl", "reload", "crio"]]);
});

test("registries that were named before stay named", () => {
  system.place(REGISTRIES, contentOf(plan("podman", { registries: ["ghcr.io"] }), REGISTRIES)!);

  const text = contentOf(plan("podman", { registries: ["quay.io"] }), REGISTRIES);

  expect(text).toContain('prefix = "ghcr.io"');
  expect(text).toContain('prefix = "quay.io"');
  expect(text).not.toContain("docker.io");
});

test("what the operator says about a registry goes on to count: our mirror joins it, before others", () => {
  const path = "/etc/containers/registries.conf";
  system.place(
    path,
    `# one
[[registry]]
location = "other.example"

[[registry]]
prefix = "registry.example:5000" # two
location = "registry.example:5000"
insecure = true

[[registry.mirror]]
location = "mirror.example"
`,
  );

  const { files } = plan("podman", { registries: ["registry.example:5000"] });

  expect(files.map((file) => file.path)).toEqual([path]);
  expect(files[0]!.content).toBe(
    `${system.read(path).split("[[registry.mirror]]")[0]}${MIRROR}\n[[registry.mirror]]\nlocation = "mirror.example"\n`,
  );
});

test("podman's settings of the first version are left alone", () => {
  system.place("/etc/containers/registries.conf", "[registries.search]\nregistries = []\n");

  expect(refusalOf(() => plan("podman")).message).toContain("first version");
});
