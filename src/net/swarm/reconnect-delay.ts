// When a peer opens a lost channel again: soon, later the longer it is lost, and never all at once.

/**
 * The wait is at most half the time for which the channel has been lost: so a supernode has all its
 * peers back soon after a short absence, and is not stormed by them during a long one.
 */
const RECONNECT_DELAY_MS_MIN = 500;
const RECONNECT_DELAY_MS_MAX = 30_000;

/** The supernode takes about so many peers back per second: reconnecting spreads over swarm / this. */
const RECONNECTS_PER_SECOND = 2_000;

/**
 * A random wait that spreads all peers of a swarm.
 * @param lostForMs time since there was a channel
 * @param swarmSize peers that lost the supernode together, as far as is known
 */
export function reconnectDelayMs(lostForMs: number, swarmSize: number): number {
  const halfMs = Math.max(RECONNECT_DELAY_MS_MIN, lostForMs / 2);
  const ceilingMs = Math.min(RECONNECT_DELAY_MS_MAX, halfMs);
  return Math.random() * Math.max(ceilingMs, spreadMsOf(swarmSize));
}

/** Within this time after the loss nobody comes before its turn, however urgent. */
export function spreadMsOf(swarmSize: number): number {
  return (1_000 * swarmSize) / RECONNECTS_PER_SECOND;
}
