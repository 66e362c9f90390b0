// What counts as one address where addresses are counted: bounds for each of them bind its owner.

/**
 * Whoever has an IPv6 address has all of its /64 (RFC 4291 §2.5.4); written out, it is four groups.
 * @param address as a socket tells it
 */
export function networkOf(address: string): string {
  if (!address.includes(":") || address.startsWith("::ffff:")) return address;
  const [head = "", tail = ""] = address.split("::");
  const groups = [head, tail].map((part) => (part === "" ? [] : part.split(":")));
  const zeros = Array.from({ length: 8 - groups.flat().length }, () => "0");
  return [...groups[0]!, ...zeros, ...groups[1]!].slice(0, 4).join(":");
}
