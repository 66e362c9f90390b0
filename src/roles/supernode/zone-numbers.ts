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

  constructor() {
    this.#zones.set("", { number: this.#pool.take(), hosts: 1 });
  }

  /** Numbers the zones of a host that arrived. A supernode that names none is reached from all. */
  take(peer: ConnectedPeer): HostZones {
    const zone = this.#take(peer.zone);
    const further = peer.furtherZones.map((name) => this.#take(name));
    return { zone, alsoIn: peer.isSeed && further.length === 0 ? "all" : further };
  }

  giveBack(peer: ConnectedPeer): void {
    for (const name of [peer.zone, ...peer.furtherZones]) {
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
