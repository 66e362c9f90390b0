// `df supernode`: flags and environment to options, log lines, and a clean end on a signal.

import { homedir } from "node:os";
import { join } from "node:path";
import { defineCommand } from "citty";
import { DfError } from "../../errors.ts";
import { SUPERNODE_PORT } from "../../limits.ts";
import { describePolicy } from "../../net/egress/egress-policy.ts";
import { isUrlPattern } from "../../net/url-pattern.ts";
import {
  parseOriginPattern,
  parseOriginPolicy,
  proxyRulesOf,
  readSourceCa,
  SOURCE_CA_FLAG,
  SOURCE_PROXY_FLAG,
} from "../command-line/egress-flags.ts";
import type { Flag, ParsedFlags } from "../command-line/flags.ts";
import {
  isLoopbackFleet,
  JOIN_FLAG,
  LABEL_FLAG,
  parseJoin,
  parseLabels,
} from "../command-line/fleet-flags.ts";
import { parseTlsMode, TLS_FLAG } from "../command-line/tls-mode.ts";
import { parseRate, parseShare, parseSize } from "../command-line/quantities.ts";
import { SystemdNotifier } from "../service/notify-systemd.ts";
import { createServiceLog, setLogLevel } from "../service/service-log.ts";
import { untilStopped } from "../service/until-stopped.ts";
import { type ClusterMembers, listedMembers } from "./cluster/cluster-members.ts";
import {
  formatAddress,
  isLoopback,
  type ListenAddress,
  parseAdvertisedAddress,
  parseListenAddress,
} from "../command-line/listen-address.ts";
import { startSupernode } from "./run.ts";
import { givenSettings, type SupernodeOptions } from "./supernode-options.ts";

const OWN_FLAGS: readonly Flag[] = [
  { name: "listen", value: "HOST:PORT", help: `where peers connect (127.0.0.1:${SUPERNODE_PORT})` },
  {
    name: "piece-listen",
    value: "HOST:PORT",
    help: "where pieces are served (the port after --listen)",
  },
  {
    name: "advertise",
    value: "HOST:PORT[@ZONE]",
    help: "where peers (of a zone) reach this supernode, if not at --listen; repeatable",
  },
  { name: "data-dir", value: "DIR", help: "where contents are kept; one process at a time" },
  {
    name: "quota",
    value: "SIZE",
    help: "disk space for contents; least recently used ones go first",
  },
  {
    name: "disk-high-mark",
    value: "PERCENT",
    help: "share of the disk in use at which contents go (95%)",
  },
  {
    name: "disk-low-mark",
    value: "PERCENT",
    help: "share of the disk in use down to which they go (90%)",
  },
  { name: "source-rate", value: "RATE", help: "bytes per second from all sources together" },
  { name: "upload-rate", value: "RATE", help: "bytes per second to all peers together" },
  { name: "disk-rate", value: "RATE", help: "bytes per second to and from the disk" },
  {
    name: "origin-allow",
    value: "PATTERN",
    help: "sources that are read for others whatever their addresses are, loopback too; repeatable",
  },
  {
    name: "origin-policy",
    value: "private-allowed|public-only",
    help: "whether sources at private addresses are read (private-allowed)",
  },
  SOURCE_PROXY_FLAG,
  SOURCE_CA_FLAG,
  {
    name: "cache-force",
    value: "PATTERN",
    help: "sources whose contents are kept whatever their headers say; repeatable",
  },
  {
    name: "cluster",
    value: "HOST:PORT,…",
    help: "all supernodes that share the tasks, this one too, where no df config tells them",
  },
  {
    name: "upstream",
    value: "HOST:PORT,…",
    help: "supernodes of the cluster that contents come from, instead of from their sources",
  },
  {
    name: "compression",
    value: "auto|off",
    help: "whether pieces that shrink travel and rest compressed (auto)",
  },
  {
    name: "encryption",
    value: "private|always|off",
    help: "contents whose pieces travel and rest sealed (private)",
  },
  JOIN_FLAG,
  LABEL_FLAG,
  TLS_FLAG,
  { name: "open", help: "admit every peer that can reach this address" },
  { name: "json", help: "log as JSON, one object per line" },
  { name: "verbose", aliases: ["v"], help: "log each content as it comes and goes" },
];

export const FLAGS: readonly Flag[] = OWN_FLAGS.map((flag) => ({
  variable: variableOf(flag.name),
  ...flag,
}));

export default defineCommand({
  meta: { name: "supernode", description: "read each source once and feed the swarm of peers" },
  async run({ data }) {
    const flags = data as ParsedFlags;
    const options = readOptions(flags);
    const log = createServiceLog({
      component: "supernode",
      isJson: isOn(flags, "json"),
      level: options.logLevel ?? "info",
    });
    const tracePath = process.env["DRAGONFLY_TRACE"];
    const supernode = await startSupernode({
      ...options,
      ...(tracePath === undefined ? {} : { tracePath }),
      onWarning: (message) => log.warn(message),
      onNotice: (message) => log.debug(message),
      onSettings: ({ logLevel }) => setLogLevel(log, logLevel),
    });
    const status = `ready on ${supernode.address}, pieces on ${supernode.pieceAddress}`;
    log.info(status);
    log.info(describePolicy(supernode.egress));
    const reload = (): void =>
      supernode.give(givenSettings(readOptions(flags.readAgain?.() ?? flags)));
    await untilStopped({ log, systemd: new SystemdNotifier(process.env), status, reload });
    await supernode.stop();
  },
});

/** Flags, then DRAGONFLY_SUPERNODE_*, then defaults. @throws {DfError} usage */
export function readOptions(flags: ParsedFlags): Omit<SupernodeOptions, "onWarning"> {
  if (flags.positionals.length > 0) {
    throw new DfError("usage", `df supernode takes no argument ${flags.positionals[0]!}`, {
      hint: "df supernode --help lists its flags",
    });
  }
  const fleet = parsed(flags, "join", parseJoin);
  // Whoever gave the fleet's join string means others to reach this supernode.
  const isShared = fleet !== undefined && !isLoopbackFleet(fleet);
  const listen = parseListenAddress(
    "--listen",
    text(flags, "listen") ?? `${isShared ? "0.0.0.0" : "127.0.0.1"}:${SUPERNODE_PORT}`,
  );
  const pieceListen = parsed(flags, "piece-listen", parseListenAddress) ?? null;
  const isPrivate = isLoopback(listen.hostname) && isLoopback((pieceListen ?? listen).hostname);
  if (!isPrivate && !isOn(flags, "open") && fleet === undefined) {
    throw new DfError(
      "usage",
      `listen on ${listen.hostname}: every host that reaches it could join`,
      {
        hint: "--join a fleet, say --open if that is meant, or listen on 127.0.0.1",
      },
    );
  }
  const advertise = all(flags, "advertise").map((address) =>
    parseAdvertisedAddress("--advertise", address),
  );
  const members = clusterOf(flags, advertise.find(({ zone }) => zone === undefined) ?? listen);
  if (members !== undefined && fleet !== undefined) {
    throw new DfError("usage", "--cluster and --upstream beside --join: the fleet says both", {
      hint: "leave them out; df config knows the members of every cluster",
    });
  }
  const cacheForce = all(flags, "cache-force").map(parseUrlPattern);
  const tls = parsed(flags, "tls", parseTlsMode) ?? "auto";
  if (tls === "on" && fleet === undefined) {
    throw new DfError("usage", "--tls on without a fleet: certificates come from df config", {
      hint: "give --join with the line that df config printed",
    });
  }
  return {
    listen,
    tls,
    pieceListen,
    advertise,
    fleet: fleet ?? null,
    ...(members === undefined ? {} : { members }),
    labels: parseLabels("--label", all(flags, "label")),
    isOpen: isOn(flags, "open"),
    dataDir: text(flags, "data-dir") ?? defaultDataDir(),
    sourceRate: parsed(flags, "source-rate", parseRate),
    uploadRate: parsed(flags, "upload-rate", parseRate),
    diskRate: parsed(flags, "disk-rate", parseRate),
    quotaBytes: parsed(flags, "quota", parseSize),
    diskHighMark: parsed(flags, "disk-high-mark", parseShare),
    diskLowMark: parsed(flags, "disk-low-mark", parseShare),
    logLevel: isOn(flags, "verbose") ? "debug" : undefined,
    compression: parsed(flags, "compression", parseCompression),
    encryption: parsed(flags, "encryption", parseEncryption),
    originAllow: all(flags, "origin-allow").map((pattern) =>
      parseOriginPattern("--origin-allow", pattern),
    ),
    originPolicy: parsed(flags, "origin-policy", parseOriginPolicy),
    sourceProxy: proxyRulesOf(all(flags, "source-proxy")),
    sourceCa: parsed(flags, "source-ca", readSourceCa),
    ...(cacheForce.length === 0 ? {} : { cacheForce }),
  };
}

/** The members that flags name; undefined: none. @throws {DfError} usage */
function clusterOf(flags: ParsedFlags, own: ListenAddress): ClusterMembers | undefined {
  const addresses = (name: string): string[] =>
    all(flags, name)
      .flatMap((list) => list.split(","))
      .map((address) => parseListenAddress(`--${name}`, address))
      .map(({ hostname, port }) => formatAddress(hostname, port));
  const named = { members: addresses("cluster"), upstream: addresses("upstream") };
  if (named.members.length + named.upstream.length === 0) return undefined;
  return listedMembers(formatAddress(own.hostname, own.port), named);
}

/** @throws {DfError} usage */
function parseCompression(flag: string, text: string): "auto" | "off" {
  if (text === "auto" || text === "off") return text;
  throw new DfError("usage", `read ${flag} ${text}: no such rule`, { hint: "auto or off" });
}

/** @throws {DfError} usage */
function parseEncryption(flag: string, text: string): "private" | "always" | "off" {
  if (text === "private" || text === "always" || text === "off") return text;
  throw new DfError("usage", `read ${flag} ${text}: no such rule`, {
    hint: "one of private, always, off",
  });
}

/** @throws {DfError} usage */
function parseUrlPattern(pattern: string): string {
  if (isUrlPattern(pattern)) return pattern;
  throw new DfError("usage", `--cache-force ${pattern}: no pattern of sources`, {
    hint: "write [http[s]://]HOST[:PORT][/PATH]",
  });
}

function text(flags: ParsedFlags, name: string): string | undefined {
  return flags.values.get(name)?.at(-1) ?? environment(name);
}

/** Every value of a flag that may be repeated. */
function all(flags: ParsedFlags, name: string): readonly string[] {
  return flags.values.get(name) ?? environment(name)?.split(",") ?? [];
}

function environment(name: string): string | undefined {
  const variable = FLAGS.find((flag) => flag.name === name)?.variable;
  return variable === undefined ? undefined : process.env[variable] || undefined;
}

function variableOf(flag: string): string {
  return `DRAGONFLY_SUPERNODE_${flag.toUpperCase().replaceAll("-", "_")}`;
}

function isOn(flags: ParsedFlags, name: string): boolean {
  const value = text(flags, name);
  return value === "true" || value === "1";
}

function parsed<T>(
  flags: ParsedFlags,
  name: string,
  parse: (flag: string, text: string) => T,
): T | undefined {
  const value = text(flags, name);
  return value === undefined ? undefined : parse(`--${name}`, value);
}

function defaultDataDir(): string {
  if (process.getuid?.() === 0) return "/var/lib/dragonfly/supernode";
  const cache = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  return join(cache, "dragonfly", "supernode");
}
