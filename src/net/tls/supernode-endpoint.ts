// Where a supernode's control port is and how that supernode proves itself. Whoever speaks to one takes
// scheme and TLS options from here, so that nobody chooses them by himself: what is known to speak TLS
// is never asked in plain text.

import { tlsNameOf } from "../wire/fleet-api.ts";
import { type ServerProof, tlsOptionsOf } from "./server-proof.ts";

export interface SupernodeEndpoint {
  /** "host:port" */
  readonly address: string;
  /** Null: it speaks plain HTTP, on loopback or without a fleet. */
  readonly proof: ServerProof | null;
}

/** A supernode as the fleet, or another supernode, names it. */
export interface NamedSupernode {
  address: string;
  hostId?: string | undefined;
  isTls?: boolean | undefined;
}

/**
 * @param ca PEM, the fleet's; null: none is known, then one that speaks TLS is not believed
 */
export function endpointOf(
  { address, hostId = "", isTls = false }: NamedSupernode,
  ca: string | null,
): SupernodeEndpoint {
  return { address, proof: isTls ? { ca, serverName: tlsNameOf(hostId) } : null };
}

export function httpUrlOf({ address, proof }: SupernodeEndpoint, path: string): string {
  return `${proof === null ? "http" : "https"}://${address}${path}`;
}

/** Begins to open a swarm channel. */
export function openChannel({ address, proof }: SupernodeEndpoint): WebSocket {
  const url = `${proof === null ? "ws" : "wss"}://${address}/v1/swarm`;
  return new WebSocket(url, tlsOptionsOf(proof));
}
