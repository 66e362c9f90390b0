// What the flags and environment of `df peer` mean; everything wrong is told at once.

import { homedir } from "node:os";
import { join } from "node:path";
import type { Secret } from "../../engine/bytes/secret.ts";
import { DfError } from "../../errors.ts";
import { METRICS_PORT, PIECE_PORT, SUPERNODE_PORT, UPLOAD_SLOTS } from "../../limits.ts";
import type { Listener } from "../../net/egress/own-ports.ts";
import type { ProxyRules } from "../../net/egress/proxy-rules.ts";
import type { FleetAddress } from "../../net/fleet/membership.ts";
import type { Labels } from "../../net/wire/fleet-api.ts";
import { isLocalName } from "../../net/source/local-name.ts";
import type { Settings } from "../../net/wire/fleet-settings.ts";
import {
  proxyRulesOf,
  readSourceCa,
  SOURCE_CA_FLAG,
  SOURCE_PROXY_FLAG,
} from "../command-line/egress-flags.ts";
import {
  CONFIG_SERVICE_FLAG,
  isLoopbackFleet,
  JOIN_FLAG,
  LABEL_FLAG,
  parseConfigService,
  parseJoin,
  parseLabels,
} from "../command-line/fleet-flags.ts";
import { type Environment, flagTexts } from "../command-line/flag-texts.ts";
import { faultCollector, type Flag, joinFaults, type ParsedFlags } from "../command-line/flags.ts";
import { listItems } from "../command-line/list-items.ts";
import {
  parseCount,
  parseDuration,
  parseRate,
  parseShare,
  parseSize,
} from "../command-line/quantities.ts";
import { PROXY_FLAGS, type ProxyOptions, readProxyOptions } from "../proxy/proxy-options.ts";
import type { LogLevel } from "../service/log-line.ts";
import { groupIdOf } from "./group-id.ts";

/** Where hosts of one zone reach the piece server. */
export interface ZonedPieceAddress {
  /** "host:port" */
  address: string;
  zone: string;
}

export interface PeerOptions {
  /** "host:port" each; empty: this host only reads sources and its own store. */
  supernodes: readonly string[];
  /** The fleet that this host takes part in; its list of supernodes takes the place of the given one. */
  fleet: FleetAddress | null;
  labels: Labels;
  listen: { hostname: string; port: number };
  /** "host:port" that children use; null: as listened. */
  advertise: string | null;
  /** Further addresses, each for the hosts of one zone. @defaultValue none */
  zonedAddresses?: readonly ZonedPieceAddress[];
  socketPath: string;
  /** Group whose members may use the socket too; null: its owner alone. */
  socketGroupId: number | null;
  dataDir: string;
  /** Bytes per second; null: no limit, whatever the fleet says; undefined: as it says. */
  downloadRateBytesPerSec: number | null | undefined;
  uploadRateBytesPerSec: number | null | undefined;
  diskRateBytesPerSec: number | null | undefined;
  quotaBytes: number | null | undefined;
  /** Shares of the disk in use; undefined: as the fleet says. */
  diskHighMark?: number | undefined;
  diskLowMark?: number | undefined;
  uploadSlots: number | undefined;
  /** Proxies by patterns of sources. @defaultValue as the fleet says, else none */
  sourceProxy?: Secret<ProxyRules> | undefined;
  /** PEM certificates of private CAs that sources have theirs from. @defaultValue none */
  sourceCa?: string | undefined;
  /** Undefined: as the fleet says. */
  logLevel?: LogLevel | undefined;
  /** Ports of this process that it does not open itself: no source is there. @defaultValue none */
  otherListeners?: readonly Listener[];
  /** The port for container engines. @defaultValue none */
  proxy?: ProxyOptions | null;
  /** Exits after so long without readers and uploads; null: never. */
  lingerMs: number | null;
}

/** What concerns the process of `df peer` alone. */
export interface PeerCommandOptions extends PeerOptions {
  /** Where monitors ask, beside the socket; null: nowhere else. */
  metricsListen: { hostname: string; port: number } | null;
  isJsonLog: boolean;
}

export const FLAGS: readonly Flag[] = [
  {
    name: "supernode",
    variable: "DRAGONFLY_SUPERNODE",
    aliases: ["n"],
    value: "HOST:PORT,…",
    help: "supernodes to join (DRAGONFLY_SUPERNODE)",
  },
  JOIN_FLAG,
  CONFIG_SERVICE_FLAG,
  LABEL_FLAG,
  {
    name: "listen",
    variable: "DRAGONFLY_PEER_LISTEN",
    value: "HOST:PORT",
    help: `where other peers fetch pieces (default 127.0.0.1:${PIECE_PORT}; DRAGONFLY_PEER_LISTEN)`,
  },
  {
    name: "open",
    variable: "DRAGONFLY_OPEN",
    help: "serve beyond this host without authentication (DRAGONFLY_OPEN=1)",
  },
  {
    name: "advertise",
    variable: "DRAGONFLY_PEER_ADVERTISE",
    value: "HOST:PORT[@ZONE]",
    help: "where peers (of a zone) reach --listen; repeatable (DRAGONFLY_PEER_ADVERTISE)",
  },
  {
    name: "socket",
    variable: "DRAGONFLY_PEER_SOCKET",
    value: "PATH",
    help: "local API for df get (default /run/dragonfly/peer.sock, DRAGONFLY_PEER_SOCKET)",
  },
  {
    name: "socket-group",
    variable: "DRAGONFLY_PEER_SOCKET_GROUP",
    value: "NAME",
    help: "members of this group may use the socket too (DRAGONFLY_PEER_SOCKET_GROUP)",
  },
  {
    name: "data-dir",
    variable: "DRAGONFLY_PEER_DATA_DIR",
    value: "DIR",
    help: "pieces and their index (DRAGONFLY_PEER_DATA_DIR)",
  },
  {
    name: "download-rate",
    variable: "DRAGONFLY_DOWNLOAD_RATE",
    value: "RATE",
    help: "limit of all downloads (DRAGONFLY_DOWNLOAD_RATE)",
  },
  {
    name: "upload-rate",
    variable: "DRAGONFLY_UPLOAD_RATE",
    value: "RATE",
    help: "limit of all uploads (DRAGONFLY_UPLOAD_RATE)",
  },
  {
    name: "disk-rate",
    variable: "DRAGONFLY_DISK_RATE",
    value: "RATE",
    help: "limit of disk traffic (DRAGONFLY_DISK_RATE)",
  },
  {
    name: "quota",
    variable: "DRAGONFLY_QUOTA",
    value: "SIZE",
    help: "bytes kept; the least recently used go (DRAGONFLY_QUOTA)",
  },
  {
    name: "disk-high-mark",
    variable: "DRAGONFLY_DISK_HIGH_MARK",
    value: "PERCENT",
    help: "share of the disk in use at which contents go (95%; DRAGONFLY_DISK_HIGH_MARK)",
  },
  {
    name: "disk-low-mark",
    variable: "DRAGONFLY_DISK_LOW_MARK",
    value: "PERCENT",
    help: "share of the disk in use down to which they go (90%; DRAGONFLY_DISK_LOW_MARK)",
  },
  {
    name: "upload-slots",
    variable: "DRAGONFLY_UPLOAD_SLOTS",
    value: "N",
    help: `uploads at once (default ${UPLOAD_SLOTS}, 0: none; DRAGONFLY_UPLOAD_SLOTS)`,
  },
  { ...SOURCE_PROXY_FLAG, variable: "DRAGONFLY_PEER_SOURCE_PROXY" },
  { ...SOURCE_CA_FLAG, variable: "DRAGONFLY_PEER_SOURCE_CA" },
  ...PROXY_FLAGS,
  { name: "linger", value: "TIME", help: "exit after so long without use (default: never)" },
  {
    name: "metrics-listen",
    variable: "DRAGONFLY_PEER_METRICS_LISTEN",
    value: "HOST:PORT",
    help: "health and metrics by HTTP (they are on --socket too; DRAGONFLY_PEER_METRICS_LISTEN)",
  },
  { name: "json", variable: "DRAGONFLY_PEER_JSON", help: "log as JSON, one object per line" },
  {
    name: "verbose",
    aliases: ["v"],
    variable: "DRAGONFLY_PEER_VERBOSE",
    help: "log more",
  },
  { name: "background" },
];

/** @throws {DfError} usage */
export function readPeerOptions(
  parsed: ParsedFlags,
  env: Environment,
  uid: number,
): PeerCommandOptions {
  const faults: DfError[] = [];
  const { texts, text, attempt, read, isOn } = readersOf(parsed, env, faults);
  const slots = { min: 0, max: 1024 };
  const fleet = read("join", parseJoin) ?? read("config-service", parseConfigService) ?? null;
  // Whoever gave the fleet's join string means other hosts to fetch pieces here.
  const isShared = fleet !== null && !isLoopbackFleet(fleet);
  const options: PeerCommandOptions = {
    fleet,
    labels: read("label", (flag, given) => parseLabels(flag, [given])) ?? {},
    supernodes: read("supernode", parseSupernodes) ?? [],
    listen: read("listen", parseListen) ?? {
      hostname: isShared ? "0.0.0.0" : "127.0.0.1",
      port: isOn("background") ? 0 : PIECE_PORT,
    },
    ...(read("advertise", parseAdvertised) ?? { advertise: null, zonedAddresses: [] }),
    socketPath: text("socket") ?? defaultSocket(env, uid),
    socketGroupId: read("socket-group", groupIdOf) ?? null,
    dataDir: text("data-dir") ?? defaultDataDir(env, uid),
    downloadRateBytesPerSec: read("download-rate", parseRate),
    uploadRateBytesPerSec: read("upload-rate", parseRate),
    diskRateBytesPerSec: read("disk-rate", parseRate),
    quotaBytes: read("quota", parseSize),
    diskHighMark: read("disk-high-mark", parseShare),
    diskLowMark: read("disk-low-mark", parseShare),
    uploadSlots: read("upload-slots", (flag, given) => parseCount(flag, given, slots)),
    lingerMs: read("linger", parseDuration) ?? null,
    sourceProxy: read("source-proxy", (_flag, given) => proxyRulesOf(given.split(","))),
    sourceCa: read("source-ca", readSourceCa),
    // A peer that `df get` started is its user's own: engines do not know of it.
    proxy: isOn("background") ? null : (attempt(() => readProxyOptions(texts)) ?? null),
    metricsListen: read("metrics-listen", parseMetricsListen) ?? null,
    isJsonLog: isOn("json"),
    logLevel: isOn("verbose") ? "debug" : undefined,
  };
  const { hostname } = options.listen;
  if (!isLoopback(hostname) && !isOn("open") && fleet === null) {
    faults.push(
      new DfError("usage", `listen on ${hostname}: anyone who reaches it could fetch pieces`, {
        hint: "--join a fleet, add --open where the network is trusted, or listen on 127.0.0.1",
      }),
    );
  }
  if (faults.length > 0) throw joinFaults(faults);
  return options;
}

/** Ways to read one flag, given or by its variable; what is wrong is added to `faults`. */
function readersOf(parsed: ParsedFlags, env: Environment, faults: DfError[]) {
  const texts = flagTexts(FLAGS, parsed, env);
  const text = (name: string): string | undefined => {
    const isList = ["supernode", "label", "advertise", "source-proxy"].includes(name);
    const given = texts(name);
    return isList && given.length > 0 ? given.join(",") : given.at(-1);
  };
  const attempt = faultCollector(faults);
  const read = <T>(name: string, parse: (flag: string, text: string) => T): T | undefined => {
    const given = text(name);
    return given === undefined ? undefined : attempt(() => parse(`--${name}`, given));
  };
  const isOn = (name: string): boolean => ["true", "1"].includes(text(name) ?? "");
  return { texts, text, attempt, read, isOn };
}

/** What this machine was given itself: no setting of the fleet changes it. */
export function givenSettings(options: PeerOptions): Settings {
  return {
    downloadRate: options.downloadRateBytesPerSec,
    uploadRate: options.uploadRateBytesPerSec,
    diskRate: options.diskRateBytesPerSec,
    quota: options.quotaBytes,
    diskHighMark: options.diskHighMark,
    diskLowMark: options.diskLowMark,
    logLevel: options.logLevel,
    uploadSlots: options.uploadSlots,
    sourceProxy: options.sourceProxy?.reveal(),
  };
}

/** Whether only this host reaches an address, as "localhost", "127.0.0.1" or "[::1]". */
export function isLoopback(hostname: string): boolean {
  const isWildcard = /^(0\.0\.0\.0|\[::\]|::)$/.test(hostname);
  return !isWildcard && isLocalName(hostname) && /^(localhost|127\.|\[?::1\]?$)/.test(hostname);
}

/** The host of "host:port", IPv6 in brackets. */
export function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(":"));
}

function parseSupernodes(flag: string, text: string): string[] {
  return listItems([text]).map((item) => {
    const { hostname, port } = parseAddress(flag, item.replace(/=\d+$/, ""), SUPERNODE_PORT);
    return `${hostname}:${port}`;
  });
}

function parseListen(flag: string, text: string): { hostname: string; port: number } {
  return parseAddress(flag, text, PIECE_PORT);
}

function parseMetricsListen(flag: string, text: string): { hostname: string; port: number } {
  return parseAddress(flag, text, METRICS_PORT);
}

/** The last address without a zone is for all others. */
function parseAdvertised(
  flag: string,
  text: string,
): { advertise: string | null; zonedAddresses: ZonedPieceAddress[] } {
  const zonedAddresses: ZonedPieceAddress[] = [];
  let advertise: string | null = null;
  for (const item of text.split(",").map((part) => part.trim())) {
    const [, at = item, zone] = /^([^@]*)@([A-Za-z0-9][\w.-]{0,62})$/.exec(item) ?? [];
    const { hostname, port } = parseAddress(flag, at, PIECE_PORT);
    if (zone === undefined) advertise = `${hostname}:${port}`;
    else zonedAddresses.push({ address: `${hostname}:${port}`, zone });
  }
  return { advertise, zonedAddresses };
}

function parseAddress(
  flag: string,
  text: string,
  defaultPort: number,
): { hostname: string; port: number } {
  const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(text);
  const port = Number(match?.[2] ?? defaultPort);
  if (match !== null && port <= 65_535) return { hostname: match[1]!, port };
  throw new DfError("usage", `read ${flag} ${text}: not an address`, {
    hint: "write HOST:PORT, IPv6 in brackets",
  });
}

export function defaultSocket(env: Environment, uid: number): string {
  if (uid === 0) return "/run/dragonfly/peer.sock";
  const runtime = env["XDG_RUNTIME_DIR"];
  return join(runtime ? join(runtime, "dragonfly") : userStateDir(env), "peer.sock");
}

export function defaultDataDir(env: Environment, uid: number): string {
  return uid === 0 ? "/var/lib/dragonfly/peer" : join(userStateDir(env), "peer");
}

function userStateDir(env: Environment): string {
  return join(env["XDG_STATE_HOME"] || join(homedir(), ".local", "state"), "dragonfly");
}
