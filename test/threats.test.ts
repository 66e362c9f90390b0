// The threat table of docs/security.md against the tests: a threat without a test that bears its
// number, or a reason why there is none, is a promise that nobody keeps.

import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

const THREATS = Array.from({ length: 42 }, (_, i) => `T-${String(i + 1).padStart(2, "0")}`);

/** A threat that has no test says why in its defence. */
const REASON = /^(not applicable|pinned lock file)/;

async function testNames(): Promise<string> {
  const names: string[] = [];
  for await (const path of new Bun.Glob("**/*.test.ts").scan(import.meta.dir)) {
    const text = await readFile(join(import.meta.dir, path), "utf8");
    for (const [, name] of text.matchAll(/\b(?:test|it|describe)[\w.()]*\(\s*["'`]([^"'`]*)/g)) {
      names.push(name!);
    }
    for (const [, name] of text.matchAll(/\)\(\s*["'`]([^"'`]*T-\d\d[^"'`]*)/g)) names.push(name!);
  }
  return names.join("\n");
}

test("each threat of the table has a test that bears its number, or a reason why there is none", async () => {
  const table = await readFile(join(import.meta.dir, "../docs/security.md"), "utf8");
  const names = await testNames();

  const unproven = THREATS.filter((threat) => {
    const defence = new RegExp(`^\\| ${threat} \\|[^|]*\\|\\s*([^|]*)\\|$`, "m").exec(table)?.[1];
    if (defence === undefined) return true;
    return !REASON.test(defence) && !names.includes(threat);
  });

  expect(unproven).toEqual([]);
});
