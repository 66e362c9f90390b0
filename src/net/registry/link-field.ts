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
      const { origin, pathname, searchParams } = new URL(target, url);
      // A link to elsewhere would take the client, and what it shows, past the mirror.
      if (origin !== list.origin || pathname !== list.pathname) return [];
      if (ns !== null) searchParams.set("ns", ns);
      return [`<${path}?${searchParams.toString()}>${parameters}`];
    },
  );
  return links.length === 0 ? null : links.join(", ");
}
