// What an operator's commands find of a `df up` on the same machine.

import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { Session } from "../../../bench/harness/session.ts";
import { configFixture } from "../../fixtures/config-fixture.ts";
import { startProcess } from "../../fixtures/start-process.ts";

const MAIN = join(import.meta.dir, "../../../src/main.ts");

// Beside the quick start's fleet, `df status --fleet` and `df preheat` asked for a token that lay
// where they did not look.
test("commands beside df up use its first admin token without being told where it is", async () => {
  await Session.run("up-token", async (session) => {
    const { url, dataDir } = await configFixture(session);
    const ofUp = join(session.folder, "data", "dragonfly", "up", "config");
    mkdirSync(ofUp, { recursive: true });
    cpSync(join(dataDir, "admin-token"), join(ofUp, "admin-token"));

    const command = [process.execPath, MAIN, "status", "--fleet", "--config-service", url];
    const home = { XDG_DATA_HOME: join(session.folder, "data"), XDG_STATE_HOME: session.folder };
    const { exitCode, stdout } = await startProcess(session, command, { env: home }).finished;

    expect(exitCode).toBe(0);
    expect(new TextDecoder().decode(stdout)).toContain("0 of 0 supernodes alive");
  });
}, 60_000);
