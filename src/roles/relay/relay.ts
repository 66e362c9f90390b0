// Owns the port that container engines know. Each connection goes to the peer while that answers, byte
// for byte; else straight to what its first request names. Knows nothing of registries.

import type { Socket, TCPSocketListener } from "bun";
import { DfError, isDfError } from "../../errors.ts";
import { TUNNEL_REST_MS } from "../../limits.ts";
import type { ProxyAccess } from "../../net/proxy/proxy-access.ts";
import { formatAddress, type ListenAddress } from "../command-line/listen-address.ts";
import { dial, reasonOf } from "./dial.ts";
import { Leg } from "./leg.ts";
import { lastOfConnection, takeHead, toTarget } from "./message-head.ts";
import { PeerProbe, type PeerState } from "./peer-probe.ts";
import { plainWay, refusal } from "./plain-way.ts";

/** Engines open some ten a pull; beyond this somebody plays, and the others keep their files. */
const CONNECTIONS_MAX = 4_096;

const HEAD_TIMEOUT_MS = 10_000;

/** To a target in the internet; engines themselves wait 30 s. */
const TARGET_TIMEOUT_MS = 10_000;

const PEER_TIMEOUT_MS = 1_000;

const LOOK_INTERVAL_MS = 250;

export interface RelayOptions {
  /** Only this host's programs are served: a loopback address. */
  listen: ListenAddress;
  /** Where the peer's proxy listens. */
  peerSocket: string;
  /** Where tunnels and requests may lead while the peer is away. */
  access: ProxyAccess;
  /** Told at each change; null: it lives. */
  onPeer: (state: PeerState) => void;
  /** Towards the end a connection through which nothing came for so long is closed. @defaultValue TUNNEL_REST_MS */
  restMs?: number;
}

export class Relay {
  readonly #options: RelayOptions;
  readonly #probe: PeerProbe;
  readonly #listener: TCPSocketListener<Leg>;
  readonly #clients = new Set<Leg>();
  #lastState: PeerState | undefined;

  /** @throws {DfError} usage when the port is taken */
  constructor(options: RelayOptions) {
    this.#options = options;
    this.#probe = new PeerProbe(options.peerSocket);
    this.#listener = this.#open(options.listen);
  }

  /** "host:port". */
  get address(): string {
    return formatAddress(this.#options.listen.hostname, this.#listener.port);
  }

  get connections(): number {
    return this.#clients.size;
  }

  /** Takes no more connections. Settles when each is at rest or closed, or at the signal. */
  async finish(signal: AbortSignal): Promise<void> {
    this.#listener.stop(false);
    const { restMs = TUNNEL_REST_MS } = this.#options;
    while (!signal.aborted) {
      const now = performance.now();
      for (const client of this.#clients) {
        const since = client.quietSinceMs;
        if (since !== null && now - since > restMs) client.closeWith("");
      }
      if (this.#clients.size === 0) return;
      await Bun.sleep(LOOK_INTERVAL_MS);
    }
  }

  stop(): void {
    this.#listener.stop(true);
  }

  #open({ hostname, port }: ListenAddress): TCPSocketListener<Leg> {
    try {
      return Bun.listen<Leg>({
        hostname,
        port,
        allowHalfOpen: true,
        socket: {
          ...Leg.HANDLERS,
          open: (socket) => this.#accept(socket),
          close: (socket, error) => {
            this.#clients.delete(socket.data);
            void Leg.HANDLERS.close!(socket, error);
          },
        },
      });
    } catch (cause) {
      throw new DfError("usage", `listen on ${formatAddress(hostname, port)}: ${reasonOf(cause)}`, {
        cause,
        hint: "another program has the port, or df peer itself: start that with --proxy-listen unix:PATH",
      });
    }
  }

  #accept(socket: Socket<Leg>): void {
    const client = new Leg(socket);
    this.#clients.add(client);
    if (this.#clients.size > CONNECTIONS_MAX) return client.terminate();
    void this.#lead(client).catch(() => client.terminate());
  }

  async #lead(client: Leg): Promise<void> {
    const state = await this.#probe.ask();
    const peer =
      state === null
        ? await dial({ unix: this.#options.peerSocket }, PEER_TIMEOUT_MS).catch(reasonOf)
        : state;
    this.#tell(typeof peer === "string" ? peer : null);
    if (typeof peer === "string") return leadPlainly(client, this.#options.access);
    client.pairWith(peer);
    client.flow();
    peer.flow();
  }

  #tell(state: PeerState): void {
    // Other reasons for the same absence are no news.
    const isNews = this.#lastState === undefined || (this.#lastState === null) !== (state === null);
    this.#lastState = state;
    if (isNews) this.#options.onPeer(state);
  }
}

async function leadPlainly(client: Leg, access: ProxyAccess): Promise<void> {
  const timer = setTimeout(
    () => client.closeWith(refusal({ status: 408, reason: "no request came" })),
    HEAD_TIMEOUT_MS,
  );
  const head = await takeHead(client);
  clearTimeout(timer);
  if (head === "none" || client.isClosed) return client.terminate();
  if (head === "malformed") {
    return client.closeWith(refusal({ status: 400, reason: "not a request" }));
  }
  const way = plainWay(head, access);
  const isHead = head.startLine.startsWith("HEAD ");
  if (way.kind === "refuse") return client.closeWith(refusal(way, isHead));
  const target = await dial(way, TARGET_TIMEOUT_MS).catch((error: unknown) => ({ error }));
  if ("error" in target) {
    const reason = `connect to ${way.hostname}:${way.port}: ${reasonOf(target.error)}`;
    const status = isDfError(target.error, "denied") ? 403 : 502;
    return client.closeWith(refusal({ status, reason }, isHead));
  }
  client.pairWith(target);
  if (way.kind === "tunnel") {
    client.send(Buffer.from("HTTP/1.1 200 Connection established\r\n\r\n"));
    client.flow();
    return target.flow();
  }
  target.send(Buffer.from(lastOfConnection(toTarget(head, way)), "latin1"));
  client.flow();
  await passAnswer(target, client);
}

/**
 * Passes one answer on, and says in it that none follows: the client's next request may be for another
 * target, and this connection leads to one only.
 */
async function passAnswer(target: Leg, client: Leg): Promise<void> {
  for (;;) {
    const head = await takeHead(target);
    if (head === "none" || head === "malformed") {
      return client.closeWith(refusal({ status: 502, reason: "the target's answer is no HTTP" }));
    }
    const isInterim = /^HTTP\/1\.[01] 1\d\d( |$)/.test(head.startLine);
    const lines = isInterim ? [head.startLine, ...head.fields, "", ""].join("\r\n") : null;
    client.send(Buffer.from(lines ?? lastOfConnection(head), "latin1"));
    if (!isInterim) return target.flow();
  }
}
