// `df preheat image` as a command: what it sends, and what it refuses before anything is sent.

import { join } from "node:path";
import { expect, test } from "bun:test";
import { Session } from "../../../bench/harness/session.ts";
import { configFixture, supernodeFixture } from "../../fixtures/config-fixture.ts";
import { buildImage } from "../../fixtures/image-builder.ts";
import { pushImage } from "../../fixtures/registry-push.ts";
import { hasHtpasswd, hasRegistry, startRegistry } from "../../fixtures/registry-server.ts";
import { startProcess } from "../../fixtures/start-process.ts";

const MAIN = join(import.meta.dir, "../../../src/main.ts");
const ANN = { username: "ann", password: "very:secret" };

async function run(session: Session, args: string[], env: Record<string, string> = {}) {
  const command = [process.execPath, MAIN, "preheat", ...args];
  const { exitCode, stdout, stderr } = await startProcess(session, command, { env }).finished;
  return { exitCode, stdout: new TextDecoder().decode(stdout), stderr };
}

test.if(hasRegistry && hasHtpasswd)(
  "df preheat image orders a private image with a password from a file, which nothing shows",
  () =>
    Session.run("image-command", async (session) => {
      const registry = await startRegistry(session, { auth: { htpasswd: ANN } });
      const image = buildImage({ layers: [4096] });
      const name = await pushImage(registry, { repository: "app" }, image, { credentials: ANN });
      const fixture = await configFixture(session);
      await supernodeFixture(fixture, { address: "10.0.0.5:8002" });
      const env = {
        DRAGONFLY_CONFIG_SERVICE: fixture.url,
        DRAGONFLY_ADMIN_TOKEN: fixture.adminToken,
      };
      const [user, header] = [join(session.folder, "user"), join(session.folder, "header")];
      await Bun.write(user, `${ANN.username}:${ANN.password}\n`);
      const basic = btoa(`${ANN.username}:${ANN.password}`);
      await Bun.write(header, `Authorization: Basic ${basic}\n`);

      const byUser = await run(session, ["image", name, "--user", `@${user}`], env);
      const byHeader = await run(session, ["image", name, "-H", `@${header}`, "--json"], env);
      const nobody = await run(session, ["image", name], env);

      expect(byUser.exitCode).toBe(0);
      expect(byUser.stdout).toContain(`  running  supernodes  ${name}  3 pending`);
      // The same image for the same machines: one job.
      expect(JSON.parse(byHeader.stdout)).toMatchObject({
        ...{ id: byUser.stdout.split(" ")[0], headerNames: ["authorization"] },
        image: { name, digest: image.manifest.digest, isPrivate: true },
      });
      expect(nobody.exitCode).toBe(6);
      const all = [byUser, byHeader, nobody].map(({ stdout, stderr }) => stdout + stderr).join();
      expect(all).not.toContain("secret");
      expect(all).not.toContain(basic);
    }),
  60_000,
);

test.each([
  [["image"], "preheat image: 0 names are given"],
  [["image", "a", "b"], "preheat image: 2 names are given"],
  [["image", "a", "--refresh", "6h"], "preheat image: --refresh is for URLs"],
  [["image", "a", "--platform", "amd64"], "read --platform amd64: no platform"],
  [["image", "a", "--user", "secret"], "read --user: no password"],
  [["image", "a", "-H", "X-Key: secret"], "read --header: a registry is shown Authorization alone"],
  [
    ["image", "a", "-H", "Authorization: Bearer secret", "--user", "ann:secret"],
    "preheat image: its registry is shown one thing alone",
  ],
  [["imag", "app:1"], "preheat imag: no http or https URL"],
  [["http://files.test/a", "--user", "ann:secret"], "preheat: --user is for images"],
  [
    ["image", "a", "--user", "ann:secret", "--config-service", "http://config.example:8000"],
    "send a registry's credentials to df config: others could listen",
  ],
])(
  "df preheat %j is refused before anything is sent, without the secret",
  async (args, message) => {
    await Session.run("image-command", async (session) => {
      const { exitCode, stderr } = await run(session, [...args, "--admin-token", "dfa_x"]);

      expect([2, 14]).toContain(exitCode);
      expect(stderr).toStartWith(`error: ${message}\nhint: `);
      expect(stderr).not.toContain("secret");
    });
  },
);
