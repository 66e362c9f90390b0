// What `df peer` and `df up` are told of the port for container engines.

import { DfError } from "../../errors.ts";
import { PROXY_PORT } from "../../limits.ts";
import {
  DEFAULT_REGISTRY_RULES,
  parseRegistry,
  type RegistryRules,
} from "../../net/registry/upstream-choice.ts";
import { isUrlPattern } from "../../net/url-pattern.ts";
import { faultCollector, type Flag, joinFaults } from "../command-line/flags.ts";
import { listItems } from "../command-line/list-items.ts";
import {
  FORWARD_FLAGS,
  type ForwardOptions,
  NO_FORWARDING,
  readForwardOptions,
} from "./forward-options.ts";
import { parseUpstreams, REGISTRY_UPSTREAM_FLAG } from "../command-line/registry-flags.ts";
import { isLoopback, parseListenAddress } from "../command-line/listen-address.ts";

/** A port of this host, or a socket's path where `df relay` owns the port. */
export type ProxyListen = { hostname: string; port: number } | { unix: string };

export interface ProxyOptions {
  listen: ProxyListen;
  /** Nobody named the port: where it is taken, the peer goes on without it. */
  isDefault: boolean;
  registries: RegistryRules;
  /** @defaultValue all that is asked is forwarded, nothing of it to the swarm */
  forward?: ForwardOptions;
}

export const PROXY_FLAGS: readonly Flag[] = [
  {
    name: "proxy-listen",
    variable: "DRAGONFLY_PROXY_LISTEN",
    value: "HOST:PORT",
    help: `for engines (default 127.0.0.1:${PROXY_PORT}); unix:PATH; off (DRAGONFLY_PROXY_LISTEN)`,
  },
  {
    name: "registry-default",
    variable: "DRAGONFLY_REGISTRY_DEFAULT",
    value: "HOST",
    help: "registry of requests that name none (default docker.io; DRAGONFLY_REGISTRY_DEFAULT)",
  },
  {
    name: "registry-allow",
    variable: "DRAGONFLY_REGISTRY_ALLOW",
    value: "PATTERN,…",
    help: "the only registries that are mirrored; repeatable (DRAGONFLY_REGISTRY_ALLOW)",
  },
  REGISTRY_UPSTREAM_FLAG,
  ...FORWARD_FLAGS,
];

/**
 * Null: no port is wanted.
 * @param textsOf all values of a flag, in their order
 * @throws {DfError} usage, for everything that is wrong at once
 */
export function readProxyOptions(
  textsOf: (name: string) => readonly string[],
): ProxyOptions | null {
  const faults: DfError[] = [];
  const attempt = faultCollector(faults);
  const given = textsOf("proxy-listen").at(-1);
  const listen = given === undefined ? undefined : attempt(() => parseProxyListen(given));
  const registries: RegistryRules = {
    defaultRegistry:
      attempt(() => registryOf(textsOf("registry-default").at(-1))) ??
      DEFAULT_REGISTRY_RULES.defaultRegistry,
    allow: attempt(() => listItems(textsOf("registry-allow")).map(patternOf)) ?? [],
    upstreams: attempt(() => parseUpstreams(textsOf(REGISTRY_UPSTREAM_FLAG.name))) ?? {},
  };
  const forward = attempt(() => readForwardOptions(textsOf)) ?? NO_FORWARDING;
  if (listen !== undefined && listen !== null) attempt(() => requireGuarded(listen, forward));
  if (faults.length > 0) throw joinFaults(faults);
  if (listen === null) return null;
  return {
    listen: listen ?? { hostname: "127.0.0.1", port: PROXY_PORT },
    isDefault: listen === undefined,
    ...{ registries, forward },
  };
}

/** Null: "off". @throws {DfError} usage */
function parseProxyListen(text: string): ProxyListen | null {
  if (text === "off") return null;
  if (text.startsWith("unix:/")) return { unix: text.slice("unix:".length) };
  return parseListenAddress("--proxy-listen", text);
}

/** Whether others than this machine reach the port. */
export function isShared(listen: ProxyListen): boolean {
  return !("unix" in listen) && !isLoopback(listen.hostname);
}

/**
 * Beyond this machine a proxy that asks nobody would be everybody's.
 * @throws {DfError} usage
 */
function requireGuarded(listen: ProxyListen, { credentials, allow }: ForwardOptions): void {
  if (!isShared(listen) || (credentials !== null && allow !== null)) return;
  throw new DfError("usage", "listen for engines beyond this host: anyone could use the proxy", {
    hint: "add --proxy-auth @FILE and --proxy-allow PATTERN,…, or listen on 127.0.0.1: each host has a peer",
  });
}

function registryOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const place = parseRegistry(text);
  if (place !== null && place.scheme === null) return place.registry;
  throw new DfError("usage", `read --registry-default ${text}: not a registry's host`, {
    hint: "write HOST or HOST:PORT; where it is reached is said with --registry-upstream",
  });
}

function patternOf(text: string): string {
  if (isUrlPattern(text)) return text;
  throw new DfError("usage", `read --registry-allow ${text}: not a pattern of registries`, {
    hint: "write HOST, HOST:PORT or *.HOST",
  });
}
