// How the other end of a TLS connection proves who it is: a certificate that the fleet's CA signed, for
// a name that stands for a role or a host ID. Addresses change and prove nothing; so the name is asked
// for whatever the address is.

export interface ServerProof {
  /** PEM; null: none is known. Public CAs sign no names of a fleet: then nobody is believed. */
  readonly ca: string | null;
  readonly serverName: string;
}

/** The option of Bun's `fetch` and `WebSocket` by which they accept no other server. */
interface TlsOption {
  ca?: string;
  serverName: string;
}

/** To be spread into the options of a request. @param proof null: a plain connection, or any public CA's word counts */
export function tlsOptionsOf(proof: ServerProof | null): { tls?: TlsOption } {
  if (proof === null) return {};
  const { ca, serverName } = proof;
  return { tls: ca === null ? { serverName } : { ca, serverName } };
}
