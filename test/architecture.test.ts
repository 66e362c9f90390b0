// The house rules that the linter cannot state: which folder may know which, what the core may
// contain, how files open and are named. Each failure names the file and the rule.

import { expect, test } from "bun:test";

const root = `${import.meta.dir}/..`;

interface SourceFile {
  /** Relative to the repository, with forward slashes. */
  path: string;
  text: string;
  /** Relative imports, resolved like `path`; type imports too. */
  imports: string[];
}

async function sourceFiles(folder: string): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  for await (const name of new Bun.Glob(`${folder}/**/*.ts`).scan(root)) {
    const text = await Bun.file(`${root}/${name}`).text();
    files.push({ path: name, text, imports: relativeImports(name, text) });
  }
  return files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

/** Covers `import … from`, `export … from`, `import()` and worker URLs; scanImports skips types. */
function relativeImports(path: string, text: string): string[] {
  const found = text.matchAll(/(?:\bfrom|\bimport\(?|new URL\()\s*"(\.{1,2}\/[^"]+)"/g);
  return [...found].map(([, target]) => new URL(target!, `file:///${path}`).pathname.slice(1));
}

const src = await sourceFiles("src");
const all = [
  ...src,
  ...(await sourceFiles("test")),
  ...(await sourceFiles("bench")),
  ...(await sourceFiles("scripts")),
];

/** Folder → what it may import besides itself, and why not more. The longest prefix counts. */
const ARROWS: { from: string; to: string[]; why: string }[] = [
  { from: "src/engine/core/", to: [], why: "decisions know nothing but themselves" },
  {
    from: "src/engine/bytes/",
    to: ["src/engine/core/"],
    why: "work on bytes knows no network and no store",
  },
  { from: "src/store/", to: ["src/engine/"], why: "pieces at rest do not know how pieces travel" },
  { from: "src/net/", to: ["src/engine/"], why: "the network does not know where pieces rest" },
  { from: "src/web/", to: ["src/net/wire/"], why: "the dashboard knows only the wire" },
  {
    from: "src/roles/",
    to: ["src/engine/", "src/store/", "src/net/", "src/web/"],
    why: "roles wire everything",
  },
  { from: "src/main.ts", to: ["src/roles/"], why: "the command tree only picks a role" },
  { from: "src/", to: [], why: "errors, limits and the C library stand alone" },
];
/** May be imported by all but the core. */
const COMMON = ["src/errors.ts", "src/libc.ts", "src/limits.ts"];

test("imports follow main → roles → {net, store, web} → engine/bytes → engine/core", () => {
  const wrong: string[] = [];
  for (const file of src) {
    const rule = ARROWS.find(({ from }) => file.path.startsWith(from))!;
    for (const target of file.imports) {
      const isOwn = rule.from !== "src/" && target.startsWith(rule.from);
      const isCommon = COMMON.includes(target) && rule.from !== "src/engine/core/";
      if (isOwn || isCommon || rule.to.some((prefix) => target.startsWith(prefix))) continue;
      // package.json carries the version; it is data, not code.
      if (target === "package.json") continue;
      wrong.push(`${file.path} imports ${target}: ${rule.why}`);
    }
  }
  expect(wrong).toEqual([]);
});

test("the core imports no package, not even a type", () => {
  const wrong = src
    .filter(({ path }) => path.startsWith("src/engine/core/"))
    .filter(({ text }) => /(?:\bfrom|\bimport)\s*\(?\s*"[^.]/.test(text));

  expect(wrong.map(({ path }) => path)).toEqual([]);
});

test("the core holds no promises", () => {
  const wrong = src
    .filter(({ path }) => path.startsWith("src/engine/core/"))
    .filter(({ text }) => /\basync\b|\bawait\b|\bPromise\b/.test(withoutComments(text)));

  expect(wrong.map(({ path }) => path)).toEqual([]);
});

test("every file opens with what it owns", () => {
  const wrong = all.filter(({ text }) => !/^(?:#!.*\n)?(?:\/\/ \S|\/\*\*)/.test(text));

  expect(wrong.map(({ path }) => path)).toEqual([]);
});

test("no file is named for a drawer", () => {
  const drawers = /(?:^|[/-])(?:utils?|helpers?|managers?|misc|common|index)\.ts$/;

  expect(all.map(({ path }) => path).filter((path) => drawers.test(path))).toEqual([]);
});

test("every file of src is imported by another or started by name", () => {
  const imported = new Set(src.flatMap(({ imports }) => imports));
  // The build compiles every worker in: see scripts/build-binaries.ts.
  const isStarted = (path: string): boolean =>
    path === "src/main.ts" || /^src\/roles\/worker\/[^/]+-worker\.ts$/.test(path);

  const orphans = src
    .map(({ path }) => path)
    .filter((path) => !imported.has(path) && !isStarted(path) && !path.endsWith(".d.ts"));

  expect(orphans).toEqual([]);
});

test("no line switches a check off without a reason, and none waits to be done", () => {
  const wrong: string[] = [];
  for (const { path, text } of all) {
    if (path === "test/architecture.test.ts") continue;
    for (const [number, line] of text.split("\n").entries()) {
      if (
        /@ts-ignore|@ts-nocheck|eslint-disable|@typescript-eslint|\b(?:FIXME|XXX|TODO)\b/.test(line)
      ) {
        wrong.push(`${path}:${number + 1}: ${line.trim()}`);
      } else if (/oxlint-disable/.test(line) && !/ -- \S/.test(line)) {
        wrong.push(`${path}:${number + 1}: give the reason after " -- "`);
      }
    }
  }
  expect(wrong).toEqual([]);
});

/** Identifiers that docs/glossary.md replaces by another word, and that word. */
const BANNED_WORDS: [RegExp, string][] = [
  [
    /\b(?:class|interface|type|enum)\s+\w+(?:Manager|Mgr|Helper|Util|Utils|Impl)\b/,
    "a name that says its task",
  ],
  [/\b\w*(?:[Tt]orrent|[Dd]fgetTask)\w*\s*[:=(]/, "task"],
  [/\b(?:pieceNum|pieceNo|chunkIndex|blockIndex|chunkCount)\w*\b/, "piece index"],
  [/\b(?:tracker|trackerUrl|superNode)\b\s*[:=(.]/, "supernode"],
  [/\b(?:backsource|backToOrigin|originFallback)\w*\b/i, "backToSource"],
  [/\b(?:prefetch|warmUp)\w*\b/, "preheat"],
  [/\b(?:rarity|refCount|refcount)\b/, "availability, lease"],
  [/\b(?:blackList|blacklist|blackInfo|whitelist|whiteList)\w*\b/, "blocklist, allowlist"],
];

test("identifiers use the words of the glossary", () => {
  const wrong: string[] = [];
  for (const { path, text } of src) {
    for (const [word, instead] of BANNED_WORDS) {
      const hit = withoutStrings(withoutComments(text)).match(word);
      if (hit !== null) wrong.push(`${path}: "${hit[0].trim()}": say ${instead}`);
    }
  }
  expect(wrong).toEqual([]);
});

test("sizes and times carry their unit", () => {
  const wrong: string[] = [];
  for (const { path, text } of src) {
    const bare = withoutStrings(withoutComments(text)).matchAll(
      /\b(?:const|let|readonly)\s+#?(\w*(?:[Tt]imeout|[Dd]elay|[Ii]nterval|TIMEOUT|DELAY|INTERVAL))\s*(?::\s*number|=\s*[\d_]+\b)/g,
    );
    for (const [, name] of bare) wrong.push(`${path}: ${name}: end it with Ms, Us or Seconds`);
  }
  expect(wrong).toEqual([]);
});

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, "");
}

function withoutStrings(text: string): string {
  return text.replaceAll(/"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g, '""');
}
