// Channels that are open and not admitted yet, by the address that they come from. A flood from one
// address pushes out its own: who says hello at once is through before that, from the same address too.

import { networkOf } from "../network-of.ts";

/**
 * An honest host has one; so many hosts behind one address may come at the same moment. Each costs some
 * kilobytes for at most 5 s.
 */
const PER_ADDRESS_MAX = 64;

/** What may have to make room. */
export interface WaitingChannel {
  /** Ends the channel: its other end may try again. */
  makeRoom(): void;
}

export class WaitingChannels<Channel extends WaitingChannel> {
  /** Longest waiting first. */
  readonly #byNetwork = new Map<string, Set<Channel>>();

  entered(address: string, channel: Channel): void {
    const network = networkOf(address);
    const waiting = this.#byNetwork.get(network) ?? new Set();
    this.#byNetwork.set(network, waiting.add(channel));
    if (waiting.size <= PER_ADDRESS_MAX) return;
    const [longest] = waiting;
    waiting.delete(longest!);
    longest!.makeRoom();
  }

  /** It was admitted, or is gone. */
  left(address: string, channel: Channel): void {
    const network = networkOf(address);
    const waiting = this.#byNetwork.get(network);
    if (waiting?.delete(channel) === true && waiting.size === 0) this.#byNetwork.delete(network);
  }
}
