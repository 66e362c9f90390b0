// `df token` and `df config` as commands: real processes against a real service.

import { join } from "node:path";
import { expect, test } from "bun:test";
import { Session } from "../../../bench/harness/session.ts";
import { parseJoinString } from "../../../src/net/fleet/join-string.ts";
import { type ConfigFixture, configFixture } from "../../fixtures/config-fixture.ts";
import { startProcess } from "../../fixtures/start-process.ts";

const MAIN = join(import.meta.dir, "../../../src/main.ts");

async function df(session: Session, args: string[], env: Record<string, string> = {}) {
  const { finished } = startProcess(session, [process.execPath, MAIN, ...args], { env });
  const { exitCode, stdout, stderr } = await finished;
  return { exitCode, stdout: new TextDecoder().decode(stdout).trim(), stderr };
}

/** The flags of an administrator's command. */
function adminFlags({ url, dataDir }: ConfigFixture): string[] {
  return ["--config-service", url, "--admin-token", `@${join(dataDir, "admin-token")}`];
}

test("df token makes a join string on stdout, lists it without its secret and revokes it", async () => {
  await Session.run("token", async (session) => {
    const fixture = await configFixture(session);
    const admin = adminFlags(fixture);
    const limits = ["--cluster", "hz", "--uses", "1", "--expires", "1h", "--comment", "rack 7"];

    const made = await df(session, ["token", "create", ...limits, ...admin]);
    const { token } = parseJoinString(made.stdout);
    const [, id = ""] = token!.reveal().split("_");
    const listed = await df(session, ["token", "list", ...admin]);
    const revoked = await df(session, ["token", "revoke", id, "--credentials", ...admin]);
    const again = await df(session, ["token", "revoke", id, ...admin]);

    expect([made.exitCode, listed.exitCode, revoked.exitCode, again.exitCode]).toEqual([
      0, 0, 0, 1,
    ]);
    expect(listed.stdout).toContain(`${id}  join  any role  cluster hz  used 0 of 1`);
    expect(listed.stdout).not.toContain(token!.reveal());
    expect(again.stderr).toContain("error: revoke token");
  });
});

test("the admin token may come from the environment, and what is wrong says what to do", async () => {
  await Session.run("token", async (session) => {
    const { url, adminToken } = await configFixture(session);
    const env = { DRAGONFLY_CONFIG_SERVICE: url, DRAGONFLY_ADMIN_TOKEN: adminToken };

    const viewer = await df(session, ["token", "create", "--role", "viewer"], env);
    const denied = await df(session, ["token", "create"], {
      ...{ ...env, DRAGONFLY_ADMIN_TOKEN: viewer.stdout },
    });
    const absent = await df(session, ["token", "list", "--config-service", "127.0.0.1:1"], env);
    const wrong = await df(session, ["token", "create", "--role", "king"], env);

    expect(viewer.stdout).toMatch(/^dfa_/);
    expect([denied.exitCode, absent.exitCode, wrong.exitCode]).toEqual([14, 4, 2]);
    expect(denied.stderr).toContain("hint: send an admin token with the role operator");
    expect(absent.stderr).toContain("hint: check --config-service");
  });
});

test("df config backs up beside a running service and restores elsewhere, but not over it", async () => {
  await Session.run("token", async (session) => {
    const { dataDir } = await configFixture(session);
    const file = join(session.folder, "fleet.backup");
    const other = join(session.folder, "other");

    const backup = await df(session, ["config", "backup", file, "--data-dir", dataDir]);
    const over = await df(session, ["config", "restore", file, "--replace", "--data-dir", dataDir]);
    const restore = await df(session, ["config", "restore", file, "--data-dir", other]);

    expect([backup.exitCode, over.exitCode, restore.exitCode]).toEqual([0, 14, 0]);
    expect(over.stderr).toContain("another process uses it");
  });
});
