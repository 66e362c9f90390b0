// What `df help` and `--help` print: everything that a new user reads before the first download.

import { join } from "node:path";
import { expect, test } from "bun:test";
import { renderHelp } from "../../src/roles/command-line/help.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");

function printed(...args: string[]): string {
  const { stdout, exitCode } = Bun.spawnSync([process.execPath, MAIN, ...args]);
  expect(exitCode).toBe(0);
  return stdout.toString();
}

// "config settings" was longer than the column: its summary followed without a space.
test("a command's name stands apart from its summary, however long it is", () => {
  const help = renderHelp({
    ...{ command: "df", summary: "distributes files", synopsis: "COMMAND", flags: [] },
    commands: [
      ["get", "downloads"],
      ["config settings of a fleet", "changes them"],
    ],
    examples: [],
  });

  expect(help).toContain("  get                         downloads\n");
  expect(help).toContain("  config settings of a fleet  changes them");
});

test("every command in the overview has examples, and its help names itself", () => {
  const overview = printed("help");
  const [, listed = ""] = /Commands:\n([^]*?)\n\n/.exec(overview) ?? [];
  const names = listed.split("\n").map((line) => line.trim().split(/\s{2,}/)[0]!);

  expect(names.length).toBeGreaterThan(9);
  for (const name of names) {
    const help = printed(...name.split(" "), "--help");
    expect(help).toStartWith(`df ${name}: `);
    expect(help).toMatch(/\nExamples:\n {2}\S/);
  }
}, 60_000);

// It showed the help of df config, which does not have a word on settings.
test("df help takes a name of two words", () => {
  expect(printed("help", "config", "settings")).toStartWith("df config settings: ");
});
