// `df install systemd` run a second time on the same system, to set something else.

import { expect, test } from "bun:test";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DF } from "../../bench/harness/df-roles.ts";
import { formatJoinString } from "../../src/net/fleet/join-string.ts";
import { hasDf } from "../fixtures/spawn-df.ts";

async function install(root: string, ...args: string[]): Promise<string> {
  const child = Bun.spawn([DF, "install", "systemd", "peer", "--root", root, ...args], {
    ...{ stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  });
  const stdout = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  return stdout;
}

// The settings were replaced, the unit forgot its fleet, and a service that ran went on with the old ones.
test.if(hasDf)("who sets something later keeps the fleet and the other settings", async () => {
  const root = await mkdtemp(join(tmpdir(), "df-again-"));
  try {
    const read = (path: string): Promise<string> => readFile(join(root, path), "utf8");
    const fleetKey = Buffer.alloc(32).toString("base64");
    const line = formatJoinString({ urls: ["https://10.0.0.2:8000"], fleetKey });

    await install(root, "--join", line, "--set", "listen=10.0.0.7:65002");
    const second = await install(root, "--set", "proxy-intercept=registry.example");

    expect(await read("etc/dragonfly/peer.yaml")).toEndWith(
      "listen: 10.0.0.7:65002\nproxy-intercept: registry.example\n",
    );
    const unit = await read("etc/systemd/system/dragonfly-peer.service");
    expect(unit).toContain("LoadCredential=join:/etc/dragonfly/join");
    expect(await read("etc/dragonfly/join")).toBe(`${line}\n`);
    expect(second).toContain("systemctl restart dragonfly-peer.service");
    const undone = await install(root, "--undo");
    expect(undone).toContain("removed   /etc/dragonfly/join");
    expect(undone).toContain("removed   /etc/dragonfly/peer.yaml");
  } finally {
    await rm(root, { recursive: true });
  }
});
