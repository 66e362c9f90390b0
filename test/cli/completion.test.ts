// Completion scripts know every listed flag, and the shells accept them.

import { expect, test } from "bun:test";
import { renderCompletion } from "../../src/roles/command-line/completion.ts";

const VERBS = [
  {
    name: "get",
    summary: "brings the user's file",
    flags: [
      { name: "limit-rate", value: "RATE", help: "bytes per second" },
      { name: "dfdaemon" },
      { name: "quiet", help: "say nothing" },
    ],
  },
  { name: "peer", summary: "serves", flags: [] },
];

function completedBy(words: string[]): string {
  const line = words.map((word) => `'${word}'`).join(" ");
  const script = `${renderCompletion("bash", VERBS)}
    COMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _dragonfly; echo "\${COMPREPLY[@]}"`;
  const { stdout, exitCode } = Bun.spawnSync(["bash", "-uc", script]);
  expect(exitCode).toBe(0);
  return stdout.toString().trim();
}

test.each([
  [["df", "g"], "get"],
  [["df", ""], "get peer"],
  [["df", "get", "--l"], "--limit-rate"],
  [["df", "get", "--df"], ""],
  [["df", "peer", "--l"], ""],
])("bash completes %p to %p", (words, completed) => {
  expect(completedBy(words)).toBe(completed);
});

test("fish quotes what it shows and skips flags that are only tolerated", () => {
  const script = renderCompletion("fish", VERBS);

  expect(script).toContain(String.raw`-d 'brings the user\'s file'`);
  expect(script).toContain("-l limit-rate -r");
  expect(script).not.toContain("dfdaemon");
});

test("a shell that we do not know is a usage error", () => {
  expect(() => renderCompletion("tcsh", VERBS)).toThrow("tcsh");
});
