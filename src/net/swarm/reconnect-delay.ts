// When a peer opens a lost channel again: soon, later after each failure, and never all at once.

/** First delay before a lost channel is opened again; doubled by every failure, always jittered. */
const RECONNECT_DELAY_MS = 500;
const RECONNECT_DELAY_MS_MAX = 30_000;

/** The supernode takes about so many peers back per second: reconnecting spreads over swarm / this. */
const RECONNECTS_PER_SECOND = 2_000;

/**
 * A random wait that spreads all peers of a swarm.
 * @param failures attempts that failed since the channel was open
 * @param swarmSize peers that lost the supernode together, as far as is known
 */
export function reconnectDelayMs(failures: number, swarmSize: number): number {
  const ceilingMs = Math.min(RECONNECT_DELAY_MS_MAX, RECONNECT_DELAY_MS * 2 ** failures);
  return Math.random() * Math.max(ceilingMs, spreadMsOf(swarmSize));
}

/** Within this time after the loss nobody comes before its turn, however urgent. */
export function spreadMsOf(swarmSize: number): number {
  return (1_000 * swarmSize) / RECONNECTS_PER_SECOND;
}
