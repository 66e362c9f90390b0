// What routing rules compare hosts with: address blocks of both families and host name globs.

/**
 * An address as its four 32-bit words, first word first. An IPv4 address is written as IPv6 maps it
 * (::ffff:a.b.c.d), so that one form serves both families (and ::/0 holds all of both); words are
 * unsigned or signed alike.
 * @see RFC 4291 §2.5.5.2
 */
export type AddressWords = readonly [number, number, number, number];

export interface AddressBlock {
  network: AddressWords;
  /** From 0 to 128; of an IPv4 block 96 more than written. */
  prefixLength: number;
}

/** Address blocks (CIDR), ready to be compared with the addresses of many hosts. */
export class AddressBlocks {
  /** Row of 8 words a block: network, then mask. */
  readonly #words: Int32Array;

  constructor(blocks: readonly AddressBlock[]) {
    this.#words = Int32Array.from(
      blocks.flatMap(({ network, prefixLength }) => {
        const masks = [0, 1, 2, 3].map((i) => maskOf(prefixLength - 32 * i));
        return [...masks.map((mask, i) => network[i]! & mask), ...masks];
      }),
    );
  }

  /** Whether one of the addresses lies in one of the blocks. */
  holdOne(addresses: readonly AddressWords[]): boolean {
    const words = this.#words;
    for (const [first, second, third, fourth] of addresses) {
      for (let row = 0; row < words.length; row += 8) {
        // The last words differ most often among IPv4 addresses, the first among IPv6.
        if (
          (fourth & words[row + 7]!) === words[row + 3] &&
          (first & words[row + 4]!) === words[row] &&
          (second & words[row + 5]!) === words[row + 1] &&
          (third & words[row + 6]!) === words[row + 2]
        ) {
          return true;
        }
      }
    }
    return false;
  }
}

/** A word with its first `bits` bits set. */
function maskOf(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? -1 : -1 << (32 - bits);
}

/** Compiles a pattern in which `*` stands for any characters and `?` for one. */
export function compileGlob(pattern: string): (text: string) => boolean {
  if (pattern.includes("?")) return (text) => matchesGlob(pattern, text);
  const [first = "", ...others] = pattern.split("*");
  const last = others.pop();
  if (last === undefined) return (text) => text === pattern;
  return (text) => {
    const end = text.length - last.length;
    let at = first.length;
    if (end < at || !text.startsWith(first) || !text.endsWith(last)) return false;
    for (const part of others) {
      // The first place leaves the most room for the parts that follow.
      const found = text.indexOf(part, at);
      if (found < 0) return false;
      at = found + part.length;
    }
    return at <= end;
  };
}

const STAR = "*".charCodeAt(0);
const QUESTION = "?".charCodeAt(0);

/** Goes back only to the last `*`, so that no pattern costs more than both lengths multiplied. */
function matchesGlob(pattern: string, text: string): boolean {
  let at = 0;
  let starAt = -1;
  let starText = 0;
  for (let i = 0; i < text.length;) {
    const sign = at < pattern.length ? pattern.charCodeAt(at) : -1;
    if (sign === STAR) {
      starAt = at++;
      starText = i;
    } else if (sign === QUESTION || sign === text.charCodeAt(i)) {
      at++;
      i++;
    } else if (starAt !== -1) {
      at = starAt + 1;
      i = ++starText;
    } else {
      return false;
    }
  }
  while (pattern.charCodeAt(at) === STAR) at++;
  return at === pattern.length;
}
