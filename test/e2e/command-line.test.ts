// What a user sees when something is wrong: one clear line, a hint, an exit code, and no file.

import { expect, test } from "bun:test";
import { chmod, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  CountingSource,
  randomPayload,
  sha256Hex,
  sha256HexOfFile,
} from "../../bench/harness/counting-source.ts";
import { DF } from "../../bench/harness/df-roles.ts";
import { Session } from "../../bench/harness/session.ts";
import { hasDf, outputIn, runDf, type FinishedCommand } from "../fixtures/spawn-df.ts";

/** Runs `df get --no-daemon` and returns what happened, with the output's path. */
async function getAlone(
  session: Session,
  url: string,
  flags: string[] = [],
  output = outputIn(session, "output"),
): Promise<FinishedCommand> {
  return runDf(session, ["get", url, "-o", output, "--no-daemon", "--tries", "1", ...flags]);
}

function answering(status: number): Bun.Server<undefined> {
  return Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    development: false,
    fetch: () => new Response("no", { status }),
  });
}

test.if(hasDf)("without any server df get is a downloader", async () => {
  const bytes = randomPayload(3_000_000);
  await using source = await CountingSource.start({ bytes });

  await Session.run("e2e", async (session) => {
    const output = outputIn(session, "output");
    const good = `sha256:${sha256Hex(bytes)}`;
    const { exitCode, stderr } = await getAlone(session, source.url, ["--checksum", good], output);

    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    expect(await sha256HexOfFile(output)).toBe(sha256Hex(bytes));
    expect(source.bodyBytes).toBe(bytes.length);
  });
});

test.if(hasDf)("a wrong checksum exits 9 and leaves no output", async () => {
  await using source = await CountingSource.start({ bytes: randomPayload(200_000) });

  await Session.run("e2e", async (session) => {
    const output = outputIn(session, "output");
    const wrong = `sha256:${"0".repeat(64)}`;
    const { exitCode, stderr } = await getAlone(session, source.url, ["--checksum", wrong], output);

    expect(exitCode).toBe(9);
    expect(stderr).toContain("error:");
    expect(await Bun.file(output).exists()).toBe(false);
  });
});

test.if(hasDf).each([
  [404, 8],
  [410, 8],
  [401, 6],
  [403, 6],
])("a source that answers %i makes df get exit %i", async (status, exitCode) => {
  using server = answering(status);

  await Session.run("e2e", async (session) => {
    const output = outputIn(session, "output");
    const run = await getAlone(session, server.url.href, [], output);

    expect(run).toMatchObject({ exitCode, stdout: "" });
    expect(run.stderr).toMatch(/^error: .*\n(?:hint: .*\n)?/m);
    expect(await Bun.file(output).exists()).toBe(false);
  });
});

test.if(hasDf).each([
  ["an unknown flag", ["get", "http://127.0.0.1/x", "--no-orign"], 2, "--no-origin"],
  ["a URL that is none", ["get", "ht!tp://x y", "--no-daemon"], 2, "URL"],
  ["no URL", ["get"], 2, "URL"],
  [
    "a refused connection",
    ["get", "http://127.0.0.1:1/x", "--no-daemon", "--tries", "1"],
    4,
    "hint:",
  ],
])("%s gets one clear line and its exit code", async (_, args, exitCode, word) => {
  await Session.run("e2e", async (session) => {
    const run = await runDf(session, args);

    expect(run).toMatchObject({ exitCode, stdout: "" });
    expect(run.stderr).toStartWith("error: ");
    expect(run.stderr).toContain(word);
    expect(run.stderr).not.toContain("    at ");
  });
});

test.if(hasDf)("an output that cannot be written exits 3 and the source is not read", async () => {
  await using source = await CountingSource.start({ bytes: randomPayload(1_000_000) });

  await Session.run("e2e", async (session) => {
    const output = join(session.folder, "no", "such", "folder", "output");
    const { exitCode, stderr } = await getAlone(session, source.url, [], output);

    expect(exitCode).toBe(3);
    expect(stderr).toContain("hint:");
    expect(source.bodyBytes).toBe(0);
  });
});

test.if(hasDf).each([[["-h"]], [["-P", "/"]], [["--output=avail", "/"]], [[] as string[]]])(
  "df %p is still the disk-usage df",
  async (args) => {
    await Session.run("e2e", async (session) => {
      const ours = await runDf(session, args);
      const theirs = Bun.spawnSync(["/bin/df", ...args]);

      expect(ours.exitCode).toBe(theirs.exitCode);
      // Numbers move between two runs: compare the first line.
      expect(ours.stdout.split("\n")[0]).toBe(theirs.stdout.toString().split("\n")[0]);
    });
  },
);

test.if(hasDf)("our verbs win over a file of that name, and dfget is df get", async () => {
  const bytes = randomPayload(100_000);
  await using source = await CountingSource.start({ bytes });

  await Session.run("e2e", async (session) => {
    const decoy = join(session.folder, "get");
    await writeFile(decoy, "#!/bin/sh\nexit 77\n");
    await chmod(decoy, 0o755);
    expect((await getAlone(session, source.url)).exitCode).toBe(0);

    const link = join(session.folder, "dfget");
    await symlink(DF, link);
    const output = outputIn(session, "second");
    const run = Bun.spawn([link, source.url, "-o", output, "--no-daemon"], { stderr: "ignore" });

    expect(await run.exited).toBe(0);
    expect(await sha256HexOfFile(output)).toBe(sha256Hex(bytes));
  });
});
