// Builds the one executable: src/main.ts and every worker → dist/df for this platform, other
// platforms by flag, a checksum beside each, and a smoke test of what can run here.
//
//   bun scripts/build-binaries.ts [--force] [--target linux-arm64[,…]|all] [--no-smoke]
//
// The tests and the demo call it first; it does nothing when dist/df is newer than every input.

import { mkdir, mkdtemp, rename, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";

const ROOT = resolve(import.meta.dir, "..");
const DIST = join(ROOT, "dist");

interface Target {
  /** Name on the command line and in the file name. */
  name: string;
  /** Bun's name of the runtime; null: the one that runs this script. */
  runtime: Bun.Build.CompileTarget | null;
}

const NATIVE: Target = { name: "native", runtime: null };

/** The x64 baseline and modern runtimes are the same file since Bun 1.4, so each pair has one row. */
const CROSS_TARGETS: Target[] = [
  { name: "linux-x64", runtime: "bun-linux-x64" },
  { name: "linux-x64-musl", runtime: "bun-linux-x64-musl" },
  { name: "linux-arm64", runtime: "bun-linux-arm64" },
  { name: "linux-arm64-musl", runtime: "bun-linux-arm64-musl" },
  { name: "darwin-x64", runtime: "bun-darwin-x64" },
  { name: "darwin-arm64", runtime: "bun-darwin-arm64" },
];

/** A build that cannot go on, and what to do about it. */
class BuildError extends Error {
  override readonly name = "BuildError";
  readonly hint: string;

  constructor(message: string, options: { hint: string; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.hint = options.hint;
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      force: { type: "boolean", default: false },
      target: { type: "string", multiple: true, default: [] },
      "no-smoke": { type: "boolean", default: false },
    },
  });
  const targets = pickTargets(values.target.flatMap((list) => list.split(",")));
  const inputs = await listInputs();
  for (const target of targets) {
    const outfile = outfileOf(target);
    if (!values.force && (await isNewerThanAll(outfile, inputs))) continue;
    await build(target, outfile, values["no-smoke"]);
  }
}

function pickTargets(names: string[]): Target[] {
  if (names.length === 0) return [NATIVE];
  if (names.includes("all")) return [NATIVE, ...CROSS_TARGETS];
  return names.map((name) => {
    const target = [NATIVE, ...CROSS_TARGETS].find((target) => target.name === name);
    if (target !== undefined) return target;
    const known = CROSS_TARGETS.map(({ name }) => name).join(", ");
    throw new BuildError(`unknown target ${name}`, { hint: `one of native, ${known}, all` });
  });
}

function outfileOf(target: Target): string {
  return join(DIST, target === NATIVE ? "df" : `df-${target.name}`);
}

/** Every file whose change asks for a new build. */
async function listInputs(): Promise<string[]> {
  const sources = await Array.fromAsync(new Bun.Glob("src/**/*").scan({ cwd: ROOT }));
  return [...sources, "package.json", "package-lock.json", "scripts/build-binaries.ts"].map(
    (path) => join(ROOT, path),
  );
}

async function isNewerThanAll(outfile: string, inputs: string[]): Promise<boolean> {
  const built = await stat(outfile).catch(() => null);
  if (built === null) return false;
  const changed = await Promise.all(
    inputs.map(async (input) => {
      const found = await stat(input).catch(() => null);
      return found === null || found.mtimeMs >= built.mtimeMs;
    }),
  );
  return !changed.includes(true);
}

/**
 * Builds beside the destination and renames, so that a running or half-built `df` is never seen.
 * The file keeps its final base name while it is built: the bytes depend on that name.
 */
async function build(target: Target, outfile: string, skipSmoke: boolean): Promise<void> {
  const startedAt = performance.now();
  await mkdir(DIST, { recursive: true });
  const scratch = await mkdtemp(join(DIST, ".build-"));
  try {
    const fresh = join(scratch, basename(outfile));
    await compile(target, fresh);
    if (canRunHere(target) && !skipSmoke) await smokeTest(fresh);
    await writeChecksum(fresh, outfile);
    await rename(fresh, outfile);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.error(`built ${relative(ROOT, outfile)} in ${seconds} s`);
}

async function compile(target: Target, outfile: string): Promise<void> {
  // Workers are found by path at run time, beside main.ts as in src/: see roles/worker/start-worker.ts.
  const workers = await Array.fromAsync(
    new Bun.Glob("src/roles/worker/*-worker.ts").scan({ cwd: ROOT, absolute: true }),
  );
  const result = await Bun.build({
    entrypoints: [join(ROOT, "src/main.ts"), ...workers.toSorted()],
    root: join(ROOT, "src"),
    minify: true,
    // In one file node:http, bun:sqlite and the like would load at every start, whatever the verb:
    // 15 ms of CPU for `df --version` instead of 6.
    splitting: true,
    sourcemap: "inline",
    bytecode: true,
    // Bytecode defaults to CommonJS, with which consola's import.meta dies at start.
    format: "esm",
    compile: {
      outfile,
      ...(target.runtime === null ? {} : { target: target.runtime }),
      // Else a .env or bunfig.toml in the user's folder would run before us.
      autoloadDotenv: false,
      autoloadBunfig: false,
      // Refuses BUN_INSPECT and preloads from the environment.
      execArgv: ["--disallow-code-generation-from-strings=strict"],
    },
  }).catch((cause: unknown) => {
    throw new BuildError(`compile ${target.name}`, {
      hint: "fix the first error below; cross targets also need the network once",
      cause,
    });
  });
  if (!result.success) {
    throw new BuildError(
      `compile ${target.name}: ${result.logs.map(({ message }) => message).join("; ")}`,
      {
        hint: "fix the errors in the sources",
      },
    );
  }
}

function canRunHere(target: Target): boolean {
  return target === NATIVE || target.name === `${process.platform}-${process.arch}`;
}

/** A swarm of one: shows SQLite, both workers and the network inside the binary. */
async function smokeTest(binary: string): Promise<void> {
  await runBinary(binary, ["--version"]);
  const folder = await mkdtemp(join(tmpdir(), "df-smoke-"));
  using source = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    development: false,
    fetch: () => new Response("smoke".repeat(10_000)),
  });
  const listen = ["--listen", "127.0.0.1:0", "--piece-listen", "127.0.0.1:0"];
  const supernode = Bun.spawn([binary, "supernode", ...listen, "--data-dir", join(folder, "s")], {
    stdout: "pipe",
    stderr: "pipe",
  });
  try {
    const address = await readyAddress(supernode);
    const output = join(folder, "out");
    const swarm = ["--supernode", address, "--no-daemon", "--no-origin"];
    const env = { XDG_STATE_HOME: folder };
    await runBinary(binary, ["get", `${source.url.href}file`, ...swarm, "-q", "-o", output], env);
    if ((await Bun.file(output).text()) !== "smoke".repeat(10_000)) {
      throw new BuildError(`${binary} get wrote wrong bytes`, { hint: "run it by hand" });
    }
  } finally {
    supernode.kill();
    await supernode.exited;
    await rm(folder, { recursive: true, force: true });
  }
}

/** Waits for the line in which the supernode tells where it listens. */
async function readyAddress(supernode: Bun.Subprocess<"ignore", "pipe", "pipe">): Promise<string> {
  let printed = "";
  for await (const bytes of supernode.stderr) {
    printed += new TextDecoder().decode(bytes);
    const address = /ready on (\S+),/.exec(printed)?.[1];
    if (address !== undefined) return address;
  }
  throw new BuildError(`smoke test: df supernode ended: ${printed.trim()}`, {
    hint: "run it by hand",
  });
}

async function runBinary(
  binary: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<void> {
  const child = Bun.spawn([binary, ...args], {
    env: { ...process.env, ...env },
    stdout: "pipe",
    stderr: "pipe",
    timeout: 60_000,
  });
  const [code, stderr] = await Promise.all([child.exited, new Response(child.stderr).text()]);
  if (code === 0) return;
  throw new BuildError(`smoke test: df ${args.join(" ")} exited ${code}: ${stderr.trim()}`, {
    hint: "the bundle differs from the sources: look for import.meta and worker paths",
  });
}

async function writeChecksum(file: string, outfile: string): Promise<void> {
  const digest = new Bun.CryptoHasher("sha256").update(await Bun.file(file).arrayBuffer());
  await Bun.write(`${outfile}.sha256`, `${digest.digest("hex")}  ${basename(outfile)}\n`);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(`error: ${error.message}\nhint: ${error.hint}`);
  if (error.cause !== undefined) console.error(error.cause);
  process.exit(1);
}
