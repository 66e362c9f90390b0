// Addresses and address blocks as text, and as routing compares them.

import ipaddr from "ipaddr.js";
import type { AddressBlock, AddressWords } from "../../engine/core/routing-match.ts";

/** Bits before an IPv4 address in its mapped form, and its third word. */
const MAPPED_PREFIX_BITS = 96;
const MAPPED_WORD = 0xffff;

/** Null for what is no address of either family. A zone index ("fe80::1%eth0") is left out. */
export function parseAddressWords(text: string): AddressWords | null {
  return text.includes(":") ? parseV6(text.replace(/%.*$/, "")) : parseV4(text);
}

/** By hand: hosts tell several a minute, and a general parser costs as much as routing them does. */
function parseV4(text: string): AddressWords | null {
  const [, a, b, c, d] = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text) ?? [];
  const octets = [Number(a), Number(b), Number(c), Number(d)] as const;
  // A leading 0 means octal to some: no operator means that.
  if (!octets.every((octet) => octet <= 255) || /(^|\.)0\d/.test(text)) return null;
  const word = (octets[0] << 24) | (octets[1] << 16) | (octets[2] << 8) | octets[3];
  return [0, 0, MAPPED_WORD, word];
}

function parseV6(text: string): AddressWords | null {
  let parts: number[];
  try {
    ({ parts } = ipaddr.IPv6.parse(text));
  } catch {
    return null;
  }
  const word = (i: number): number => (parts[2 * i]! << 16) | parts[2 * i + 1]!;
  return [word(0), word(1), word(2), word(3)];
}

/** Reads "10.0.0.0/8", "fd00::/8", or one address as a block of one; null for what is neither. */
export function parseAddressBlock(text: string): AddressBlock | null {
  const [, address = "", length] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const network = parseAddressWords(address);
  if (network === null) return null;
  const isV4 = !address.includes(":");
  const familyBits = isV4 ? 32 : 128;
  const prefixLength = length === undefined ? familyBits : Number(length);
  if (prefixLength > familyBits) return null;
  return { network, prefixLength: prefixLength + (isV4 ? MAPPED_PREFIX_BITS : 0) };
}
