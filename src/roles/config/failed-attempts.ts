// How often each address showed a token that is not one of the fleet's: guessing is hopeless, but each
// guess asks the database. Who tries too often waits; machines' credentials do not count, a fleet that
// is at work is never shut out.

import { networkOf } from "../../net/network-of.ts";

/** So many at once: racks of machines with last week's join line behind one address. */
const BURST = 256;

/** And so many again each second. */
const PER_SECOND = 4;

/** Addresses remembered; the one that was silent longest is forgotten first. */
const ADDRESSES_MAX = 10_000;

interface Account {
  left: number;
  atMs: number;
}

export class FailedAttempts {
  readonly #accounts = new Map<string, Account>();

  /** Counts one; false: the address has none left. */
  begin(address: string, nowMs: number): boolean {
    const left = this.#leftOf(address, nowMs);
    this.#set(address, { left: left < 1 ? left : left - 1, atMs: nowMs });
    return left >= 1;
  }

  /** What begun did not fail. */
  succeeded(address: string, nowMs: number): void {
    this.#set(address, { left: this.#leftOf(address, nowMs) + 1, atMs: nowMs });
  }

  #leftOf(address: string, nowMs: number): number {
    const account = this.#accounts.get(networkOf(address));
    if (account === undefined) return BURST;
    return Math.min(BURST, account.left + ((nowMs - account.atMs) / 1_000) * PER_SECOND);
  }

  #set(address: string, account: Account): void {
    const network = networkOf(address);
    this.#accounts.delete(network);
    if (account.left < BURST) this.#accounts.set(network, account);
    if (this.#accounts.size <= ADDRESSES_MAX) return;
    const [longestSilent] = this.#accounts.keys();
    this.#accounts.delete(longestSilent!);
  }
}
