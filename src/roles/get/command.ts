// The command `df get`: URLs one after another, signals, what is shown, and the exit code.

import { existsSync } from "node:fs";
import { type CommandDef, defineCommand } from "citty";
import { DfError } from "../../errors.ts";
import { exitCodeOf } from "../command-line/failure.ts";
import type { ParsedFlags } from "../command-line/flags.ts";
import { getUrl, type UrlDownload } from "./get-url.ts";
import { type GetOptions, readOptions, readTextFile } from "./options.ts";
import { ownEgress } from "./own-egress.ts";
import { outputPathOf } from "./output-name.ts";
import { PeerAccess } from "./peer-access.ts";
import { Reporter } from "./reporter.ts";

export { FLAGS } from "./flags.ts";

const command: CommandDef = defineCommand({
  meta: { name: "get", description: "Download a file, through the swarm where there is one." },
  run: ({ data }) => runGet(data as ParsedFlags),
});
export default command;

const SIGNAL_EXITS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

async function runGet(parsed: ParsedFlags): Promise<void> {
  const isStderrTty = process.stderr.isTTY && process.env["TERM"] !== "dumb";
  const options = readOptions(parsed, { env: process.env, isStderrTty });
  const urls = [...options.urls, ...readList(options.inputFile)];
  // Loud whatever else is not said: what comes may be anybody's.
  if (options.isInsecure) console.error("df: warning: certificates are not verified (--insecure)");
  const egress = ownEgress(options.proxies.reveal());
  const peers = new PeerAccess(options, (message) => {
    if (options.isVerbose) console.error(`df: ${message}`);
  });
  const signals = listenForSignals();
  const codes: number[] = [];
  try {
    for (const url of urls) {
      codes.push(await getAndReport(url, { options, peers, egress }, signals.signal));
      if (signals.signal.aborted) break;
    }
  } finally {
    // What failed may be tried again with the pieces that are there.
    await peers.close(codes.every((code) => code === 0));
  }
  process.exitCode = signals.exitCode() ?? worstCode(codes);
}

/** Brings one URL and tells how it ended; returns its exit code. */
async function getAndReport(
  url: string,
  { options, peers, egress }: Pick<UrlDownload, "options" | "peers" | "egress">,
  signal: AbortSignal,
): Promise<number> {
  const startedAtMs = performance.now();
  const path = pathFor(url, options);
  const reporter = new Reporter(url, path, options);
  if (options.keepExisting && path !== "-" && existsSync(path)) {
    reporter.kept();
    return 0;
  }
  try {
    const result = await getUrl({ url, path, options, peers, egress }, reporter, signal);
    reporter.succeeded(result, startedAtMs);
    return 0;
  } catch (error) {
    reporter.failed(error, startedAtMs);
    return exitCodeOf(error);
  }
}

/** A URL that cannot be read is reported by getUrl; until then it has a name of some sort. */
function pathFor(url: string, options: GetOptions): string {
  return URL.canParse(url)
    ? outputPathOf(url, options.output, options.dir)
    : (options.output ?? url);
}

/** wget's rule: the lowest code wins, except that 1 says least. */
export function worstCode(codes: readonly number[]): number {
  const failures = codes.filter((code) => code !== 0);
  const telling = failures.filter((code) => code !== 1);
  return telling.length > 0 ? Math.min(...telling) : failures.length > 0 ? 1 : 0;
}

function readList(inputFile: string | null): string[] {
  if (inputFile === null) return [];
  return readTextFile("--input-file", inputFile)
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
}

/** The first signal ends the work in order, the second at once. */
function listenForSignals(): { signal: AbortSignal; exitCode: () => number | null } {
  const controller = new AbortController();
  let exitCode: number | null = null;
  for (const [name, code] of Object.entries(SIGNAL_EXITS)) {
    process.on(name as keyof typeof SIGNAL_EXITS, () => {
      if (exitCode !== null) process.exit(code);
      exitCode = code;
      controller.abort(
        new DfError("interrupted", `get: interrupted by ${name}`, {
          hint: "the same command again goes on where this one stopped",
        }),
      );
    });
  }
  return { signal: controller.signal, exitCode: () => exitCode };
}
