// What became of the requests that the proxy forwards, since the start, for metrics and status. Tunnels that
// stay closed are none: nobody sees what is asked in them.

export const FORWARD_RESULTS = [
  /** The swarm answered, as a rule wanted it. */
  "swarm",
  /** A rule gave it to the swarm, and its target answered all the same. */
  "missed",
  /** Passed on to its target: no rule wanted anything else. */
  "target",
  /** Refused here, not to be had, or left by its client. */
  "failed",
] as const;

export type ForwardCounts = Record<(typeof FORWARD_RESULTS)[number], number>;

export function noForwards(): ForwardCounts {
  return { swarm: 0, missed: 0, target: 0, failed: 0 };
}
