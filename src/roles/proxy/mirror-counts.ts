// What the registry mirror did since the start, for metrics and status.

/** Who answered a request, or why nobody did. */
export const MIRROR_RESULTS = [
  /** The swarm did. */
  "swarm",
  /** Passed through to the registry, whatever that said. */
  "registry",
  /** The mirror itself said what it is, or that there is no such thing. */
  "mirror",
  /** The registry refused, or is in trouble, or gave wrong bytes. */
  "failed",
  /** The client went away before the end. */
  "left",
] as const;
export type MirrorResult = (typeof MIRROR_RESULTS)[number];

export interface MirrorCounts {
  readonly requests: Record<MirrorResult, number>;
  /** Bytes of bodies given to engines, by who had them. */
  readonly bytes: Record<"swarm" | "registry", number>;
}

export function noRequests(): MirrorCounts {
  return {
    requests: { swarm: 0, registry: 0, mirror: 0, failed: 0, left: 0 },
    bytes: { swarm: 0, registry: 0 },
  };
}
