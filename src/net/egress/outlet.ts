// The connections of one reader to what it was allowed to ask: kept open between its requests, of each
// source's share, and back to the address that answered first, because the servers behind one name
// may hold different versions or name them differently.

import type { LookupAddress, LookupOptions } from "node:dns";
import http from "node:http";
import https from "node:https";
import type { Bulkheads, IdleConnections } from "./bulkheads.ts";
import type { CheckedTarget, EgressGuard } from "./egress-guard.ts";
import type { ResolvedAddress } from "./resolve-name.ts";
import { proxyHeaders } from "./proxy-rules.ts";
import { TunnelAgent } from "./tunnel-agent.ts";

/** Whom to believe that it is the source. */
export interface OutletTrust {
  /** PEM certificates instead of the system's; null: the system's. */
  readonly ca: string | null;
  readonly isInsecure: boolean;
}

/** The leave to send one request. */
export interface Passage {
  readonly target: CheckedTarget;
  /** What node:http(s) needs to connect where it was checked, and nowhere else. */
  readonly options: https.RequestOptions;
  /** Fields for whoever is connected to. */
  readonly headers: Readonly<Record<string, string>>;
  /** The source answered at this address: the reader's next requests go there. */
  answered(address: string): void;
  /** The source did not answer: its name is looked up again. */
  failed(): void;
  /** The request is over; to be called once. */
  leave(): void;
}

export class Outlet {
  readonly #guard: EgressGuard;
  readonly #bulkheads: Bulkheads;
  readonly #trust: OutletTrust;
  readonly #lines = new Map<string, Line>();
  readonly #known = new Map<string, readonly ResolvedAddress[]>();

  constructor(guard: EgressGuard, trust: OutletTrust) {
    this.#guard = guard;
    this.#bulkheads = guard.bulkheads;
    this.#trust = trust;
  }

  /**
   * Checks where a request goes and waits until it may be sent.
   * @param from whose redirect leads there; null: none
   * @throws {DfError} as EgressGuard.check; source-busy
   */
  async enter(url: URL, from: CheckedTarget | null, signal: AbortSignal): Promise<Passage> {
    const { hostname, origin } = url;
    const target = await this.#guard.check(url, { from, known: this.#known.get(hostname) }, signal);
    const line = this.#lineTo(target);
    const leave = await this.#bulkheads.enter(origin, line, signal);
    return {
      target,
      options: { agent: line.agent, ...this.#wayTo(target) },
      headers: headersOf(target),
      answered: (address) => {
        const answering = target.addresses.filter((one) => one.address === address);
        if (answering.length > 0) this.#known.set(hostname, answering);
      },
      failed: () => void this.#known.delete(hostname),
      leave,
    };
  }

  /** Closes idle connections; requests under way are ended by who sent them. */
  close(): void {
    for (const line of this.#lines.values()) {
      line.agent.destroy();
      this.#bulkheads.forget(line);
    }
    this.#lines.clear();
  }

  #lineTo({ url, proxy }: CheckedTarget): Line {
    const key = `${url.origin} ${proxy === null ? "" : `${proxy.hostname} ${proxy.port}`}`;
    const known = this.#lines.get(key);
    if (known !== undefined) return known;
    const isTls = url.protocol === "https:";
    const keepAlive = { keepAlive: true };
    const direct = (): http.Agent =>
      isTls ? new https.Agent(keepAlive) : new http.Agent(keepAlive);
    const line = new Line(isTls && proxy !== null ? new TunnelAgent(proxy) : direct());
    this.#lines.set(key, line);
    return line;
  }

  #wayTo({ url, addresses, proxy }: CheckedTarget): https.RequestOptions {
    if (url.protocol === "http:") {
      if (proxy === null) return { lookup: lookupAmong(addresses) };
      const { hostname, port } = proxy;
      return { hostname, port, path: withoutFragment(url) };
    }
    const { ca, isInsecure } = this.#trust;
    const { secureContext } = this.#guard;
    return {
      ...(proxy === null ? { lookup: lookupAmong(addresses) } : {}),
      rejectUnauthorized: !isInsecure,
      ...(ca === null ? (secureContext === null ? {} : { secureContext }) : { ca }),
    };
  }
}

/** One reader's connections to one source. */
class Line implements IdleConnections {
  readonly agent: http.Agent;

  constructor(agent: http.Agent) {
    this.agent = agent;
  }

  get idleCount(): number {
    let count = 0;
    for (const sockets of Object.values(this.agent.freeSockets)) {
      for (const { destroyed } of sockets ?? []) if (!destroyed) count++;
    }
    return count;
  }

  closeOne(): void {
    for (const sockets of Object.values(this.agent.freeSockets)) {
      const idle = sockets?.find(({ destroyed }) => !destroyed);
      if (idle !== undefined) return void idle.destroy();
    }
  }
}

function headersOf({ url, proxy }: CheckedTarget): Record<string, string> {
  return {
    // By hand: connected to a proxy, the field would name that.
    host: url.host,
    ...(proxy !== null && url.protocol === "http:" ? proxyHeaders(proxy) : {}),
  };
}

function withoutFragment(url: URL): string {
  const bare = new URL(url);
  bare.hash = "";
  bare.username = "";
  bare.password = "";
  return bare.href;
}

/** Answers with what was checked, whatever the name means by now. */
function lookupAmong(addresses: readonly ResolvedAddress[]) {
  return (
    _host: string,
    options: LookupOptions,
    callback: (error: Error | null, address: string | LookupAddress[], family?: number) => void,
  ): void => {
    const [first] = addresses;
    if (options.all === true) callback(null, [...addresses]);
    else callback(null, first!.address, first!.family);
  };
}
