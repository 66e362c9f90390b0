// Speaks TLS with clients of the proxy in the name of hosts that the operator listed, with certificates
// that are made when they are first needed. Each name has one, for as long as it is among those last used.

import type { Socket } from "node:net";
import tls from "node:tls";
import { bareHost } from "../bare-host.ts";
import type { Interception } from "./proxy-front.ts";
import type { TunnelEnd } from "./tunnel.ts";

export interface LeafCertificate {
  /** PEM, the leaf alone: clients have the CA. */
  certificate: string;
  /** PEM. */
  privateKey: string;
  /** Unix milliseconds; another one is made in good time before. */
  endsAt: number;
}

export interface InterceptorOptions {
  /** Whether a tunnel to there is to be opened. */
  isFor(target: URL): boolean;
  /** Makes a certificate for a DNS name or an address. */
  issue(name: string): Promise<LeafCertificate>;
  /** A client broke off the handshake: most likely it does not trust the CA. */
  onDistrust?: (name: string) => void;
  /** Names whose certificates are kept. @defaultValue 1,000: some 10 kB each */
  namesMax?: number;
}

/** A leaf is made anew when less than this is left of it: connections may last as long. */
const RENEW_MS = 24 * 3_600_000;

interface Kept {
  readonly context: Promise<tls.SecureContext>;
  /** Unix milliseconds. */
  renewAt: number;
}

export class Interceptor implements Interception {
  readonly #options: InterceptorOptions;
  /** The least recently used first. */
  readonly #kept = new Map<string, Kept>();

  constructor(options: InterceptorOptions) {
    this.#options = options;
  }

  isFor(target: URL): boolean {
    return this.#options.isFor(target);
  }

  async secure(socket: Socket, target: URL): Promise<TunnelEnd> {
    const name = bareHost(target.hostname);
    const secureContext = await this.#contextFor(name);
    // The certificate is for the host that CONNECT named, which is what the client compares it with: what
    // it says in SNI, if anything, is of no account, and addresses have none.
    const secure = new tls.TLSSocket(socket, {
      ...{ isServer: true, secureContext, ALPNProtocols: ["http/1.1"] },
    });
    secure.on("error", () => {
      if (secure.bytesRead === 0 || !secure.encrypted) this.#options.onDistrust?.(name);
      socket.destroy();
    });
    return secure;
  }

  #contextFor(name: string): Promise<tls.SecureContext> {
    const known = this.#kept.get(name);
    this.#kept.delete(name);
    if (known !== undefined && Date.now() < known.renewAt) {
      this.#kept.set(name, known);
      return known.context;
    }
    const context = this.#issue(name);
    this.#kept.set(name, context);
    context.context.catch(() => this.#kept.delete(name));
    const { namesMax = 1_000 } = this.#options;
    if (this.#kept.size > namesMax) this.#kept.delete(this.#kept.keys().next().value!);
    return context.context;
  }

  #issue(name: string): Kept {
    const kept: Kept = {
      // Until it is there, whoever asks waits for the same one.
      renewAt: Infinity,
      context: this.#options.issue(name).then(({ certificate, privateKey, endsAt }) => {
        kept.renewAt = endsAt - RENEW_MS;
        return tls.createSecureContext({
          cert: certificate,
          key: privateKey,
          minVersion: "TLSv1.2",
        });
      }),
    };
    return kept;
  }
}
