// Channels that are open and not admitted yet, by the address that they come from. A flood from one
// address pushes out its own: who says hello at once is through before that, from the same address too.

import { networkOf } from "../network-of.ts";

/**
 * An honest host has one; so many hosts behind one address come at the same moment when their supernode
 * is back. With 64 they pushed each other out. Each costs some kilobytes for at most 5 s.
 */
const PER_ADDRESS_MAX = 4_096;

/** What may have to make room. */
export interface WaitingChannel {
  /** Ends the channel: its other end may try again. */
  makeRoom(): void;
}

export class WaitingChannels<Channel extends WaitingChannel> {
  readonly #perAddressMax: number;
  /** Longest waiting first. */
  readonly #byNetwork = new Map<string, Set<Channel>>();

  constructor(perAddressMax = PER_ADDRESS_MAX) {
    this.#perAddressMax = perAddressMax;
  }

  entered(address: string, channel: Channel): void {
    const network = networkOf(address);
    const waiting = this.#byNetwork.get(network) ?? new Set();
    this.#byNetwork.set(network, waiting.add(channel));
    if (waiting.size <= this.#perAddressMax) return;
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
