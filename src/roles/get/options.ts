// What the flags of `df get` mean: one validated value per question, everything wrong told at once.

import { readFileSync } from "node:fs";
import { type Checksum, parseChecksum } from "../../engine/bytes/digest.ts";
import { Secret } from "../../engine/bytes/secret.ts";
import { SOURCE_RETRY } from "../../engine/core/retry.ts";
import { DfError } from "../../errors.ts";
import { CONNECT_TIMEOUT_MS, SUPERNODE_PORT } from "../../limits.ts";
import { basicOf } from "../../net/basic-authorization.ts";
import type { FleetAddress } from "../../net/fleet/membership.ts";
import type { ProxyRules } from "../../net/egress/proxy-rules.ts";
import type { SourcePolicy } from "../../net/wire/local-api.ts";
import { checkCertificates } from "../command-line/certificates-file.ts";
import { proxyRulesOf } from "../command-line/egress-flags.ts";
import { parseConfigService, parseJoin } from "../command-line/fleet-flags.ts";
import { faultCollector, joinFaults, type ParsedFlags } from "../command-line/flags.ts";
import { listItems } from "../command-line/list-items.ts";
import { proxiesOfEnvironment } from "./own-egress.ts";
import {
  parseCount,
  parseDuration,
  parseRate,
  parseSize,
  parseTimeout,
} from "../command-line/quantities.ts";

export type ProgressStyle = "bar" | "plain" | "none";

export interface GetOptions {
  readonly urls: readonly string[];
  /** File with more URLs; "-" is stdin. */
  readonly inputFile: string | null;
  /** "-" is stdout; null: named after the URL. */
  readonly output: string | null;
  readonly dir: string | null;
  readonly shouldResume: boolean;
  readonly keepExisting: boolean;
  readonly lengthMax: number | null;

  /** Some say who asks. */
  readonly headers: Secret<Readonly<Record<string, string>>>;
  readonly publicHeaders: readonly string[];
  /** Longest silence. */
  readonly idleTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** Longest time for one URL in all. */
  readonly totalTimeoutMs: number | null;
  readonly tries: number;
  /** PEM text; null: the system's certificates. */
  readonly ca: string | null;
  readonly isInsecure: boolean;
  /** For what is read in this process. */
  readonly proxies: Secret<ProxyRules>;

  readonly checksums: readonly Checksum[];
  readonly supernodes: readonly string[];
  /** The fleet whose `df config` names supernodes; null: none is known. */
  readonly fleet: FleetAddress | null;
  readonly source: SourcePolicy;
  readonly noOrigin: boolean;
  readonly tag: string | undefined;
  /** Pieces travel and rest sealed though the URL is public. */
  readonly isSealed: boolean;
  readonly filterQuery: readonly string[];
  readonly socket: string | null;
  readonly mayStartPeer: boolean;
  readonly lingerMs: number;
  readonly limitRateBytesPerSec: number | null;

  readonly isJson: boolean;
  readonly progress: ProgressStyle;
  readonly isQuiet: boolean;
  readonly isVerbose: boolean;
}

/** A source that brings nothing for this long is given up; wget waits 900 s, curl for ever. */
const IDLE_TIMEOUT_MS = 60_000;
/** Long enough for the next command of a script, short enough to be forgotten. */
const LINGER_MS = 5 * 60_000;

/** What the world outside the arguments says. */
export interface Surroundings {
  env: Readonly<Record<string, string | undefined>>;
  isStderrTty: boolean;
}

/** @throws {DfError} usage, file-unreadable */
export function readOptions(parsed: ParsedFlags, around: Surroundings): GetOptions {
  const faults: DfError[] = [];
  const flags = new FlagReader(parsed, faults);
  const urls = [...flags.all("url"), ...parsed.positionals];
  const inputFile = flags.last("input-file") ?? null;
  if (urls.length === 0 && inputFile === null) {
    faults.push(new DfError("usage", "get: no URL was given", { hint: "write df get URL" }));
  }
  const output = flags.last("output") ?? null;
  if (output !== null && output !== "-" && (urls.length > 1 || inputFile !== null)) {
    faults.push(
      new DfError("usage", `write several URLs to one file ${output}`, {
        hint: "use --dir for the folder they go to",
      }),
    );
  }
  const limits = [
    flags.read("limit-rate", parseRate) ?? null,
    flags.read("totallimit", parseRate) ?? null,
  ].filter((rate) => rate !== null);
  const isJson = flags.has("json");
  const isQuiet = flags.has("quiet");
  const options: GetOptions = {
    urls,
    inputFile,
    output,
    dir: flags.last("dir") ?? null,
    shouldResume: flags.last("continue") !== "false",
    keepExisting: flags.has("no-clobber"),
    lengthMax: flags.read("max-filesize", parseSize) ?? null,
    headers: new Secret(readHeaders(flags, faults)),
    publicHeaders: flags.list("header-public"),
    idleTimeoutMs: flags.read("timeout", parseTimeout) ?? IDLE_TIMEOUT_MS,
    connectTimeoutMs: flags.read("connect-timeout", parseTimeout) ?? CONNECT_TIMEOUT_MS,
    totalTimeoutMs: flags.read("max-time", parseDuration) || null,
    tries:
      flags.read("tries", (flag, text) => parseCount(flag, text, { min: 1, max: 1000 })) ??
      SOURCE_RETRY.attemptsMax,
    ca: flags.read("cacert", readCertificates) ?? null,
    isInsecure: flags.has("insecure"),
    proxies: readProxies(flags, around.env),
    checksums: readChecksums(flags),
    supernodes: readSupernodes(flags, around.env),
    fleet: readFleet(flags, around.env),
    source: flags.read("source", parseSource) ?? "p2p",
    noOrigin: flags.has("no-origin"),
    tag: flags.last("tag"),
    isSealed: flags.has("encrypt"),
    filterQuery: flags
      .all("filter-query")
      .flatMap((list) => list.split(/[,&]/))
      .filter(Boolean),
    socket: flags.last("socket") ?? (around.env["DRAGONFLY_PEER_SOCKET"] || null),
    mayStartPeer: !flags.has("no-daemon"),
    lingerMs: flags.read("linger", parseDuration) ?? LINGER_MS,
    limitRateBytesPerSec: limits.length === 0 ? null : Math.min(...limits),
    isJson,
    progress: readProgress(flags, { isQuiet, isJson, isStderrTty: around.isStderrTty }),
    isQuiet,
    isVerbose: flags.has("verbose"),
  };
  if (options.source === "origin" && options.noOrigin) {
    faults.push(new DfError("usage", "--source origin and --no-origin exclude each other"));
  }
  if (faults.length > 0) throw joinFaults(faults);
  return options;
}

/** Reads values and keeps what is wrong for one report. */
class FlagReader {
  readonly #parsed: ParsedFlags;
  readonly attempt: ReturnType<typeof faultCollector>;

  constructor(parsed: ParsedFlags, faults: DfError[]) {
    this.#parsed = parsed;
    this.attempt = faultCollector(faults);
  }

  all(name: string): readonly string[] {
    return this.#parsed.values.get(name) ?? [];
  }

  last(name: string): string | undefined {
    return this.all(name).at(-1);
  }

  has(name: string): boolean {
    return this.last(name) === "true";
  }

  list(name: string): string[] {
    return listItems(this.all(name));
  }

  read<T>(name: string, parse: (flag: string, text: string) => T): T | undefined {
    const text = this.last(name);
    return text === undefined ? undefined : this.attempt(() => parse(`--${name}`, text));
  }
}

function readHeaders(flags: FlagReader, faults: DfError[]): Record<string, string> {
  const headers: Record<string, string> = {};
  const lines = flags.all("header").flatMap((text) => {
    if (!text.startsWith("@")) return [text];
    const file = flags.attempt(() => readTextFile("--header", text.slice(1))) ?? "";
    return file.split(/\r?\n/).filter((line) => line.trim() !== "");
  });
  for (const line of lines) {
    const [, name, value] =
      /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) {
      // The text itself may be a secret.
      faults.push(
        new DfError("usage", "read --header: a line is no header", { hint: "write 'Name: value'" }),
      );
    } else if (name.toLowerCase() === "range") {
      faults.push(new DfError("usage", "read --header Range: df asks for ranges itself"));
    } else if (value !== "") {
      const known = headers[name];
      headers[name] = known === undefined ? value : `${known}, ${value}`;
    }
  }
  const user = flags.read("user", (flag, text) =>
    text.startsWith("@") ? readTextFile(flag, text.slice(1)).trim() : text,
  );
  if (user !== undefined) headers["Authorization"] = basicOf(user);
  const agent = flags.last("user-agent");
  if (agent !== undefined) headers["User-Agent"] = agent;
  const referer = flags.last("referer");
  if (referer !== undefined) headers["Referer"] = referer;
  return headers;
}

/** Flags win over the environment, pattern by pattern. */
function readProxies(flags: FlagReader, env: Surroundings["env"]): Secret<ProxyRules> {
  const given = flags.attempt(() => proxyRulesOf(flags.all("source-proxy")));
  const general = flags.last("proxy") === "false" ? {} : proxiesOfEnvironment(env);
  return new Secret({ ...general, ...given?.reveal() });
}

function readChecksums(flags: FlagReader): Checksum[] {
  const texts = [
    ...flags.all("checksum"),
    ...flags.all("md5").map((hex) => `md5:${hex}`),
    ...flags.all("sha256").map((hex) => `sha256:${hex}`),
  ];
  return texts.flatMap((text) => flags.attempt(() => parseChecksum(text)) ?? []);
}

/** Reads "host[:port][=weight],…"; the old dfget's weights are dropped: owners are found by hashing. */
function readSupernodes(flags: FlagReader, env: Surroundings["env"]): string[] {
  const given = flags.list("supernode");
  const fallback = listItems([env["DRAGONFLY_SUPERNODE"] ?? ""]);
  return (given.length > 0 ? given : fallback).flatMap(
    (address) => flags.attempt(() => parseAddress(address)) ?? [],
  );
}

function readFleet(flags: FlagReader, env: Surroundings["env"]): FleetAddress | null {
  const text = (name: string, variable: string): string | undefined =>
    flags.last(name) ?? (env[variable] || undefined);
  const join = text("join", "DRAGONFLY_JOIN");
  if (join !== undefined) return flags.attempt(() => parseJoin("--join", join)) ?? null;
  const urls = text("config-service", "DRAGONFLY_CONFIG_SERVICE");
  if (urls === undefined) return null;
  return flags.attempt(() => parseConfigService("--config-service", urls)) ?? null;
}

function parseAddress(text: string): string {
  const address = text.replace(/=\d+$/, "");
  const match = /^(\[[0-9a-fA-F:.]+\]|[^\s:/@?#[\]]+)(?::(\d{1,5}))?$/.exec(address);
  const port = Number(match?.[2] ?? SUPERNODE_PORT);
  if (match !== null && port >= 1 && port <= 65535) return `${match[1]}:${port}`;
  throw new DfError("usage", `read --supernode ${text}: not an address`, {
    hint: "write HOST:PORT, several separated by commas",
  });
}

/** `cdn` and `source` are the old dfget's words. */
function parseSource(flag: string, text: string): SourcePolicy {
  const words: Record<string, SourcePolicy> = {
    p2p: "p2p",
    supernode: "supernode",
    cdn: "supernode",
    origin: "origin",
    source: "origin",
  };
  if (Object.hasOwn(words, text)) return words[text]!;
  throw new DfError("usage", `read ${flag} ${text}: no such way`, {
    hint: "one of p2p, supernode, origin",
  });
}

function readProgress(
  flags: FlagReader,
  { isQuiet, isJson, isStderrTty }: { isQuiet: boolean; isJson: boolean; isStderrTty: boolean },
): ProgressStyle {
  const style = flags.read("progress", (flag, text) => {
    if (["auto", "bar", "plain", "none"].includes(text)) return text as ProgressStyle | "auto";
    throw new DfError("usage", `read ${flag} ${text}: no such style`, {
      hint: "one of auto, bar, plain, none",
    });
  });
  if (isQuiet) return "none";
  if (style !== undefined && style !== "auto") return style;
  if (isJson) return "none";
  return isStderrTty ? "bar" : "plain";
}

/** @throws {DfError} file-unreadable */
function readCertificates(flag: string, path: string): string {
  return checkCertificates(flag, path, readTextFile(flag, path));
}

/** @throws {DfError} file-unreadable */
export function readTextFile(flag: string, path: string): string {
  try {
    return readFileSync(path === "-" ? 0 : path, "utf8");
  } catch (cause) {
    throw new DfError("file-unreadable", `read ${path} for ${flag}`, {
      cause,
      hint: "name a file that you may read, or - for stdin",
    });
  }
}
