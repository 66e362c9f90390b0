// `df install runtime` on a host of its own with real engines: what it writes is what containerd then reads,
// and what containerd would read otherwise is not written.

import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DF } from "../../bench/harness/df-roles.ts";
import { Session } from "../../bench/harness/session.ts";
import { hasContainerd } from "../fixtures/engines/containerd.ts";
import { EngineHost } from "../fixtures/engines/engine-host.ts";
import { hasDf } from "../fixtures/spawn-df.ts";

const CONFIG = "containerd/config.toml";
const FOLDER = 'config_path = "/etc/containerd/certs.d"';

async function output(
  host: EngineHost,
  command: string[],
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const { exitCode, stdout, stderr } = await host.run(command).finished;
  return { exitCode, stdout: new TextDecoder().decode(stdout), stderr };
}

test.if(hasDf && hasContainerd)(
  "containerd reads the folder from its whole default settings, and the undo gives them back",
  async () => {
    await Session.run("images", async (session) => {
      const host = await EngineHost.create(session, { name: "host" });
      const { stdout: before } = await output(host, ["containerd", "config", "default"]);
      await host.writeEtc(CONFIG, before);
      const install = [DF, "install", "runtime", "--containerd"];

      const installed = await output(host, install);
      const dump = await output(host, ["containerd", "config", "dump"]);
      const after = await readFile(join(host.etc, CONFIG), "utf8");
      const undone = await output(host, [...install, "--undo"]);

      expect(installed).toMatchObject({ exitCode: 0, stderr: "" });
      expect(installed.stdout).toContain("then run: systemctl restart containerd");
      expect(dump.stdout).toContain(FOLDER);
      const lines = (text: string): string[] => text.split("\n");
      const changed = lines(after).filter((line) => !lines(before).includes(line));
      expect(changed.map((line) => line.trim())).toEqual([FOLDER]);
      expect(lines(after)).toHaveLength(lines(before).length);
      expect(undone).toMatchObject({ exitCode: 0, stderr: "" });
      expect(await readFile(join(host.etc, CONFIG), "utf8")).toBe(before);
    });
  },
);

test.if(hasDf && hasContainerd)(
  "who sets up engines is told that nothing listens for them yet, and what that means",
  async () => {
    await Session.run("images", async (session) => {
      const host = await EngineHost.create(session, { name: "host" });
      const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
      const install = [DF, "install", "runtime", "--address", `127.0.0.1:${listener.port}`];

      const heard = await output(host, [...install, "--containerd", "--dry-run"]);
      listener.stop(true);
      const silent = await output(host, [...install, "--containerd", "--dry-run"]);
      const proxy = await output(host, [...install, "--docker", "--proxy", "--dry-run"]);

      const note = `note: nothing listens on 127.0.0.1:${listener.port}: until df relay or df peer does,`;
      expect(heard.stdout).not.toContain("nothing listens");
      expect(silent.stdout).toContain(`${note} engines ask registries themselves`);
      expect(proxy.stdout).toContain(`${note} Docker's pulls fail`);
    });
  },
);

test.if(hasDf && hasContainerd)(
  "a file that is imported and sets the same tables anew is found by asking containerd, and nothing is written",
  async () => {
    await Session.run("images", async (session) => {
      const host = await EngineHost.create(session, { name: "host" });
      const text = 'version = 2\nimports = ["conf.d/*.toml"]\n';
      await host.writeEtc(CONFIG, text);
      const table = 'plugins."io.containerd.grpc.v1.cri"';
      await host.writeEtc(
        "containerd/conf.d/own.toml",
        `version = 2\n[${table}]\n  sandbox_image = "pause.example/pause:3"\n`,
      );

      const { exitCode, stderr } = await output(host, [DF, "install", "runtime", "--containerd"]);

      expect(exitCode).not.toBe(0);
      expect(stderr).toContain("a file that it imports sets these tables anew");
      expect(await readFile(join(host.etc, CONFIG), "utf8")).toBe(text);
    });
  },
);
