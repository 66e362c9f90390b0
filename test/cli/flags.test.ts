// The strict flag parser and the quantities people write.

import { expect, test } from "bun:test";
import fc from "fast-check";
import type { DfError } from "../../src/errors.ts";
import {
  type Flag,
  flagsOfArgs,
  nearestName,
  parseFlags,
} from "../../src/roles/command-line/flags.ts";
import {
  parseDuration,
  parseRate,
  parseSize,
  parseTimeout,
} from "../../src/roles/command-line/quantities.ts";
import { FLAGS } from "../../src/roles/get/flags.ts";

const TABLE: Flag[] = [
  { name: "output", aliases: ["o", "O"], value: "FILE", help: "…" },
  { name: "quiet", aliases: ["q"], help: "…" },
  { name: "verbose", aliases: ["v"], help: "…" },
  { name: "no-clobber", aliases: ["nc"], help: "…" },
  { name: "no-origin", aliases: ["notbs"], help: "…" },
  { name: "continue", aliases: ["c"], isNegatable: true, help: "…" },
  { name: "header", aliases: ["H"], value: "LINE", help: "…" },
];

function parsed(...args: string[]) {
  const { values, positionals } = parseFlags(args, TABLE);
  return { values: Object.fromEntries(values), positionals };
}

function refused(...args: string[]): DfError {
  try {
    parseFlags(args, TABLE);
  } catch (error) {
    return error as DfError;
  }
  throw new Error("was accepted");
}

test.each([
  ["a long flag with a space", ["--output", "f"], { output: ["f"] }],
  ["a long flag with =", ["--output=a=b"], { output: ["a=b"] }],
  ["a short flag with a space", ["-o", "f"], { output: ["f"] }],
  ["a short flag with its value attached", ["-of"], { output: ["f"] }],
  ["an alias letter", ["-O", "f"], { output: ["f"] }],
  ["stdout as a value", ["-o", "-"], { output: ["-"] }],
  ["a bundle", ["-qvo", "f"], { quiet: ["true"], verbose: ["true"], output: ["f"] }],
  ["wget's two-letter flag", ["-nc"], { "no-clobber": ["true"] }],
  ["a flag whose name begins with no", ["--no-origin"], { "no-origin": ["true"] }],
  ["dfget's word for it", ["--notbs"], { "no-origin": ["true"] }],
  ["a switch turned off", ["--no-continue"], { continue: ["false"] }],
  ["a repeated flag", ["-H", "a: 1", "-H", "b: 2"], { header: ["a: 1", "b: 2"] }],
  ["an empty value", ["--output="], { output: [""] }],
])("parses %s", (_, args, values) => {
  expect(parsed(...args).values).toEqual(values as Record<string, string[]>);
});

test("what follows -- is never a flag", () => {
  expect(parsed("-q", "--", "-o", "--x").positionals).toEqual(["-o", "--x"]);
});

test.each([
  ["--no-orign", "--no-origin"],
  ["--ouput", "--output"],
  ["--head", "--header"],
])("an unknown flag %s is refused and %s named", (wrong, near) => {
  const error = refused(wrong);

  expect(error.code).toBe("usage");
  expect(error.message).toContain(wrong);
  expect(error.hint).toContain(near);
});

test("everything wrong is told at once", () => {
  const error = refused("--nope", "-z", "--output");

  expect(error.message).toContain("--nope");
  expect(error.message).toContain("-z");
  expect(error.message).toContain("--output needs a value");
});

test("a flag does not eat the next flag as its value", () => {
  expect(refused("--output", "--quiet").message).toContain("--output needs a value");
});

test("a switch takes no value", () => {
  expect(refused("--quiet=loud").message).toContain("takes no value");
});

test("any list of words is parsed or refused with usage, never anything else", () => {
  const word = fc.oneof(fc.string(), fc.constantFrom("-o", "--", "-qo", "--output=", "-nc", "-"));
  fc.assert(
    fc.property(fc.array(word), (args) => {
      try {
        parseFlags(args, FLAGS);
      } catch (error) {
        expect((error as DfError).code).toBe("usage");
      }
    }),
  );
});

test("no two flags of df get share a name", () => {
  const names = FLAGS.flatMap(({ name, aliases = [] }) => [name, ...aliases]);

  expect(names.toSorted()).toEqual([...new Set(names)].toSorted());
});

test.each([
  ...["-u", "-n", "--node", "-p", "--locallimit", "--totallimit", "-e", "-m", "--identifier", "-f"],
  ...["--callsystem", "--cacerts", "--minrate", "--clientqueue", "--home", "--ip", "--port"],
  ...["--expiretime", "--alivetime"],
])("the old dfget's %s takes a value", (flag) => {
  expect(parseFlags([flag, "1"], FLAGS).positionals).toEqual([]);
});

test.each(["--notbs", "--dfdaemon", "--insecure", "-b", "--showbar", "--console", "--verbose"])(
  "the old dfget's %s is a switch",
  (flag) => {
    expect(parseFlags([flag, "x"], FLAGS).positionals).toEqual(["x"]);
  },
);

test("flags declared for citty are known by their kebab-case names", () => {
  const flags = flagsOfArgs({
    dataDir: { type: "string", description: "…", valueHint: "DIR" },
    open: { type: "boolean", description: "…", alias: "O" },
    url: { type: "positional", description: "…" },
  });

  expect(parseFlags(["--data-dir", "x", "--no-open"], flags).values).toEqual(
    new Map([
      ["data-dir", ["x"]],
      ["open", ["false"]],
    ]),
  );
});

test("a name far from all others has no nearest one", () => {
  expect(nearestName("--xyzzy", ["--output", "--quiet"])).toBeUndefined();
});

test.each([
  ["300", 300],
  ["20M", 20 * 1024 ** 2],
  ["20MiB", 20 * 1024 ** 2],
  ["20MB", 20e6],
  ["1.5k", 1536],
  ["2g", 2 * 1024 ** 3],
  ["64KB/s", 64_000],
  ["200Mbps", 25e6],
  ["0", null],
])("the rate %s is %p bytes per second", (text, rate) => {
  expect(parseRate("--limit-rate", text)).toBe(rate);
});

test.each(["", "M", "-1", "1e3", "10X", "1 2", "99999999999999G"])("%p is no size", (text) => {
  expect(() => parseSize("--max-filesize", text)).toThrow("--max-filesize");
});

test.each([
  ["30", 30_000],
  ["500ms", 500],
  ["5m", 300_000],
  ["0.5", 500],
  ["24d", 24 * 86_400_000],
])("the duration %s is %p ms", (text, ms) => {
  expect(parseDuration("--timeout", text)).toBe(ms);
});

test("a duration that a timer cannot count is refused: it would end at once", () => {
  expect(() => parseDuration("--linger", "30d")).toThrow("--linger 30d: too long");
});

test("a timeout of 0 is none, as in wget", () => {
  expect(parseTimeout("--timeout", "0")).toBe(24 * 86_400_000);
  expect(parseTimeout("--timeout", "5")).toBe(5_000);
});
