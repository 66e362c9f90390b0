// What an IP address is to somebody who was asked to connect to it: the addresses of RFC 6890's
// registries that lead to the reader itself, to its link or its cloud's metadata, or to nobody.
// Whether that is allowed is the policy's affair.

import ipaddr from "ipaddr.js";

export type AddressKind =
  | "public"
  /** Another machine of the same organisation: where most sources of a fleet are. */
  | "private"
  | "loopback"
  /** "This host", link-local, and where clouds answer with a machine's credentials. */
  | "link"
  /** Multicast, reserved, documentation, translators' own: no source is there. */
  | "nowhere";

type Block = [ipaddr.IPv4 | ipaddr.IPv6, number];

const LOOPBACK = blocks("127.0.0.0/8", "::1/128");

const PRIVATE = blocks(
  ...["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"],
  "fc00::/7",
);

const LINK = blocks(
  ...["0.0.0.0/8", "169.254.0.0/16", "::/128", "fe80::/10"],
  // Metadata outside of the link-local range: Alibaba, Azure, Amazon and Google over IPv6.
  ...["100.100.100.200/32", "168.63.129.16/32", "fd00:ec2::254/128", "fd20:ce::254/128"],
);

const NOWHERE = blocks(
  ...["192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24"],
  ...["203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"],
  ...["100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16"],
  ...["fec0::/10", "ff00::/8"],
);

/** Prefixes whose addresses carry an IPv4 address, and at which byte it stands. */
const EMBEDDING: readonly { block: Block; at: readonly number[]; isSameHost: boolean }[] = [
  { block: parseBlock("::ffff:0:0/96"), at: [12, 13, 14, 15], isSameHost: true },
  // IPv4-compatible addresses (deprecated) and IPv4-translated ones (RFC 2765).
  { block: parseBlock("::/96"), at: [12, 13, 14, 15], isSameHost: false },
  { block: parseBlock("::ffff:0:0:0/96"), at: [12, 13, 14, 15], isSameHost: false },
  { block: parseBlock("64:ff9b::/96"), at: [12, 13, 14, 15], isSameHost: false },
  // RFC 8215 leaves the length to the network: as of a /96 here, as of a /48 (RFC 6052 §2.2) below.
  { block: parseBlock("64:ff9b:1::/48"), at: [12, 13, 14, 15], isSameHost: false },
  { block: parseBlock("64:ff9b:1::/48"), at: [6, 7, 9, 10], isSameHost: false },
  { block: parseBlock("2002::/16"), at: [2, 3, 4, 5], isSameHost: false },
];

/** Addresses looked at lately: each request to a source asks again. Some 100 bytes each. */
const KINDS_MAX = 1_000;
const kinds = new Map<string, AddressKind>();

/** @param address without brackets; what is none is nowhere */
export function addressKind(address: string): AddressKind {
  const known = kinds.get(address);
  if (known !== undefined) return known;
  const kind = kindOf(address);
  if (kinds.size >= KINDS_MAX) kinds.clear();
  kinds.set(address, kind);
  return kind;
}

function kindOf(address: string): AddressKind {
  if (!ipaddr.isValid(address)) return "nowhere";
  const parsed = ipaddr.parse(address);
  if (isIn(LOOPBACK, parsed)) return "loopback";
  if (isIn(LINK, parsed)) return "link";
  if (isIn(NOWHERE, parsed)) return "nowhere";
  const embedded = embeddedKinds(parsed);
  if (embedded.length > 0) return strictest(embedded);
  return isIn(PRIVATE, parsed) ? "private" : "public";
}

function embeddedKinds(address: ipaddr.IPv4 | ipaddr.IPv6): AddressKind[] {
  if (address.kind() === "ipv4") return [];
  const bytes = address.toByteArray();
  return EMBEDDING.filter(({ block }) => isIn([block], address)).map(({ at, isSameHost }) => {
    const kind = addressKind(at.map((index) => bytes[index]).join("."));
    // Behind a translator, 127.0.0.1 is the translator.
    return kind === "loopback" && !isSameHost ? "nowhere" : kind;
  });
}

function strictest(kinds: readonly AddressKind[]): AddressKind {
  const order: AddressKind[] = ["link", "loopback", "nowhere", "private", "public"];
  return order.find((kind) => kinds.includes(kind))!;
}

function isIn(list: readonly Block[], address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  return list.some(([base, bits]) => base.kind() === address.kind() && address.match(base, bits));
}

function blocks(...texts: string[]): Block[] {
  return texts.map(parseBlock);
}

function parseBlock(text: string): Block {
  return ipaddr.parseCIDR(text);
}
