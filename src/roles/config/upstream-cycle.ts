// Whether clusters that get contents from each other go round in a circle: then nobody would read the
// source.

/** A cluster and where its supernodes get contents; null: from sources. */
interface UpstreamLink {
  name: string;
  upstream: string | null;
}

/** Whether the way up from `name` leads back to it. */
export function isOnUpstreamCycle(name: string, clusters: readonly UpstreamLink[]): boolean {
  const upstreams = new Map(clusters.map((cluster) => [cluster.name, cluster.upstream]));
  const seen = new Set<string>();
  let at = upstreams.get(name) ?? null;
  while (at !== null && !seen.has(at)) {
    if (at === name) return true;
    seen.add(at);
    at = upstreams.get(at) ?? null;
  }
  return false;
}
