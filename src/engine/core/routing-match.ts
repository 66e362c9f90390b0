// What routing rules compare hosts with: address blocks of both families and host name globs.

/**
 * An address as its four 32-bit words, first word first. An IPv4 address is written as IPv6 maps it
 * (::ffff:a.b.c.d), so that one form serves both families (and ::/0 holds all of both); words are
 * unsigned or signed alike.
 * @see RFC 4291 §2.5.5.2
 */
export type AddressWords = readonly [number, number, number, number];

/** An address block (CIDR), ready to be compared with many addresses. */
export class AddressBlock {
  readonly #network: AddressWords;
  readonly #masks: AddressWords;

  /** @param block prefixLength from 0 to 128; of an IPv4 block 96 more than written */
  constructor({ network, prefixLength }: { network: AddressWords; prefixLength: number }) {
    const masks = [0, 1, 2, 3].map((word) => maskOf(prefixLength - 32 * word));
    this.#masks = masks as unknown as AddressWords;
    this.#network = network.map((word, i) => word & masks[i]!) as unknown as AddressWords;
  }

  contains(address: AddressWords): boolean {
    // The last words differ most often among IPv4 addresses.
    for (let i = 3; i >= 0; i--) {
      if ((address[i]! & this.#masks[i]!) !== this.#network[i]) return false;
    }
    return true;
  }
}

/** A word with its first `bits` bits set. */
function maskOf(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? -1 : -1 << (32 - bits);
}

/** Compiles a pattern in which `*` stands for any characters and `?` for one. */
export function compileGlob(pattern: string): (text: string) => boolean {
  return (text) => matchesGlob(pattern, text);
}

/** Goes back only to the last `*`, so that no pattern costs more than both lengths multiplied. */
function matchesGlob(pattern: string, text: string): boolean {
  let at = 0;
  let starAt = -1;
  let starText = 0;
  for (let i = 0; i < text.length;) {
    const sign = pattern[at];
    if (sign === "*") {
      starAt = at++;
      starText = i;
    } else if (sign === "?" || sign === text[i]) {
      at++;
      i++;
    } else if (starAt !== -1) {
      at = starAt + 1;
      i = ++starText;
    } else {
      return false;
    }
  }
  while (pattern[at] === "*") at++;
  return at === pattern.length;
}
