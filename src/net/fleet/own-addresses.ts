// Under which addresses this machine takes part: the one from which it reaches `df config`, by which
// others of the fleet most likely reach it too, and those of its interfaces.

import { networkInterfaces } from "node:os";
import { tryConnect } from "./try-connect.ts";

/** As `RouteRequest.addresses` allows. */
const ADDRESSES_MAX = 32;

/** The address of this machine on the way to the first of `urls` that answers; null when none does. */
export async function addressTowards(
  urls: readonly string[],
  signal: AbortSignal,
): Promise<string | null> {
  for (const url of urls) {
    const { hostname, port, protocol } = new URL(url);
    const at = { hostname, port: Number(port || (protocol === "https:" ? 443 : 80)) };
    const connected = await tryConnect(at, signal);
    if (connected !== null || signal.aborted) return connected?.localAddress ?? null;
  }
  return null;
}

/**
 * The addresses of the interfaces as they are now, without loopback and link-local ones.
 * @param first an address that comes before them; null: none
 */
export function ownAddresses(first: string | null): string[] {
  const ofInterfaces = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !/^(169\.254\.|fe[89ab])/i.test(address))
    .map(({ address }) => address);
  const all = first === null ? ofInterfaces : [first, ...ofInterfaces];
  return [...new Set(all)].slice(0, ADDRESSES_MAX);
}
