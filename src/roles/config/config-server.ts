// The listening end of `df config`: whether it speaks TLS, its own certificate, and what its URLs are
// then. The certificate is made anew long before it ends, however long the process runs.

import { hostname } from "node:os";
import { DfError, messageOf } from "../../errors.ts";
import { bareHost } from "../../net/bare-host.ts";
import { RenewableServer, type ServerTls } from "../../net/tls/renewable-server.ts";
import type { TlsMode } from "../command-line/tls-mode.ts";
import {
  formatAddress,
  isLoopback,
  isUnspecified,
  type ListenAddress,
} from "../command-line/listen-address.ts";
import { CERTIFICATE_LIFE_MS } from "./certificates.ts";
import type { ConfigApp } from "./config-app.ts";
import type { FleetAuthority } from "./fleet-authority.ts";

export interface ConfigServerOptions {
  app: ConfigApp;
  authority: FleetAuthority;
  listen: ListenAddress;
  isTls: boolean;
  /** Whether a proxy in front of it speaks TLS instead: then every request comes from its address. */
  isProxied: boolean;
  /** Where machines reach the fleet's replicas; empty: where this one listens. */
  urls: readonly string[];
}

export interface ConfigServer {
  readonly port: number;
  /** Where machines reach the fleet's replicas. */
  readonly urls: readonly string[];
  /** Where tools on this machine reach it. */
  readonly ownUrl: string;
  stop(): Promise<void>;
}

/** What is never closed for being silent: a held request says nothing for a minute. Seconds. */
const IDLE_TIMEOUT_SECONDS = 120;

/** The largest body of any route: see access.ts. */
const REQUEST_BODY_BYTES_MAX = 8 << 20;

/** How often the certificate's age is looked at: timers take no longer times than 24 days. */
const AGE_CHECK_INTERVAL_MS = 86_400_000;

/** How machines and this service speak. */
export interface Transport {
  isTls: boolean;
  /** Whether a proxy in front of it speaks TLS instead. */
  isProxied: boolean;
  /** What is dangerous about it; null: nothing. */
  warning: string | null;
}

interface WantedTransport {
  tls?: TlsMode;
  listen: ListenAddress;
  urls: readonly string[];
}

/** @throws {DfError} usage, for URLs that do not go with it */
export function transportOf(wanted: WantedTransport): Transport {
  const isTls = speaksTls(wanted);
  const isProxied = !isTls && wanted.urls.some((url) => url.startsWith("https:"));
  return { isTls, isProxied, warning: isTls ? null : plainWarning(wanted.listen, isProxied) };
}

function speaksTls({ tls = "auto", listen, urls }: WantedTransport): boolean {
  if (tls === "off" || (tls === "auto" && isLoopback(listen.hostname))) return false;
  const plain = urls.find((url) => url.startsWith("http:"));
  if (plain === undefined) return true;
  throw new DfError("usage", `--url ${plain}: this df config speaks TLS`, {
    hint: "write https:// there, or --tls off where something in front of it speaks TLS",
  });
}

function plainWarning(listen: ListenAddress, isProxied: boolean): string | null {
  if (isLoopback(listen.hostname)) return null;
  const address = formatAddress(listen.hostname, listen.port);
  return isProxied
    ? `plain HTTP on ${address}: nobody but the proxy in front of it may reach this port`
    : `PLAIN HTTP ON ${address}: whoever is on the way reads credentials and the fleet's secrets, and can answer in its place; leave --tls off away, or put a proxy that speaks TLS in front and say --url https://…`;
}

/** @throws {DfError} usage, when the address is in use */
export async function listenForFleet(options: ConfigServerOptions): Promise<ConfigServer> {
  const { app, authority, listen, isTls, isProxied } = options;
  const certifiedHosts = [...options.urls.map(hostOf), ownName(listen)];
  const makeTls = (): Promise<ServerTls> => authority.ownTls(certifiedHosts);
  const serve = (port: number, tls: ServerTls | null): Bun.Server<undefined> =>
    Bun.serve({
      hostname: listen.hostname,
      port,
      ...(tls === null ? {} : { tls }),
      development: false,
      reusePort: false,
      idleTimeout: IDLE_TIMEOUT_SECONDS,
      maxRequestBodySize: REQUEST_BODY_BYTES_MAX,
      fetch(request, server) {
        const remoteAddress = isProxied ? null : (server.requestIP(request)?.address ?? null);
        return app.fetch(request, { remoteAddress });
      },
    });
  const tls = isTls ? await makeTls() : null;
  const server = listening(() => new RenewableServer(serve, listen.port, tls), listen);
  const stopRenewing = isTls ? renewInTime(async () => server.renew(await makeTls())) : () => {};
  const urlAt = (host: string): string =>
    `${isTls ? "https" : "http"}://${formatAddress(host, server.port)}`;
  return {
    port: server.port,
    urls: options.urls.length > 0 ? options.urls : [urlAt(ownName(listen))],
    ownUrl: urlAt(isUnspecified(listen.hostname) ? "127.0.0.1" : listen.hostname),
    stop() {
      stopRenewing();
      return server.stop();
    },
  };
}

/** @throws {DfError} usage */
function listening<Server>(start: () => Server, listen: ListenAddress): Server {
  try {
    return start();
  } catch (cause) {
    const address = formatAddress(listen.hostname, listen.port);
    throw new DfError("usage", `listen on ${address}: ${messageOf(cause)}`, {
      cause,
      hint: "another process may listen there; choose another port with --listen",
    });
  }
}

/** Renews when half of a certificate's life is over. */
function renewInTime(renew: () => Promise<void>): () => void {
  let madeAtMs = performance.now();
  const timer = setInterval(() => {
    if (performance.now() - madeAtMs < CERTIFICATE_LIFE_MS / 2) return;
    madeAtMs = performance.now();
    void renew();
  }, AGE_CHECK_INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Under which others find this machine. */
function ownName(listen: ListenAddress): string {
  return isUnspecified(listen.hostname) ? hostname() : listen.hostname;
}

function hostOf(url: string): string {
  return bareHost(new URL(url).hostname);
}
