// Installing this `df` never breaks the other one: same output, same status, for anything that is
// none of our verbs.

import { expect, test } from "bun:test";
import { chmod, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isForNextDf } from "../../src/roles/command-line/next-df.ts";
import { DF } from "../../bench/harness/df-roles.ts";
import { hasDf } from "../fixtures/spawn-df.ts";

const VERBS = ["get", "peer"];

test.each([
  ["df", [], true],
  ["/usr/local/bin/df", ["-h"], true],
  ["df", ["/data"], true],
  ["df", ["--help"], true],
  ["df", ["getx"], true],
  ["df", ["get"], false],
  ["df", ["peer", "-h"], false],
  ["df", ["--version"], false],
  ["df", ["-V"], false],
  ["dfly", ["-h"], false],
  ["dragonfly", [], false],
  ["df-linux-arm64", ["-h"], false],
])("started as %s with %p, it is for the next df: %p", (invokedAs, args, expected) => {
  expect(isForNextDf(invokedAs, args, VERBS)).toBe(expected);
});

async function inBinFolder(work: (bin: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "df-next-"));
  try {
    const bin = join(folder, "bin");
    await mkdir(bin);
    await symlink(DF, join(bin, "df"));
    await work(bin);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function run(command: string[], options: { PATH: string; cwd?: string }) {
  const { PATH, cwd = "/" } = options;
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, {
    cwd,
    env: { ...process.env, PATH, LC_ALL: "C" },
    stdout: "pipe",
    stderr: "pipe",
    timeout: 20_000,
  });
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

/** A pseudo file system whose numbers stand still. */
const STEADY = "/sys";

test
  .if(hasDf)
  .each([
    [["-h", STEADY]],
    [["-P", STEADY]],
    [["--output=fstype,itotal", STEADY]],
    [["--help"]],
    [["--no-such-flag"]],
    [["/no/such/path"]],
  ])("df %p is byte-equal to coreutils", async (args) => {
  await inBinFolder(async (bin) => {
    const PATH = `${bin}:/usr/bin:/bin`;

    expect(run(["df", ...args], { PATH })).toEqual(run(["df", ...args], { PATH: "/usr/bin:/bin" }));
  });
});

test.if(hasDf)("two copies of us on PATH do not call each other for ever", async () => {
  await inBinFolder(async (bin) => {
    const second = join(bin, "..", "second");
    await mkdir(second);
    await copyFile(DF, join(second, "df"));

    const both = run(["df", "-P", STEADY], { PATH: `${bin}:${second}:/usr/bin:/bin` });
    expect(both.exitCode).toBe(0);
    expect(both.stdout).toStartWith("Filesystem");

    const alone = run([join(bin, "df"), "-h"], { PATH: `${bin}:${second}` });
    expect(alone.exitCode).toBe(2);
    expect(alone.stderr).toContain("hint: df help");
  });
});

test.if(hasDf)("a df in the current folder is never run through an empty PATH entry", async () => {
  await inBinFolder(async (bin) => {
    const here = join(bin, "..", "here");
    await mkdir(here);
    await writeFile(join(here, "df"), "#!/bin/sh\necho planted\n");
    await chmod(join(here, "df"), 0o755);

    const { stdout } = run([join(bin, "df"), STEADY], {
      PATH: `:.:${bin}:/usr/bin:/bin`,
      cwd: here,
    });
    expect(stdout).toStartWith("Filesystem");
  });
});

test.if(hasDf)("df --version is ours, df help lists the commands", async () => {
  await inBinFolder(async (bin) => {
    const PATH = `${bin}:/usr/bin:/bin`;

    expect(run(["df", "--version"], { PATH })).toEqual({
      exitCode: 0,
      stdout: expect.stringMatching(/^df \d+\.\d+\.\d+\n$/) as string,
      stderr: "",
    });
    expect(run(["df", "help"], { PATH }).stdout).toContain("df get");
    expect(run(["df", "get", "--help"], { PATH }).stdout).toContain("--limit-rate RATE");
  });
});

test.if(hasDf)("a bunfig.toml or .env in the current folder changes nothing", async () => {
  await inBinFolder(async (bin) => {
    const here = join(bin, "..", "here");
    await mkdir(here);
    await writeFile(join(here, "planted.ts"), `console.log("planted");`);
    await writeFile(join(here, "bunfig.toml"), `preload = ["./planted.ts"]`);
    await writeFile(join(here, ".env"), "DEBUG=1\n");

    const { stdout } = run([join(bin, "df"), "--version"], { PATH: bin, cwd: here });
    expect(stdout).toMatch(/^df \d/);
  });
});
