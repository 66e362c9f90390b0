// Whether a connection would end at this very process: a service that asks itself waits for itself, and
// answers strangers as if they sat on its own machine.

import { networkInterfaces } from "node:os";
import ipaddr from "ipaddr.js";
import { bareHost } from "../bare-host.ts";
import { addressKind } from "./address-kind.ts";

/** "host:port" that this process listens on; an unspecified host stands for all of this machine's. */
export interface Listener {
  readonly hostname: string;
  readonly port: number;
}

/** @param address of either family, without brackets */
export function isOwnPort(listeners: readonly Listener[], address: string, port: number): boolean {
  const here = listeners.filter((listener) => listener.port === port);
  if (here.length === 0) return false;
  const target = plainAddress(address);
  return here.some(({ hostname }) => {
    const own = plainAddress(hostname);
    if (own === "localhost") return isLoopback(target) || isUnspecified(target);
    // What another name stands for was the resolver's word when the port was opened.
    if (isUnspecified(own) || !ipaddr.isValid(own)) return isOfThisMachine(target);
    return own === target || (isUnspecified(target) && isLoopback(own));
  });
}

function isOfThisMachine(address: string): boolean {
  if (isLoopback(address) || isUnspecified(address)) return true;
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .some((own) => plainAddress(own.address) === address);
}

function isLoopback(address: string): boolean {
  return addressKind(address) === "loopback";
}

/** Connected to, it is loopback. */
function isUnspecified(address: string): boolean {
  return address === "0.0.0.0" || address === "::";
}

/** An address as sockets take it: IPv4 within IPv6 as IPv4, without brackets and zone. */
function plainAddress(text: string): string {
  const bare = bareHost(text).replace(/%.*$/, "");
  return ipaddr.isValid(bare) ? ipaddr.process(bare).toString() : bare;
}
