// `df config`: flags and environment to options, what the first start tells, a clean end on a signal;
// and `df config backup|restore FILE`.

import { type CommandDef, defineCommand } from "citty";
import { DfError } from "../../errors.ts";
import { CONFIG_PORT } from "../../limits.ts";
import { readSourceCa, SOURCE_CA_FLAG } from "../command-line/egress-flags.ts";
import type { Flag, ParsedFlags } from "../command-line/flags.ts";
import { parseUpstreams, REGISTRY_UPSTREAM_FLAG } from "../command-line/registry-flags.ts";
import { parseDuration } from "../command-line/quantities.ts";
import { readSecret } from "../command-line/secret.ts";
import { parseTlsMode, TLS_FLAG } from "../command-line/tls-mode.ts";
import { SystemdNotifier } from "../service/notify-systemd.ts";
import { createServiceLog } from "../service/service-log.ts";
import { untilStopped } from "../service/until-stopped.ts";
import { parseListenAddress } from "../command-line/listen-address.ts";
import { defaultConfigDir } from "./config-dir.ts";
import type { FirstStart } from "./first-start.ts";
import { type ConfigOptions, keysPathIn, startConfig } from "./start-config.ts";

const OWN_FLAGS: readonly Flag[] = [
  {
    name: "listen",
    value: "HOST:PORT",
    help: `where the fleet connects (127.0.0.1:${CONFIG_PORT})`,
  },
  { name: "url", value: "URL", help: "where machines reach this service; repeat for each replica" },
  TLS_FLAG,
  { name: "data-dir", value: "DIR", help: "where database, keys and first tokens are kept" },
  {
    name: "database",
    value: "URL",
    help: "postgres://… for several replicas; @FILE reads it from a file (SQLite in --data-dir)",
  },
  { name: "keys", value: "FILE", help: "the fleet's keys; replicas share them (keys.json)" },
  {
    name: "open",
    help: "let every host that reaches this address join as a peer, without a token",
  },
  {
    name: "preheat-open",
    help: "let programs on this machine order preheats as Harbor does, without a token",
  },
  { ...SOURCE_CA_FLAG, help: "certificates (PEM) of private CAs that registries have theirs from" },
  { ...REGISTRY_UPSTREAM_FLAG, help: "where a registry is reached, e.g. http://…; repeatable" },
  { name: "lease", value: "TIME", help: "a supernode silent for so long leaves all lists (10s)" },
  { name: "interval", value: "TIME", help: "how often supernodes say that they live (2s)" },
  { name: "new-admin-token", help: "make another admin token: the first one was lost" },
  { name: "replace", help: "let restore take the place of a fleet that is there" },
  { name: "json", help: "log as JSON, one object per line" },
  { name: "verbose", aliases: ["v"], help: "log more" },
];

export const FLAGS: readonly Flag[] = OWN_FLAGS.map((flag) => ({
  ...flag,
  variable: variableOf(flag.name),
}));

/** A lease must outlive a lost heartbeat, and a replica looks once a second. */
const LEASE_INTERVALS_MIN = 2;
const LEASE_MS_MIN = 3_000;

const command: CommandDef = defineCommand({
  meta: { name: "config", description: "run the fleet's registry" },
  async run({ data }) {
    const flags = data as ParsedFlags;
    const [verb, file, ...rest] = flags.positionals;
    if (verb === undefined) return serve(flags);
    if ((verb !== "backup" && verb !== "restore") || file === undefined || rest.length > 0) {
      throw new DfError("usage", `read df config ${flags.positionals.join(" ")}: not a command`, {
        hint: "write df config, df config backup FILE, df config restore FILE or df config settings",
      });
    }
    const { backUpFleet, restoreFleet } = await import("./backup.ts");
    const { dataDir, databaseUrl, keysPath } = readPlace(flags);
    const place = { dataDir, databaseUrl, keysPath: keysPath ?? keysPathIn(dataDir) };
    const told =
      verb === "backup"
        ? await backUpFleet(place, file)
        : await restoreFleet(place, file, { isReplacing: isOn(flags, "replace") });
    process.stderr.write(`${told}\n`);
  },
});
export default command;

async function serve(flags: ParsedFlags): Promise<void> {
  const log = createServiceLog({
    component: "config",
    isJson: isOn(flags, "json"),
    level: isOn(flags, "verbose") ? "debug" : "info",
  });
  const config = await startConfig({
    ...readOptions(flags),
    onWarning: (message) => log.warn(message),
    onChange: (message) => log.info(message),
  });
  const status = `ready on ${config.address}`;
  log.info(status);
  if (config.caPath !== null) log.info(`tools believe this service by --ca ${config.caPath}`);
  tellFirstStart(config.firstStart, (message) => log.info(message));
  await untilStopped({ log, systemd: new SystemdNotifier(process.env), status });
  await config.stop();
}

/** Secrets go to a terminal alone: a log is read by others. */
function tellFirstStart(
  { adminToken, joinString }: FirstStart,
  log: (message: string) => void,
): void {
  if (adminToken !== null) log(`the admin token is in ${adminToken.path}`);
  if (joinString !== null) {
    log(`machines join with: df supernode --join @${joinString.path}, df peer --join @FILE`);
  }
  if (!process.stderr.isTTY) return;
  // Not by console.error: Bun colours it red on a terminal, and nothing is wrong.
  const show = (line: string): void => void process.stderr.write(`${line}\n`);
  if (adminToken !== null) show(`\n  admin token: ${adminToken.text.reveal()}`);
  if (joinString !== null) {
    show("\n  On any machine, to make it part of this fleet:");
    show(`    df supernode --join ${joinString.text.reveal()}`);
    show(`    df peer --join ${joinString.text.reveal()}\n`);
  }
}

/** Flags, then DRAGONFLY_CONFIG_*, then defaults. @throws {DfError} usage */
export function readOptions(flags: ParsedFlags): Omit<ConfigOptions, "onWarning" | "onChange"> {
  const leaseMs = parseDuration("--lease", text(flags, "lease") ?? "10s");
  const intervalMs = parseDuration("--interval", text(flags, "interval") ?? "2s");
  const sourceCa = text(flags, "source-ca");
  if (intervalMs < 1 || leaseMs < Math.max(LEASE_MS_MIN, LEASE_INTERVALS_MIN * intervalMs)) {
    throw new DfError(
      "usage",
      `use a lease of ${leaseMs} ms with heartbeats every ${intervalMs} ms`,
      {
        hint: `--lease is at least ${LEASE_MS_MIN / 1000}s and ${LEASE_INTERVALS_MIN} times --interval`,
      },
    );
  }
  return {
    ...readPlace(flags),
    listen: parseListenAddress("--listen", text(flags, "listen") ?? `127.0.0.1:${CONFIG_PORT}`),
    isOpen: isOn(flags, "open"),
    isPreheatOpen: isOn(flags, "preheat-open"),
    ...{ leaseMs, intervalMs },
    urls: (flags.values.get("url") ?? environment("url")?.split(",") ?? []).map(parseUrl),
    tls: parseTlsMode("--tls", text(flags, "tls") ?? "auto"),
    sourceCa: sourceCa === undefined ? undefined : readSourceCa("--source-ca", sourceCa),
    registryUpstreams: parseUpstreams(
      flags.values.get("registry-upstream") ?? environment("registry-upstream")?.split(",") ?? [],
    ),
    isAdminTokenWanted: isOn(flags, "new-admin-token"),
  };
}

/** Where the fleet is kept. */
function readPlace(
  flags: ParsedFlags,
): Pick<ConfigOptions, "dataDir" | "databaseUrl" | "keysPath"> {
  const database = text(flags, "database");
  return {
    dataDir: text(flags, "data-dir") ?? defaultConfigDir(),
    databaseUrl: database === undefined ? null : readSecret("--database", database),
    keysPath: text(flags, "keys") ?? null,
  };
}

/** @throws {DfError} usage */
function parseUrl(url: string): string {
  if (URL.canParse(url) && /^https?:\/\//.test(url)) return url.replace(/\/+$/, "");
  throw new DfError("usage", `read --url ${url}: not a URL`, {
    hint: "write --url https://config.example.org:8000",
  });
}

function text(flags: ParsedFlags, name: string): string | undefined {
  return flags.values.get(name)?.at(-1) ?? environment(name);
}

function environment(name: string): string | undefined {
  return process.env[variableOf(name)] || undefined;
}

function variableOf(flag: string): string {
  return `DRAGONFLY_CONFIG_${flag.toUpperCase().replaceAll("-", "_")}`;
}

function isOn(flags: ParsedFlags, name: string): boolean {
  const value = text(flags, name);
  return value === "true" || value === "1";
}
