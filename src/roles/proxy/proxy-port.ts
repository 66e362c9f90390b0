// The composition of the proxy's port: a front that takes connections, and who answers what it asks.
//
//   origin form ─▶ registry mirror: the port itself is a registry
//   others      ─▶ not answered

import { randomBytes } from "node:crypto";
import { DfError } from "../../errors.ts";
import type { EgressGuard } from "../../net/egress/egress-guard.ts";
import type { LocalApi } from "../../net/local/local-server.ts";
import { TUNNEL_PORTS } from "../../net/proxy/proxy-access.ts";
import { startProxyFront } from "../../net/proxy/proxy-front.ts";
import type { MirrorCounts } from "./mirror-counts.ts";
import type { ProxyOptions } from "./proxy-options.ts";
import { RegistryMirror } from "./registry-mirror.ts";

export interface ProxyPortOptions extends ProxyOptions {
  /** The peer of this process. */
  local: LocalApi;
  /** Through here goes what is passed through. */
  egress: EgressGuard;
  onWarning: (message: string) => void;
}

export interface RunningProxyPort {
  /** "host:port" */
  readonly address: string;
  /** Of the registry mirror. */
  readonly counts: MirrorCounts;
  stop(): Promise<void>;
}

/** @throws {DfError} denied when the port is taken, or not ours to take */
export async function startProxyPort(options: ProxyPortOptions): Promise<RunningProxyPort> {
  const { listen, egress } = options;
  // Unlike any other's in a chain of proxies.
  const via = `df-${randomBytes(6).toString("hex")}`;
  const mirror = new RegistryMirror({ ...options, via });
  const notHere = (): Promise<never> => {
    throw new DfError("denied", "forward the request: nothing is forwarded here");
  };
  const front = await startProxyFront({
    ...{ listen, egress, via },
    access: { credentials: null, allow: [], tunnelPorts: new Set(TUNNEL_PORTS) },
    interception: null,
    handler: (request, response) =>
      request.form === "origin" ? mirror.handle(request, response) : notHere(),
    upgrade: notHere,
  }).catch((cause: unknown) => {
    throw new DfError("denied", `listen on ${listen.hostname}:${listen.port} for engines`, {
      cause,
      hint: "another program has the port: choose one with --proxy-listen, or off",
    });
  });
  return { address: front.address, counts: mirror.counts, stop: () => front.stop() };
}
