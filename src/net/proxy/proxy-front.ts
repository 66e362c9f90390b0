// The proxy's port. One parser, node:http's, reads every head, also that of a CONNECT; here is decided what
// kind of request it is, and whether its sender may ask it. What it gets, the handler decides.
//
//   socket ─▶ connection watch ─▶ http.Server ─┬ request: origin or absolute form ─────▶ handler
//                    ▲                         ├ upgrade ───────────────────────────────▶ forwarded upgrade
//                    │                         └ CONNECT ─▶ plain tunnel
//                    └── TLS, opened here ◀──────────────── named hosts: their requests come to the same server
//
// A net server is in front because http.Server's own sockets, turned into TLS, buffer without bound.

import http, { type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer, type AddressInfo, type Server as NetServer, type Socket } from "node:net";
import { rm } from "node:fs/promises";
import type { Duplex } from "node:stream";
import { DfError } from "../../errors.ts";
import { bareHost } from "../bare-host.ts";
import type { EgressGuard } from "../egress/egress-guard.ts";
import { authorityOf, parseAuthority } from "./authority.ts";
import { connectTarget } from "./connect-target.ts";
import { ConnectionWatch, WATCH_LIMITS, type WatchLimits } from "./connection-watch.ts";
import { cameThrough } from "./message-fields.ts";
import { isOfThisMachine, isTarget, isTunnelTarget, type ProxyAccess } from "./proxy-access.ts";
import { answerFault, ProxyAuthFault, refuseSocket } from "./proxy-answer.ts";
import type { ProxiedRequest, ProxyHandler } from "./proxied-request.ts";
import { joinSockets, type TunnelEnd } from "./tunnel.ts";

/** Speaks TLS with clients in the name of hosts. */
export interface Interception {
  /** Whether a tunnel to there is opened here. */
  isFor(target: URL): boolean;
  /** @throws {DfError} when there is no certificate to be had */
  secure(socket: Socket, target: URL): Promise<TunnelEnd>;
}

/** Passes on a request that turns its connection into another protocol's. */
export type UpgradeHandler = (
  request: ProxiedRequest,
  socket: TunnelEnd,
  head: Buffer,
) => Promise<void>;

export interface ProxyFrontOptions {
  listen: { hostname: string; port: number } | { unix: string };
  access: ProxyAccess;
  /** Decides where tunnels may lead. */
  egress: EgressGuard;
  /** Null: every CONNECT is a plain tunnel. */
  interception: Interception | null;
  /** This proxy's name in Via: another one's would look like a loop. */
  via: string;
  handler: ProxyHandler;
  upgrade: UpgradeHandler;
  /** @defaultValue WATCH_LIMITS */
  limits?: Partial<WatchLimits>;
}

export interface RunningFront {
  /** "host:port", or the socket's path. */
  readonly address: string;
  readonly connections: number;
  /** Takes no more connections. Settles when what those that are here ask for is through, or at the signal. */
  finish(signal: AbortSignal): Promise<void>;
  /** Breaks off what is under way. */
  stop(): Promise<void>;
}

/** What a connection is, beyond its socket. */
interface Tunnelled {
  /** What the client's CONNECT named. */
  readonly target: URL;
}

/**
 * Opens the port.
 * @throws an error with a `code`, as net.Server does
 */
export async function startProxyFront(options: ProxyFrontOptions): Promise<RunningFront> {
  const front = new Front(options);
  await front.listen();
  return front;
}

class Front implements RunningFront {
  address = "";
  readonly #options: ProxyFrontOptions;
  readonly #watch: ConnectionWatch;
  readonly #server: NetServer;
  readonly #http: Server;
  readonly #intercepted = new WeakMap<Duplex, Tunnelled>();
  /** Connections on which something came that can be read in two ways: nothing after it is a request. */
  readonly #ambiguous = new WeakSet<Duplex>();
  readonly #stopped = new AbortController();
  /** Settles when the last connection is closed. */
  #closed: Promise<void> | null = null;

  constructor(options: ProxyFrontOptions) {
    this.#options = options;
    this.#watch = new ConnectionWatch({ ...WATCH_LIMITS, ...options.limits });
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      this.#accept(socket),
    );
    this.#http = http.createServer({ keepAliveTimeout: 0 });
    this.#http.on("request", (message, response) => void this.#answer(message, response));
    this.#http.on("connect", (message, socket, head) => {
      void this.#connect(message, socket as Socket, head);
    });
    this.#http.on("upgrade", (message, socket, head) => {
      void this.#upgrade(message, socket as Socket, head);
    });
    // What can be read in two ways, or not at all.
    this.#http.on("clientError", (_error, socket) => this.#refuse(socket as Socket, UNREADABLE));
  }

  get connections(): number {
    return this.#watch.count;
  }

  async listen(): Promise<void> {
    const { listen } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("error", reject);
    if ("unix" in listen) this.#server.listen(listen.unix, resolve);
    else this.#server.listen(listen.port, bareHost(listen.hostname), resolve);
    await promise;
    if ("unix" in listen) this.address = listen.unix;
    else this.address = `${listen.hostname}:${(this.#server.address() as AddressInfo).port}`;
  }

  async finish(signal: AbortSignal): Promise<void> {
    this.#closed ??= this.#stopListening();
    await this.#watch.finish(signal);
  }

  async stop(): Promise<void> {
    this.#closed ??= this.#stopListening();
    this.#stopped.abort();
    this.#watch.close();
    await this.#closed;
    const { listen } = this.#options;
    if ("unix" in listen) await rm(listen.unix, { force: true });
  }

  #stopListening(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    return promise;
  }

  #accept(socket: Socket): void {
    // Who leaves is told by the "close" that follows.
    socket.on("error", () => {});
    if (!this.#watch.accept(socket)) return refuseSocket(socket, FULL);
    this.#http.emit("connection", socket);
  }

  async #answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!this.#isReadable(message)) return;
    if (!this.#watch.begin(message.socket, response)) return void message.socket.destroy();
    const left = new AbortController();
    response.once("close", () => left.abort());
    response.on("error", () => {});
    try {
      const request = this.#requestOf(message, left.signal);
      if (request.form === "origin" && request.url.pathname === "/livez") {
        return void response.end("ok\n");
      }
      await this.#options.handler(request, response);
    } catch (error) {
      if (!left.signal.aborted) answerFault(response, error);
    }
  }

  async #upgrade(message: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    if (!this.#isReadable(message) || !this.#takeOver(socket)) return;
    const left = new AbortController();
    socket.once("close", () => left.abort());
    try {
      const request = this.#requestOf(message, left.signal);
      if (request.form === "origin") throw new DfError("usage", "upgrade: nothing here to upgrade");
      await this.#options.upgrade(request, socket, head);
    } catch (error) {
      refuseSocket(socket, error);
    }
  }

  async #connect(message: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    const { access, egress, interception } = this.#options;
    if (!this.#isReadable(message) || !this.#takeOver(socket)) return;
    const left = new AbortController();
    socket.once("close", () => left.abort());
    const signal = AbortSignal.any([left.signal, this.#stopped.signal]);
    try {
      // Within TLS that was opened here there is one host, and nothing to connect to.
      const target = this.#intercepted.has(socket) ? null : parseAuthority(message.url ?? "");
      if (target === null) throw new DfError("usage", "CONNECT: not a target");
      this.#requireRight(message);
      this.#refuseLoop(message);
      if (!isTunnelTarget(target, access)) throw noTarget(target);
      if (interception?.isFor(target) === true) {
        await this.#intercept(interception, socket, head, target);
        return;
      }
      const source = await connectTarget(target, egress, signal);
      socket.write(ESTABLISHED);
      if (head.length > 0) source.write(head);
      await joinSockets(socket, source, {}, signal);
    } catch (error) {
      refuseSocket(socket, error);
    }
  }

  async #intercept(
    interception: Interception,
    socket: Socket,
    head: Buffer,
    target: URL,
  ): Promise<void> {
    if (head.length > 0) socket.unshift(head);
    const secure = await interception.secure(socket, target);
    socket.write(ESTABLISHED);
    this.#watch.replace(socket, secure);
    this.#intercepted.set(secure, { target });
    this.#http.emit("connection", secure);
  }

  /** Whether a request can be read in one way only; if not, it is the last one of its connection. */
  #isReadable(message: IncomingMessage): boolean {
    const { socket } = message;
    if (this.#ambiguous.has(socket)) return false;
    if (isUnambiguous(message)) return true;
    this.#ambiguous.add(socket);
    this.#refuse(socket, UNREADABLE);
    return false;
  }

  /** Says why nothing more is answered on a connection, unless that would end up in another answer. */
  #refuse(socket: Socket, error: unknown): void {
    if (this.#watch.isBusy(socket)) socket.destroy();
    else refuseSocket(socket, error);
  }

  /** Takes a connection from the parser; false: an earlier request's answer is still on its way there. */
  #takeOver(socket: Socket): boolean {
    if (this.#watch.isBusy(socket)) {
      socket.destroy();
      return false;
    }
    this.#watch.letGo(socket);
    return true;
  }

  /** @throws {DfError} for a request that is none, or not its sender's to ask */
  #requestOf(message: IncomingMessage, signal: AbortSignal): ProxiedRequest {
    const host = message.headers.host ?? "";
    const path = message.url ?? "";
    const within = this.#intercepted.get(message.socket);
    if (within !== undefined) {
      const { target } = within;
      if (!isSameAuthority(host, target)) {
        throw new DfError("misdirected", `ask ${target.host} for what is at another host`);
      }
      this.#refuseLoop(message);
      return { form: "intercepted", url: urlOf(path, target.origin), message, signal };
    }
    if (path.startsWith("/") || path === "*") {
      const isLocal = "unix" in this.#options.listen;
      if (!isLocal && !isOfThisMachine(message.socket.remoteAddress)) this.#requireRight(message);
      const url = urlOf(path, `http://${host === "" ? "localhost" : host}`);
      return { form: "origin", url, message, signal };
    }
    this.#requireRight(message);
    this.#refuseLoop(message);
    const url = URL.canParse(path) ? new URL(path) : null;
    if (url === null || url.protocol !== "http:") {
      throw new DfError("usage", "read the request: only http URLs are asked for like that", {
        hint: "https needs CONNECT: set https_proxy as well",
      });
    }
    if (!isTarget(url, this.#options.access)) throw noTarget(url);
    return { form: "absolute", url, message, signal };
  }

  #requireRight({ headers }: IncomingMessage): void {
    const { credentials } = this.#options.access;
    if (credentials?.accepts(headers["proxy-authorization"]) === false) throw new ProxyAuthFault();
  }

  #refuseLoop(message: IncomingMessage): void {
    if (!cameThrough(message, this.#options.via)) return;
    throw new DfError("denied", "forward the request: it came through here before", {
      hint: "a proxy of this host leads back to it: see --source-proxy",
    });
  }
}

const UNREADABLE = new DfError(
  "usage",
  "read the request: it is not one, or can be read in two ways",
);
const FULL = new DfError("unavailable", "take the connection: too many are open");

const ESTABLISHED = "HTTP/1.1 200 Connection established\r\n\r\n";

/** Whether it names one host (RFC 9112 §3.2) and its body has one end (§6.3); the rest the parser saw to. */
function isUnambiguous({ rawHeaders, headers, httpVersion }: IncomingMessage): boolean {
  const hosts = rawHeaders.filter(
    (_, i) => i % 2 === 1 && rawHeaders[i - 1]!.toLowerCase() === "host",
  );
  const isNamed = hosts.length === 1 || (hosts.length === 0 && httpVersion === "1.0");
  const coding = headers["transfer-encoding"];
  const isFramed = coding === undefined || coding.toLowerCase() === "chunked";
  return isNamed && isFramed && /^[A-Za-z0-9._:[\]-]*$/.test(hosts[0] ?? "");
}

function isSameAuthority(host: string, target: URL): boolean {
  const named = `${target.protocol}//${host}`;
  return URL.canParse(named) && new URL(named).host === target.host;
}

function urlOf(path: string, origin: string): URL {
  const href = `${origin}${path === "*" ? "/" : path}`;
  // What does not begin so would go on with the host's name.
  const isPath = path === "*" || path.startsWith("/");
  if (isPath && URL.canParse(href)) return new URL(href);
  throw new DfError("usage", "read the request: not a path");
}

function noTarget(target: URL): DfError {
  return new DfError("denied", `connect to ${authorityOf(target)}: the proxy does not lead there`, {
    hint: `allow it with --proxy-allow ${authorityOf(target)}`,
  });
}
