// The names that a proxy's CA may speak for, as its certificate says it (RFC 5280 §4.2.1.10): who steals
// its key cannot use it for a bank. The library behind our certificates has no such extension, so its
// few bytes are written here.
//
//   NameConstraints ::= SEQUENCE { permitted [0] Subtrees OPTIONAL, excluded [1] Subtrees OPTIONAL }
//   Subtree         ::= SEQUENCE { base: [2] dNSName | [7] iPAddress with its mask }

import ipaddr from "ipaddr.js";

const [SEQUENCE, PERMITTED, EXCLUDED, DNS_NAME, IP_ADDRESS] = [0x30, 0xa0, 0xa1, 0x82, 0x87];

/** Every address of both families: no bytes of the address count. */
const ALL_ADDRESSES = [Buffer.alloc(8), Buffer.alloc(32)];

/**
 * Hosts without ports, "*.example.org" for all below one. Null: some pattern stands for every host, so
 * nothing can be said. A name stands for those below it as well, whether or not it was meant.
 */
export function nameConstraints(hosts: readonly string[]): Buffer | null {
  if (hosts.includes("*")) return null;
  const addresses = hosts.filter(isAddress);
  const names = hosts.filter((host) => !isAddress(host)).map((host) => host.replace(/^\*\./, ""));
  // A kind of name of which nothing is permitted is free, unless all of it is excluded.
  const excluded = [
    ...(names.length === 0 ? [der(DNS_NAME, Buffer.alloc(0))] : []),
    ...(addresses.length === 0 ? ALL_ADDRESSES.map((all) => der(IP_ADDRESS, all)) : []),
  ];
  const permitted = [
    ...names.map((name) => der(DNS_NAME, Buffer.from(name))),
    ...addresses.map((address) => der(IP_ADDRESS, withMask(address))),
  ];
  return der(SEQUENCE, subtrees(PERMITTED, permitted), subtrees(EXCLUDED, excluded));
}

/** Whether a CA of these hosts may speak for a name or an address. */
export function isPermitted(hosts: readonly string[], name: string): boolean {
  return hosts.some((host) => {
    if (host === "*" || host === name) return true;
    return !isAddress(host) && !isAddress(name) && name.endsWith(`.${host.replace(/^\*\./, "")}`);
  });
}

function isAddress(host: string): boolean {
  return ipaddr.isValid(host) && /[:.]/.test(host);
}

function withMask(address: string): Buffer {
  const bytes = ipaddr.parse(address).toByteArray();
  return Buffer.from([...bytes, ...bytes.map(() => 0xff)]);
}

function subtrees(tag: number, bases: readonly Buffer[]): Buffer {
  return bases.length === 0
    ? Buffer.alloc(0)
    : der(tag, ...bases.map((base) => der(SEQUENCE, base)));
}

/** Tag, length, contents (X.690 §8.1). */
function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const body = Buffer.concat(contents);
  const { length } = body;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), body]);
  const size = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}
