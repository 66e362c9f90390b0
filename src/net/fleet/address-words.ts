// Addresses and address blocks as text ⇄ as routing compares them.

import ipaddr from "ipaddr.js";
import type { AddressWords } from "../../engine/core/routing-match.ts";

/** Bits before an IPv4 address in its mapped form. */
const MAPPED_PREFIX_BITS = 96;

/** Null for what is no address of either family. A zone index ("fe80::1%eth0") is left out. */
export function parseAddressWords(text: string): AddressWords | null {
  const bare = text.replace(/%.*$/, "");
  // The library also takes "0x7f.1" and "127.1", which no operator means.
  if (ipaddr.IPv4.isValidFourPartDecimal(bare)) return wordsOf(ipaddr.IPv4.parse(bare));
  return ipaddr.IPv6.isValid(bare) ? wordsOf(ipaddr.IPv6.parse(bare)) : null;
}

/** Reads "10.0.0.0/8", "fd00::/8", or one address as a block of one; null for what is neither. */
export function parseAddressBlock(
  text: string,
): { network: AddressWords; prefixLength: number } | null {
  const [, address = "", length] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const network = parseAddressWords(address);
  if (network === null) return null;
  const familyBits = address.includes(":") ? 128 : 32;
  const prefixLength = length === undefined ? familyBits : Number(length);
  if (prefixLength > familyBits) return null;
  return {
    network,
    prefixLength: prefixLength + (familyBits === 32 ? MAPPED_PREFIX_BITS : 0),
  };
}

function wordsOf(address: ipaddr.IPv4 | ipaddr.IPv6): AddressWords {
  const v6 = address.kind() === "ipv6" ? address : (address as ipaddr.IPv4).toIPv4MappedAddress();
  const bytes = new DataView(Uint8Array.from(v6.toByteArray()).buffer);
  return [0, 4, 8, 12].map((at) => bytes.getInt32(at)) as unknown as AddressWords;
}
