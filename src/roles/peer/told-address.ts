// Where a host tells supernodes that its pieces are.

import { hostOf, isLoopback, type PeerOptions } from "./peer-options.ts";

/**
 * "host:port"; null where children that the supernode would send could not reach this host.
 * @param at.listen where the piece server listens
 * @param at.supernode "host:port" of the supernode that is told
 */
export function toldAddress(
  options: Pick<PeerOptions, "advertise" | "listen">,
  at: { listen: string; supernode: string; uploadSlots: number },
): string | null {
  if (at.uploadSlots === 0) return null;
  if (options.advertise !== null) return options.advertise;
  const isReachable = !isLoopback(options.listen.hostname) || isLoopback(hostOf(at.supernode));
  return isReachable ? at.listen : null;
}
