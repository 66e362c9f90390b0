// The units that `df install systemd` writes: scored by systemd's own rules, and started by a real
// systemd with every restriction on. That systemd lives in namespaces and a file layer of its own.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DF } from "../../bench/harness/df-roles.ts";
import { Session } from "../../bench/harness/session.ts";
import { hasDf } from "../fixtures/spawn-df.ts";

const ROLES = ["config", "supernode", "peer", "relay"] as const;
const READY_URLS = {
  config: ["http://127.0.0.1:8000/readyz"],
  supernode: ["http://127.0.0.1:8002/readyz"],
  peer: ["--unix-socket", "/run/dragonfly/peer.sock", "http://peer/readyz"],
  // Without a peer it refuses; a refusal that curl takes for no passing trouble.
  relay: [
    ...["--retry-connrefused", "--request-target", "ftp://a/", "-o", "/dev/null", "-w", "ok\n"],
    "http://127.0.0.1:65001",
  ],
};
const GUEST = join(import.meta.dir, "../fixtures/systemd-guest.sh");
const canBoot =
  hasDf &&
  process.getuid?.() === 0 &&
  ["/lib/systemd/systemd", "/usr/bin/unshare", "/usr/bin/nsenter"].every((path) =>
    existsSync(path),
  );
if (!canBoot) console.warn("SKIPPED: systemd units need root, systemd, util-linux and dist/df");

let release: () => void = () => {};
let ended: Promise<void> = Promise.resolve();
let installed = "";
let systemdPid = 0;

beforeAll(async () => {
  if (!canBoot) return;
  const booted = Promise.withResolvers<void>();
  const { promise: released, resolve } = Promise.withResolvers<void>();
  release = resolve;
  ended = Session.run("systemd", async (session) => {
    installed = join(session.folder, "installed");
    for (const role of ROLES) {
      await output([DF, "install", "systemd", role, "--root", installed]);
    }
    systemdPid = await boot(session);
    booted.resolve();
    await released;
  });
  ended.catch(booted.reject);
  await booted.promise;
  await inGuest(["systemd-sysusers", "/etc/sysusers.d/dragonfly.conf"]);
  await inGuest(["systemctl", "daemon-reload"]);
}, 60_000);

afterAll(async () => {
  release();
  await ended;
});

/** Returns the pid of a systemd that takes orders. */
async function boot(session: Session): Promise<number> {
  const scratch = join(session.folder, "scratch");
  mkdirSync(scratch);
  const namespaces = ["--pid", "--fork", "--mount", "--cgroup", "--uts", "--ipc", "--net"];
  const child = Bun.spawn(
    ["unshare", ...namespaces, "--kill-child=KILL", GUEST, scratch, installed],
    { stdin: "ignore", stdout: "ignore", stderr: "ignore" },
  );
  session.defer(async () => {
    // systemd heeds no SIGTERM as process 1: it goes with the one that made its namespace.
    child.kill("SIGKILL");
    await child.exited;
  });
  for (;;) {
    if (child.exitCode !== null) throw new Error(`systemd ended with ${child.exitCode}`);
    const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8");
    const pid = Number(children.split(" ")[0]);
    const answer = pid === 0 ? "" : await enter(pid, ["systemctl", "is-system-running"]);
    if (["running", "degraded"].includes(answer.trim())) return pid;
    await Bun.sleep(50);
  }
}

/** What a command inside prints, whatever it ends with. */
function enter(pid: number, command: string[]): Promise<string> {
  return output(["nsenter", "-t", String(pid), "-m", "-p", "-C", "-n", "-r", "-w", ...command]);
}

function inGuest(command: string[]): Promise<string> {
  return enter(systemdPid, command);
}

async function output(command: string[]): Promise<string> {
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return stdout + stderr;
}

test.each(ROLES)("the unit of df %s is scored at most 2.0 and has no mistake", async (role) => {
  if (!canBoot) return;
  const unit = join(installed, `etc/systemd/system/dragonfly-${role}.service`);

  const score = await output(["systemd-analyze", "security", "--offline=true", unit]);

  expect(Number(/exposure level for \S+: ([\d.]+)/.exec(score)?.[1])).toBeLessThanOrEqual(2);
  expect(await inGuest(["systemd-analyze", "verify", `dragonfly-${role}.service`])).toBe("");
});

test.each(ROLES)("df %s starts, answers, reloads and stops under its unit", async (role) => {
  if (!canBoot) return;
  const unit = `dragonfly-${role}.service`;

  const started = await inGuest(["systemctl", "start", unit]);
  const ready = await inGuest(["curl", "-s", "--retry", "3", ...READY_URLS[role]]);
  await inGuest(["systemctl", "reload", unit]);
  const active = await inGuest(["systemctl", "is-active", unit]);
  await inGuest(["systemctl", "stop", unit]);

  const log = await inGuest(["journalctl", "--no-pager", "-o", "cat", "-u", unit]);
  expect({ started, ready, active, log }).toMatchObject({
    started: "",
    ready: "ok\n",
    active: "active\n",
  });
  expect(await inGuest(["systemctl", "show", "-P", "Result", unit])).toBe("success\n");
});

test("the relay hands over to the peer beside it, outlives it, and finds it again", async () => {
  if (!canBoot) return;
  const ask = (): Promise<string> => inGuest(["curl", "-s", "http://127.0.0.1:65001/livez"]);
  await inGuest(["systemctl", "start", "dragonfly-peer.service", "dragonfly-relay.service"]);

  const answers = [await ask()];
  await inGuest(["systemctl", "stop", "dragonfly-peer.service"]);
  answers.push(await ask());
  await inGuest(["systemctl", "start", "dragonfly-peer.service"]);
  answers.push(await ask());
  await inGuest(["systemctl", "restart", "dragonfly-relay.service"]);
  answers.push(
    await inGuest([
      "curl",
      "-s",
      "--retry",
      "3",
      "--retry-connrefused",
      "http://127.0.0.1:65001/livez",
    ]),
  );

  const away = expect.stringContaining("does not answer");
  expect(answers).toEqual(["ok\n", away, "ok\n", "ok\n"]);
});

test("a service finds no variable by which the runtime takes orders", async () => {
  if (!canBoot) return;
  await inGuest(["systemctl", "set-environment", "BUN_OPTIONS=--version", "NODE_OPTIONS=-p"]);

  await inGuest(["systemctl", "start", "dragonfly-supernode.service"]);

  const pid = await inGuest(["systemctl", "show", "-P", "MainPID", "dragonfly-supernode.service"]);
  const environment = await inGuest(["cat", `/proc/${pid.trim()}/environ`]);
  expect(environment).not.toContain("_OPTIONS");
  expect(await inGuest(["systemctl", "is-active", "dragonfly-supernode.service"])).toBe("active\n");
});
