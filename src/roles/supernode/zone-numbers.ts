// Small numbers for the zones of the hosts that are connected: what the scheduler knows of a zone.

import type { ConnectedPeer } from "./connected-peer.ts";
import { IndexPool } from "./index-pool.ts";

/** How a host stands in the scheduler's books; number 0 is the zone of hosts without one. */
export interface HostZones {
  zone: number;
  /** Further zones whose hosts reach it. */
  alsoIn: readonly number[] | "all";
}

interface Zone {
  number: number;
  hosts: number;
}

export class ZoneNumbers {
  readonly #zones = new Map<string, Zone>();
  readonly #pool = new IndexPool();
  /** The zones of each host as they were numbered last. */
  readonly #taken = new Map<ConnectedPeer, readonly string[]>();

  constructor() {
    this.#zones.set("", { number: this.#pool.take(), hosts: 1 });
  }

  /** Numbers the zones in which a host stands now. A supernode that names none is reached from all. */
  take(peer: ConnectedPeer): HostZones {
    const before = this.#taken.get(peer) ?? [];
    const further = peer.furtherZones;
    const zone = this.#take(peer.zone);
    const alsoIn = further.map((name) => this.#take(name));
    this.#taken.set(peer, [peer.zone, ...further]);
    // Afterwards: a zone that it alone keeps has its number on.
    this.#giveBack(before);
    return { zone, alsoIn: peer.isEverywhere ? "all" : alsoIn };
  }

  giveBack(peer: ConnectedPeer): void {
    this.#giveBack(this.#taken.get(peer) ?? []);
    this.#taken.delete(peer);
  }

  #giveBack(names: readonly string[]): void {
    for (const name of names) {
      const zone = this.#zones.get(name)!;
      if (--zone.hosts > 0) continue;
      this.#zones.delete(name);
      this.#pool.giveBack(zone.number);
    }
  }

  #take(name: string): number {
    const known = this.#zones.get(name);
    if (known !== undefined) {
      known.hosts++;
      return known.number;
    }
    const zone = { number: this.#pool.take(), hosts: 1 };
    this.#zones.set(name, zone);
    return zone.number;
  }
}
