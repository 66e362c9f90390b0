// The Link field of a registry's list (RFC 8288; OCI distribution specification, "Listing Tags"): a client
// of the mirror must find the next page where it found the first.

/** Where a list was asked for, and where it came from. */
export interface ListPlace {
  /** The URL that the registry was asked with. */
  readonly url: string;
  /** The path that the client asked the mirror for, without its query. */
  readonly path: string;
  /** What the client named the registry with in its query; null: not there. */
  readonly ns: string | null;
}

/** Links within the same list, as the client can follow them; null: there are none. */
export function rewriteLinks(field: string, { url, path, ns }: ListPlace): string | null {
  const list = new URL(url);
  const links = [...field.matchAll(/<([^<>]*)>((?:\s*;[^,<>]*)*)/g)].flatMap(
    ([, target = "", parameters = ""]) => {
      if (!URL.canParse(target, url)) return [];
      const { hostname, pathname, searchParams } = new URL(target, url);
      // What it says of another list is nothing of this one. A registry behind a proxy that opens TLS may
      // not know its own scheme and port: where the page is asked for is known here anyway.
      if (hostname !== list.hostname || pathname !== list.pathname) return [];
      if (ns !== null) searchParams.set("ns", ns);
      return [`<${path}?${searchParams.toString()}>${parameters}`];
    },
  );
  return links.length === 0 ? null : links.join(", ");
}
