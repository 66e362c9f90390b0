// The composition of the proxy's port: a front that takes connections, and who answers what it asks.
//
//   origin form ─▶ registry mirror: the port itself is a registry
//   others      ─▶ forwarder: rules, the swarm, registries by their own names, or the target

import { randomBytes } from "node:crypto";
import { DfError, messageOf } from "../../errors.ts";
import type { EgressGuard } from "../../net/egress/egress-guard.ts";
import type { LocalApi } from "../../net/local/local-server.ts";
import type { ProxyAccess } from "../../net/proxy/proxy-access.ts";
import { ProxyCredentials } from "../../net/proxy/proxy-credentials.ts";
import { startProxyFront } from "../../net/proxy/proxy-front.ts";
import { refusePage } from "../../net/proxy/refuse-page.ts";
import type { ForwardCounts } from "./forward-counts.ts";
import { Forwarder } from "./forwarder.ts";
import { type ForwardOptions, NO_FORWARDING } from "./forward-options.ts";
import { interceptionBy } from "./interception.ts";
import type { RegistryRules } from "../../net/registry/upstream-choice.ts";
import { clearSocket } from "../peer/socket-file.ts";
import type { MirrorCounts } from "./mirror-counts.ts";
import { tunnelPortsOf } from "./tunnel-ports.ts";
import { isShared, type ProxyOptions } from "./proxy-options.ts";
import { RegistryMirror } from "./registry-mirror.ts";

export interface ProxyPortOptions extends ProxyOptions {
  /** The peer of this process. */
  local: LocalApi;
  /** Through here goes what is passed through. */
  egress: EgressGuard;
  /** The peer's: the CA of the interception is there. */
  dataDir: string;
  onWarning: (message: string) => void;
  /** Hears what came of each request of an engine, and of each that a rule names. */
  onNotice?: ((message: string) => void) | undefined;
}

export interface RunningProxyPort {
  /** "host:port", or a socket's path. */
  readonly address: string;
  /** Of the registry mirror. */
  readonly counts: MirrorCounts;
  /** Of the forward proxy. */
  readonly forwards: ForwardCounts;
  /** Of the clients. */
  readonly connections: number;
  /** Takes no more connections. Settles when what those that are here ask for is through, or at the signal. */
  finish(signal: AbortSignal): Promise<void>;
  /** Breaks off what is under way. */
  stop(): Promise<void>;
}

/** @throws {DfError} denied when the port is taken, or not ours to take */
export async function startProxyPort(options: ProxyPortOptions): Promise<RunningProxyPort> {
  const { listen, egress } = options;
  // Unlike any other's in a chain of proxies.
  const via = `df-${randomBytes(6).toString("hex")}`;
  const mirror = new RegistryMirror({ ...options, via, registries: registriesOf(options) });
  const { forward = NO_FORWARDING, local, onWarning, onNotice } = options;
  const { rules } = forward;
  const forwarder = new Forwarder({
    ...{ rules, local, egress, via, onWarning, onNotice },
    registries: mirror,
  });
  // A peer that was killed left its file, which nobody could listen on again.
  if ("unix" in listen) await clearSocket(listen.unix, "--proxy-listen");
  const front = await startProxyFront({
    ...{ listen, egress, via },
    access: accessOf(forward, options.registries),
    interception: await interceptionBy(forward.intercept, options),
    handler: async (request, response) => {
      if (request.form !== "origin") return forwarder.handle(request, response);
      refusePage(request.message, "unix" in listen ? null : listen.hostname);
      return mirror.handle(request, response);
    },
    upgrade: forwarder.upgrade,
  }).catch((cause: unknown) => {
    const where = "unix" in listen ? listen.unix : `${listen.hostname}:${listen.port}`;
    throw new DfError("denied", `listen on ${where} for engines: ${messageOf(cause)}`, {
      cause,
      hint: "another program has the port: choose one with --proxy-listen, or off",
    });
  });
  return {
    address: front.address,
    ...{ counts: mirror.counts, forwards: forwarder.counts },
    get connections() {
      return front.connections;
    },
    finish: (signal) => front.finish(signal),
    stop: () => front.stop(),
  };
}

/** Where others reach the port, its targets are those that were named, whichever way they are asked for. */
function registriesOf({ listen, registries, forward }: ProxyPortOptions): RegistryRules {
  const isNamed = registries.allow.length > 0 || !isShared(listen);
  return isNamed ? registries : { ...registries, allow: forward?.allow ?? [] };
}

function accessOf(
  { credentials, allow, intercept }: ForwardOptions,
  registries: RegistryRules,
): ProxyAccess {
  return {
    credentials: credentials === null ? null : new ProxyCredentials(credentials),
    allow,
    tunnelPorts: tunnelPortsOf({ intercept }, registries),
  };
}
