// `df install runtime` over a folder that stands for "/": written, shown, refused, taken back.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { appendFileSync, chmodSync, statSync } from "node:fs";
import { join } from "node:path";
import { systemFixture, type SystemFixture } from "./system-fixture.ts";

const MAIN = join(import.meta.dir, "../../../../src/main.ts");
const CONFIG = "/etc/containerd/config.toml";
const OWN = "/etc/containers/registries.conf.d/50-dragonfly.conf";

let system: SystemFixture;
beforeEach(() => {
  system = systemFixture();
});
afterEach(() => system.remove());

function install(...flags: string[]): { exitCode: number; stdout: string; stderr: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync([
    ...[process.execPath, MAIN, "install", "runtime", "--root", system.root, ...flags],
  ]);
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

/** Every file's path and content. */
function snapshot(): Record<string, string> {
  const glob = new Bun.Glob("**/*");
  const files = [...glob.scanSync({ cwd: system.root, dot: true })];
  return Object.fromEntries(files.toSorted().map((path) => [path, system.read(path)]));
}

function hostWithEngines(): void {
  for (const program of ["dockerd", "containerd", "podman", "crio"])
    system.place(`/usr/bin/${program}`, "");
  system.place(CONFIG, "# mine\nversion = 2\n");
  system.place("/etc/docker/daemon.json", '{"debug":true}');
}

test("all engines that are there are set up, and the undo leaves every byte as it was", () => {
  hostWithEngines();
  chmodSync(join(system.root, CONFIG), 0o600);
  const before = snapshot();

  const installed = install();
  const again = install();
  const between = snapshot();
  const undone = install("--undo");

  expect(installed).toMatchObject({ exitCode: 0, stderr: "" });
  expect(installed.stdout).toContain("then run: systemctl restart containerd");
  expect(again.stdout).not.toContain("written");
  expect(again.stdout).not.toContain("restart containerd");
  expect(between[CONFIG.slice(1)]).toContain("config_path");
  expect(undone).toMatchObject({ exitCode: 0, stderr: "" });
  expect(snapshot()).toEqual(before);
  expect(statSync(join(system.root, CONFIG)).mode & 0o777).toBe(0o600);
});

test("a dry run shows the change and writes nothing", () => {
  hostWithEngines();
  const before = snapshot();

  const { stdout } = install("--dry-run", "--containerd");

  expect(stdout).toContain(
    `--- ${CONFIG}\n+++ ${CONFIG}\n@@ -1,2 +1,5 @@\n # mine\n version = 2\n+`,
  );
  expect(snapshot()).toEqual(before);
});

test("the undo leaves what was changed since, and says so", () => {
  hostWithEngines();
  install("--containerd", "--podman");
  appendFileSync(join(system.root, CONFIG), "# also mine\n");
  const changed = system.read(CONFIG);

  const { stdout } = install("--undo");

  expect(system.read(CONFIG)).toBe(changed);
  expect(stdout).toContain(`note: take what is ours out of ${CONFIG} by hand`);
  expect(Object.keys(snapshot())).not.toContain(OWN.slice(1));
});

test("a file that was changed since is not edited a second time: the undo would lose the change", () => {
  install("--podman");
  appendFileSync(join(system.root, OWN), "# mine\n");

  const { exitCode, stderr } = install("--podman", "--registry", "ghcr.io");

  expect(exitCode).not.toBe(0);
  expect(stderr).toContain("it was changed since df install runtime wrote it");
});

test("what podman and CRI-O share goes with the last of them", () => {
  install("--podman", "--crio");

  const first = install("--undo", "--podman");
  const between = snapshot();
  install("--undo", "--crio");

  expect(first.stdout).toContain("shared");
  expect(Object.keys(between)).toContain(OWN.slice(1));
  expect(snapshot()).toEqual({});
});

test("an engine that cannot be set up keeps no other one from it", () => {
  hostWithEngines();
  system.place("/etc/docker/daemon.json", "not JSON");

  const { exitCode, stdout, stderr } = install();

  expect(exitCode).not.toBe(0);
  expect(stderr).toContain("edit /etc/docker/daemon.json");
  expect(stderr).toContain("add it by hand");
  expect(stdout).toContain(`written   ${CONFIG}`);
});

test.each([
  [["--registry", "Team/App"], "not a registry"],
  [["--address", "10.0.0.7:65001"], "not a loopback address"],
  [["--proxy", "--registry", "ghcr.io"], "without its CA"],
  [["--proxy", "--containerd"], "set up containerd with --proxy"],
  [["--restart"], "restart engines of another system"],
  [["docker"], "install runtime docker"],
  [["--undo"], "nothing was installed"],
  [[], "none of those known here was found"],
])("df install runtime %j is refused", (flags, words) => {
  const { exitCode, stderr } = install(...flags);

  expect(exitCode).not.toBe(0);
  expect(stderr).toContain(words);
  expect(snapshot()).toEqual({});
});
