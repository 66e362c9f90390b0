// "host:port" as flags give it and as peers are told it.

import { isOwnMachine } from "../../net/swarm/is-confidential.ts";
import { isLocalName } from "../../net/source/local-name.ts";
import { DfError } from "../../errors.ts";

export interface ListenAddress {
  /** Without brackets, as sockets take it. */
  hostname: string;
  /** 0: any free port. */
  port: number;
}

/** Where others reach us, and who does: the hosts of one zone, or all. */
export interface AdvertisedAddress extends ListenAddress {
  zone: string | undefined;
}

/**
 * Reads "host:port" or "host:port@zone".
 * @throws {DfError} usage, naming `flag`
 */
export function parseAdvertisedAddress(flag: string, text: string): AdvertisedAddress {
  const [, address = text, zone] = /^([^@]*)@([A-Za-z0-9][\w.-]{0,62})$/.exec(text) ?? [];
  return { ...parseListenAddress(flag, address), zone };
}

/**
 * Reads "host:port", "[ipv6]:port" or ":port" (all addresses).
 * @throws {DfError} usage, naming `flag`
 */
export function parseListenAddress(flag: string, text: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3] ?? NaN);
  if (match === null || !(port <= 65_535)) {
    throw new DfError("usage", `read ${flag} ${text}: not HOST:PORT`, {
      hint: `write ${flag} 127.0.0.1:8002, ${flag} :8002 or ${flag} [::1]:8002`,
    });
  }
  const hostname = match[1] ?? match[2] ?? "";
  return { hostname: hostname === "" ? "0.0.0.0" : hostname, port };
}

/**
 * Reads an address that this machine alone reaches.
 * @param hint what to do instead
 * @throws {DfError} usage, naming `flag`
 */
export function parseLoopbackAddress(flag: string, text: string, hint: string): ListenAddress {
  const address = parseListenAddress(flag, text);
  if (isOwnMachine(address.hostname)) return address;
  throw new DfError("usage", `read ${flag} ${text}: not a loopback address`, { hint });
}

/** As in a URL: IPv6 in brackets. */
export function formatAddress(hostname: string, port: number): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

export function isUnspecified(hostname: string): boolean {
  return hostname === "0.0.0.0" || hostname === "::";
}

/** Whether only this machine can reach a listener there. */
export function isLoopback(hostname: string): boolean {
  return !isUnspecified(hostname) && isLocalName(hostname) && !hostname.startsWith("169.254.");
}
