// `df preheat` as a command: real processes against a real df config whose supernode is scripted.

import { join } from "node:path";
import { expect, test } from "bun:test";
import { Session } from "../../../bench/harness/session.ts";
import { configFixture, supernodeFixture } from "../../fixtures/config-fixture.ts";
import { startProcess } from "../../fixtures/start-process.ts";

const MAIN = join(import.meta.dir, "../../../src/main.ts");
const URL_GONE = "http://files.test/gone";

// It said "1 failed" and left by exit code 1 without a word on the reason: only the API told it.
test("df preheat show tells for each URL why it failed, and on how many machines", async () => {
  await Session.run("preheat-command", async (session) => {
    const fixture = await configFixture(session);
    const supernode = await supernodeFixture(fixture, { address: "10.0.0.5:8002" });
    const { json } = await fixture.call("POST preheats", { body: { urls: [URL_GONE] } });
    const error = { code: "source-not-found", message: "the source answered 404" };
    for (let results: object[] = []; ; await Bun.sleep(50)) {
      const answer = await supernode.beat({ results } as Parameters<typeof supernode.beat>[0]);
      results = answer.json.commands.map(({ id }: { id: string }) => ({
        ...{ id, hostId: supernode.machine.hostId, state: "failed", error },
      }));
      if ((await fixture.call(`GET preheats/${json.id}`)).json.state === "failed") break;
    }

    const { finished } = startProcess(
      session,
      [process.execPath, MAIN, "preheat", "show", json.id],
      {
        env: {
          DRAGONFLY_CONFIG_SERVICE: fixture.url,
          DRAGONFLY_ADMIN_TOKEN: fixture.adminToken,
        },
      },
    );
    const { exitCode, stdout } = await finished;

    expect(exitCode).toBe(0);
    expect(new TextDecoder().decode(stdout)).toContain(
      `  ${URL_GONE}: the source answered 404 (on 1 machine)\n`,
    );
  });
}, 60_000);

// "cancel" alone was taken for a URL: "no http or https URL at urls[0]".
test.each([
  [["cancel"], "read df preheat cancel: not a whole command"],
  [["show", "abc"], "find preheat abc: not an id"],
])("df preheat %j says what it lacks", async (args, message) => {
  await Session.run("preheat-command", async (session) => {
    const command = [process.execPath, MAIN, "preheat", ...args, "--admin-token", "dfa_x"];
    const { exitCode, stderr } = await startProcess(session, command).finished;

    expect(exitCode).toBe(2);
    expect(stderr).toStartWith(`error: ${message}\nhint: `);
  });
});
