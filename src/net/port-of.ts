// The port that a URL leads to.

/** The scheme's own where the URL names none. */
export function portOf({ protocol, port }: Pick<URL, "protocol" | "port">): number {
  return Number(port || (protocol === "https:" ? 443 : 80));
}
