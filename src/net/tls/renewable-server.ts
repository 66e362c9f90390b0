// A listening server whose certificate can be replaced while it runs. The runtime takes no other
// certificate for a server that listens, so another one listens on the same port: channels and requests
// that are open go on at the former one.

/** Key and certificate as `Bun.serve` takes them, for TLS 1.3 alone. */
export interface ServerTls {
  key: string;
  cert: string;
  minVersion: number;
}

/** TLS 1.3 (RFC 8446 §4.1.2); Bun takes the number, not its name. */
const TLS_1_3 = 0x0304;

/** @param key PEM @param certificate PEM */
export function serverTlsOf(key: string, certificate: string): ServerTls {
  return { key, cert: certificate, minVersion: TLS_1_3 };
}

type Serve<Data> = (port: number, tls: ServerTls | null) => Bun.Server<Data>;

export class RenewableServer<Data> {
  readonly #serve: Serve<Data>;
  readonly #former: Bun.Server<Data>[] = [];
  #server: Bun.Server<Data>;

  /** @param serve listens on a port, where 0 is any free one; @param tls null: plain HTTP */
  constructor(serve: Serve<Data>, port: number, tls: ServerTls | null) {
    this.#serve = serve;
    this.#server = serve(port, tls);
  }

  get port(): number {
    return this.#server.port!;
  }

  /** New connections are shown this certificate. */
  renew(tls: ServerTls): void {
    const { port } = this;
    const former = this.#server;
    this.#former.push(former);
    // It stops listening at once, and ends by itself when its last connection did.
    void former.stop().then(() => this.#former.splice(this.#former.indexOf(former), 1));
    this.#server = this.#serve(port, tls);
  }

  /** @param isAbrupt whether open connections are closed. @defaultValue they end by themselves */
  async stop(isAbrupt = false): Promise<void> {
    await Promise.all([this.#server, ...this.#former].map((server) => server.stop(isAbrupt)));
  }
}
