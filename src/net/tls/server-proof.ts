// How the other end of a TLS connection proves who it is: a certificate that the fleet's CA signed, for
// a name that stands for a role or a host ID. Addresses change and prove nothing; so the name is asked
// for whatever the address is.

/** The `tls` option of Bun's `fetch` and `WebSocket`, which then accept no other server. */
export interface ServerProof {
  /** PEM. */
  readonly ca: string;
  readonly serverName: string;
}

/** To be spread into the options of a request; null: a plain connection, or one that any public CA vouches for. */
export function tlsOptionsOf(proof: ServerProof | null): { tls?: ServerProof } {
  return proof === null ? {} : { tls: proof };
}
